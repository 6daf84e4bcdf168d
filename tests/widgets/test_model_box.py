"""What a model file says of itself is shown as it stands, and can stop nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_rwkvseg.store import document
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.widgets.model_box import CardDialog, ModelBox
from napari_rwkvseg.workflow import Lanes, Workflow
from tests.fakes import fake_model
from tests.store.model_builders import small_model
from tests.workflow.builders import Bench, StepRunner

HTML = '<h1>APPROVED</h1><img src="file:///x.png">'


def test_no_label_draws_what_a_card_says_as_html(qtbot: QtBot) -> None:
    model = fake_model()
    model = replace(model, card=replace(model.card, modality=HTML, limits=HTML))
    box, parent = ModelBox(Bench(model).workflow), QWidget()
    qtbot.addWidget(box)
    qtbot.addWidget(parent)
    dialog = CardDialog(model.card, parent)
    labels = [*box.findChildren(QLabel), *dialog.findChildren(QLabel)]
    shown = [label for label in labels if label.text() == HTML]
    assert len(shown) == 3
    assert {label.textFormat() for label in shown} == {Qt.TextFormat.PlainText}


@pytest.mark.parametrize(
    "changes", [{"metrics": {"dice_mean": 10**400}}, {"modality": "M " * 150_000}]
)
def test_a_card_that_no_window_can_show_is_left_out(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    own = tmp_path / "own"
    Library(own, tmp_path).install(small_model(name="fine"))
    with monkeypatch.context() as patched:  # as a stranger would write it
        patched.setattr(document, "read_document", lambda _: None)
        write_model(own / "odd-01234567.safetensors", small_model(name="odd", **changes))
    workflow = Workflow(
        ViewerModel(), Library(own, tmp_path), Lanes(*(StepRunner() for _ in range(4)))
    )
    box = ModelBox(workflow)
    qtbot.addWidget(box)
    assert [box.models.itemText(row) for row in range(box.models.count())] == ["Zellen, größer"]
