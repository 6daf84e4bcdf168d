"""Models that are exported, deleted and brought back, also where the disk refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.workflow import Lanes, Tone, Workflow
from tests.store.model_builders import small_model
from tests.workflow.builders import StepRunner


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    library = Library(tmp_path / "own", bundled=tmp_path / "none")
    library.install(small_model(name="cells"))
    return Workflow(ViewerModel(), library, Lanes(*(StepRunner() for _ in range(4))))


def test_undo_can_be_tried_again_where_it_failed(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, card = workflow.shelf, workflow.state.card
    assert card is not None
    shelf.delete(card)

    def busy(_: Any) -> None:
        raise ModelFileError("Another program is using the folder. Try again in a moment.")

    with monkeypatch.context() as patch:
        patch.setattr(shelf.library, "restore", busy)
        shelf.undo()
    assert workflow.state.message.text.endswith("Try again in a moment.")
    assert shelf.can_undo
    shelf.undo()
    assert not shelf.can_undo
    assert workflow.state.card == card


def test_an_export_that_fails_leaves_the_file_that_was_there(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, path = workflow.state.card, tmp_path / "copy.safetensors"
    assert card is not None
    workflow.shelf.export(card, path)
    whole = path.read_bytes()
    assert whole == workflow.shelf.library.path("cells").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    workflow.shelf.export(card, path)
    assert workflow.state.message.tone is Tone.ERROR
    assert "No space left on device" in workflow.state.message.text
    assert path.read_bytes() == whole
