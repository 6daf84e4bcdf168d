from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialogButtonBox, QLabel, QWidget

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.widgets.model_box import CardDialog
from napari_rwkvseg.widgets.model_card import card_rows, score, scores
from napari_rwkvseg.widgets.models import ModelsTab
from napari_rwkvseg.workflow import Lanes, Workflow
from tests.fakes import fake_model
from tests.store.model_builders import small_model
from tests.workflow.builders import Bench, StepRunner

FULL = ModelCard(
    "nuclei",
    "Nuclei",
    "Fluorescence",
    ("nucleus",),
    objects=True,
    data="DSB 2018",
    data_licence="CC0",
    metrics={"dice_mean": 0.9234, "iou_mean": 0.8621, "n": 87},
    parent="abcdef0123456789",
)


@pytest.fixture
def tab(qtbot: QtBot) -> Any:
    tab = ModelsTab(Bench(fake_model()).workflow)
    qtbot.addWidget(tab)
    return tab


def test_models_are_listed_and_the_first_card_is_shown(tab: ModelsTab) -> None:
    assert [tab.list.item(i).text() for i in range(tab.list.count())] == ["Bright things"]
    assert tab.chosen is not None
    assert tab.export_button.isEnabled()


def test_deleting_offers_undo_and_undo_brings_it_back(tab: ModelsTab) -> None:
    assert tab.undo_button.isHidden()
    tab.delete_button.click()
    assert tab.list.count() == 0
    assert not tab.undo_button.isHidden()
    assert not tab.empty.isHidden()
    assert not tab.delete_button.isEnabled()
    tab.undo_button.click()
    assert tab.list.count() == 1
    assert tab.undo_button.isHidden()


def three_models(qtbot: QtBot) -> ModelsTab:
    cards = [replace(fake_model().card, name=name) for name in ("aaa", "bbb", "ccc")]
    tab = ModelsTab(Bench(*(replace(fake_model(), card=card) for card in cards)).workflow)
    qtbot.addWidget(tab)
    return tab


@pytest.mark.usefixtures("double_clicks")
def test_a_double_click_deletes_one_model(qtbot: QtBot) -> None:
    tab = three_models(qtbot)
    tab.list.setCurrentRow(1)
    tab.delete_button.click()
    tab.delete_button.click()
    assert tab.list.count() == 2


def test_undo_brings_all_back_that_were_deleted_the_last_first(qtbot: QtBot) -> None:
    tab = three_models(qtbot)
    for row in (2, 1):
        tab.list.setCurrentRow(row)
        tab.delete_button.click()
    tab.undo_button.click()
    assert tab.chosen is not None
    assert tab.chosen.name == "bbb"
    tab.undo_button.click()
    assert (tab.list.count(), tab.chosen.name) == (3, "ccc")
    assert tab.undo_button.isHidden()


def test_undo_is_offered_where_only_versions_that_were_not_in_use_are_deleted(
    qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "bundled").mkdir()
    write_model(tmp_path / "bundled" / "cells.safetensors", small_model(0))
    library = Library(tmp_path / "own", bundled=tmp_path / "bundled")
    library.install(small_model(1), activate=False)
    workflow = Workflow(ViewerModel(), library, Lanes(*(StepRunner() for _ in range(4))))
    tab = ModelsTab(workflow)
    qtbot.addWidget(tab)
    tab.delete_button.click()
    assert not tab.undo_button.isHidden()
    tab.undo_button.click()
    assert tab.undo_button.isHidden()
    assert len(library.versions("cells")) == 2


def test_a_card_shows_only_what_is_known() -> None:
    names = [name for name, _ in card_rows(FULL)]
    assert names == ["Reads", "Finds", "Scores", "Data", "Licence", "Lineage", "Use"]
    rows = dict(card_rows(FULL))
    assert rows["Finds"] == "nucleus (separate objects)"
    assert rows["Lineage"] == "Fine-tuned from abcdef01"
    assert rows["Use"] == "For research use only. Not for diagnostic use."
    assert dict(card_rows(replace(FULL, limits="Faint ones.")))["Limits"] == "Faint ones."
    assert dict(card_rows(replace(FULL, min_size=40)))["Leaves out"] == "Objects below 40 px"
    both = "Objects below 40 px, objects of which it is nowhere 98 % sure"
    assert dict(card_rows(replace(FULL, min_size=40, peak=0.98)))["Leaves out"] == both


def test_scores_are_short_in_the_list_and_whole_on_the_card() -> None:
    assert score(FULL) == "Dice 0.92 (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}87)"
    assert scores(FULL) == "Dice 0.923, IoU 0.862, 87 validation images"
    seeds = {"seeds": 3, "dice_seeds_mean": 0.9214, "dice_seeds_sd": 0.0021}
    several = replace(FULL, metrics={**FULL.metrics, **seeds})
    assert scores(several).endswith("87 validation images, 3 seeds 0.921 ± 0.002")
    assert score(ModelCard("a", "A", "CT", ("x",))) == ""


def test_the_card_opens_in_a_window_that_fits_its_text(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    long = "Finds faint nuclei beside bright ones in part only. " * 8
    dialog = CardDialog(replace(FULL, limits=long), parent)
    with qtbot.waitExposed(dialog):
        dialog.open()
    labels = dialog.view.findChildren(QLabel)
    assert long in [label.text() for label in labels]
    for label in labels:
        assert label.height() >= label.heightForWidth(label.width())
    close = dialog.findChild(QDialogButtonBox)
    assert close is not None
    last = max(label.geometry().bottom() for label in labels)
    assert 0 < close.y() - dialog.view.y() - last < 3 * labels[0].height()
    QTest.mouseClick(close.buttons()[0], Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
