from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QPushButton

from napari_rwkvseg.adapters.writers import write_labels
from napari_rwkvseg.store.journal import Journal, Sweep
from napari_rwkvseg.store.recovery import Recovery
from napari_rwkvseg.widgets.recovery_bar import sentence
from tests.fakes import fake_model
from tests.widgets.docking import WAIT, Desk, blobs, is_mask


@pytest.fixture
def root(data_folder: Path) -> Path:
    return data_folder / "autosave"


@pytest.fixture
def desk(viewer: Any, qtbot: QtBot) -> Desk:
    return Desk(viewer, qtbot, fake_model())


def leave_strokes(root: Path, strokes: int = 3) -> None:
    """As a program does that is killed."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:strokes, 0] = 1
    journal = Journal(root, blobs())
    journal.sweep(Sweep(mask, strokes))
    journal.close()


def journals(root: Path) -> int:
    return len([path for path in root.glob("*") if path.is_dir()])


def offered(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.bot.waitUntil(desk.dock.recovery.isVisible, timeout=WAIT)


def test_without_a_crash_there_is_no_bar(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.segment()
    assert not desk.dock.recovery.isVisible()


def test_restore_brings_the_strokes_back_in_a_new_layer(desk: Desk, root: Path) -> None:
    leave_strokes(root)
    offered(desk)
    assert desk.dock.recovery.text.text().endswith(", 3 strokes.")
    desk.click(desk.dock.recovery.restore)
    desk.bot.waitUntil(lambda: desk.viewer.layers[-1].data.shape == (64, 64), timeout=WAIT)
    assert [layer.name for layer in desk.viewer.layers] == ["cells", "cells · restored mask"]
    assert desk.viewer.layers[-1].data.sum() == 3
    assert not desk.dock.recovery.isVisible()


def test_later_hides_the_bar_and_keeps_the_strokes(desk: Desk, root: Path) -> None:
    leave_strokes(root)
    offered(desk)
    desk.click(desk.dock.recovery.later)
    assert not desk.dock.recovery.isVisible()
    assert journals(root) == 1


def test_discard_asks_once_more(desk: Desk, root: Path) -> None:
    leave_strokes(root)
    offered(desk)
    discard: QPushButton = desk.dock.recovery.discard
    desk.click(discard)
    assert (discard.text(), journals(root)) == ("Really?", 1)
    desk.click(discard)
    assert not desk.dock.recovery.isVisible()
    assert journals(root) == 0


def test_a_dock_that_is_opened_again_goes_on_with_the_strokes(
    viewer: Any, qtbot: QtBot, root: Path
) -> None:
    first = Desk(viewer, qtbot, fake_model())
    viewer.add_image(blobs(), name="cells")
    mask = first.segment()
    mask.paint((5, 60), 1)
    qtbot.waitUntil(lambda: any(root.rglob("journal")), timeout=WAIT)
    viewer.window.remove_dock_widget(first.dock)
    second = Desk(viewer, qtbot, fake_model())
    qtbot.waitUntil(lambda: not second.dock.workflow.results.busy, timeout=WAIT)
    (journal,) = root.rglob("journal")
    size = journal.stat().st_size
    mask.paint((60, 60), 1)
    qtbot.waitUntil(lambda: journal.stat().st_size > size, timeout=WAIT)
    assert not second.dock.recovery.isVisible()
    assert journals(root) == 1


@pytest.mark.usefixtures("double_clicks")
def test_a_double_click_on_discard_deletes_nothing(desk: Desk, root: Path) -> None:
    leave_strokes(root)
    offered(desk)
    desk.click(desk.dock.recovery.discard)
    desk.click(desk.dock.recovery.discard)
    assert desk.dock.recovery.isVisible()
    assert journals(root) == 1


def test_a_painted_stroke_is_on_the_disk_while_the_window_is_open(desk: Desk, root: Path) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    mask = desk.segment()
    mask.paint((5, 60), 1)
    desk.bot.waitUntil(lambda: any(root.rglob("journal")), timeout=WAIT)
    (journal,) = root.rglob("journal")
    size = journal.stat().st_size
    mask.paint((60, 60), 1)
    desk.bot.waitUntil(lambda: journal.stat().st_size > size, timeout=WAIT)


def test_closing_the_window_keeps_the_last_stroke(desk: Desk, root: Path) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.segment().paint((5, 60), 1)
    desk.viewer.close()
    assert journals(root) == 1


def test_a_mask_that_was_saved_to_a_file_is_kept_elsewhere(
    desk: Desk, root: Path, tmp_path: Path
) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    mask = desk.segment()
    mask.paint((5, 60), 1)
    desk.bot.waitUntil(lambda: journals(root) == 1, timeout=WAIT)
    data, attributes, _ = mask.as_layer_data_tuple()  # what napari hands to a writer
    write_labels(str(tmp_path / "mask.tif"), data, attributes)
    desk.viewer.close()
    assert journals(root) == 0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="modes do not bind root")
def test_a_folder_that_cannot_be_written_is_said_and_painting_goes_on(
    desk: Desk, data_folder: Path
) -> None:
    data_folder.mkdir(parents=True, exist_ok=True)
    data_folder.chmod(0o500)
    desk.viewer.add_image(blobs(), name="cells")
    mask = desk.segment()
    mask.paint((5, 60), 1)
    desk.bot.waitUntil(lambda: "cannot be autosaved" in desk.dock.message.text(), timeout=WAIT)
    data_folder.chmod(0o700)
    assert mask.data[5, 60] == 1


def test_a_disk_that_refuses_is_said_and_painting_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_rwkvseg.store.journal_tape.os.fsync", fail)
    desk.viewer.add_image(blobs(), name="cells")
    mask = desk.segment()
    assert is_mask(mask)
    mask.paint((5, 60), 1)
    desk.bot.waitUntil(lambda: "cannot be autosaved" in desk.dock.message.text(), timeout=WAIT)
    assert desk.dock.message.property("tone") == "error"


@pytest.mark.parametrize(
    ("strokes", "hours", "text"),
    [
        (1, 0, "Unsaved corrections from 15:04, 1 stroke."),
        (2, 7, "Unsaved corrections from 15:04, 2 strokes."),
        (2, 24, "Unsaved corrections from 3 May 2026, 15:04, 2 strokes."),
    ],
)
def test_the_sentence_is_in_local_time(strokes: int, hours: int, text: str) -> None:
    then = datetime(2026, 5, 3, 13, 4, tzinfo=UTC)
    offer = Recovery(Path(), then, strokes, strokes, np.zeros((1, 1), np.uint8), b"")
    here = timezone(timedelta(hours=2))
    assert sentence(offer, (then + timedelta(hours=hours)).astimezone(here)) == text
