"""Clicks on the canvas ask what a pixel looked at; nothing else does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel

from napari_rwkvseg.adapters.scan_layers import PREFIX
from napari_rwkvseg.workflow.explorer import Look, Shown
from tests.recording import scanning_model
from tests.widgets.docking import WAIT
from tests.widgets.explorer.exploring import ExplorerDesk, answer


def asking(viewer: Any, qtbot: QtBot) -> ExplorerDesk:
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.click(desk.page.look.ask)
    assert desk.seen.asking
    return desk


def test_a_click_on_the_canvas_asks_about_that_pixel(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.click_pixel(40, 60)
    qtbot.waitUntil(lambda: "look" in desk.ours, timeout=WAIT)
    assert desk.seen.pixel == (40, 60)
    expected = desk.seen.explanation.look(0, 0, (40, 60))
    np.testing.assert_array_equal(viewer.layers[PREFIX + "look"].data, expected.values)
    assert desk.page.look.answer.text() == f"Row 40, column 60: {expected.text}."


def test_each_way_of_looking_can_be_picked(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.click_pixel(40, 60)
    qtbot.waitUntil(lambda: desk.seen.answer != "", timeout=WAIT)
    desk.pick(desk.page.look.looks, list(Look).index(Look.NETWORK))
    qtbot.waitUntil(lambda: "95 % within" in desk.page.look.answer.text(), timeout=WAIT)
    look = viewer.layers[PREFIX + "look"]
    qtbot.waitUntil(lambda: look.data.shape == (64, 96), timeout=WAIT)


def test_a_drag_and_a_click_beside_the_image_ask_nothing(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.drag((20, 20), (40, 60))
    assert desk.seen.pixel is None
    desk.click_pixel(-5, 20)
    assert desk.seen.pixel is None


def test_without_the_switch_clicks_are_left_alone(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.click(desk.page.look.ask)
    desk.click_pixel(40, 60)
    assert desk.seen.pixel is None


def test_why_explains_itself_before_there_is_a_correction(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.click(desk.page.look.why)
    assert "Click a pixel first" in desk.page.look.reason.text()
    desk.click_pixel(40, 60)
    desk.click(desk.page.look.why)
    assert "Segment it first" in desk.page.look.reason.text()


def test_moving_with_shift_asks_about_the_pixels_on_the_way(viewer: Any, qtbot: QtBot) -> None:
    desk = asking(viewer, qtbot)
    desk.move((12, 30))
    qtbot.waitUntil(lambda: desk.pointed == (12, 30))
    assert desk.seen.pixel is None

    def moved(place: tuple[int, int]) -> bool:
        # again and again: napari takes the latest of several moves, maybe one of the real pointer
        desk.move(place, modifiers=Qt.KeyboardModifier.ShiftModifier)
        return desk.seen.pixel == place

    for place in ((10, 10), (20, 50)):
        qtbot.waitUntil(partial(moved, place), timeout=WAIT)
    qtbot.waitUntil(lambda: desk.seen.answer.startswith("Row 20, column 50:"), timeout=WAIT)
    qtbot.waitUntil(lambda: "look" in desk.ours, timeout=WAIT)
    assert len([name for name in desk.ours if "look" in name]) == 1


def test_a_corrected_pixel_is_explained_where_it_is_clicked(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot)
    desk.dock.tabs.show_page("Segment")
    mask = desk.segment()
    was = int(mask.data[40, 60])
    mask.brush_size, mask.selected_label = 9, 1 - was
    mask.paint((40, 60), 1 - was)
    desk.dock.tabs.show_page("Scan explorer")
    desk.explore()
    box = desk.page.look
    desk.click(box.ask)
    desk.click_pixel(40, 60)
    qtbot.waitUntil(lambda: desk.seen.answer != "", timeout=WAIT)
    desk.click(box.why)
    qtbot.waitUntil(lambda: len(desk.seen.reason) > 1, timeout=WAIT)
    names = ("background", "cell")
    assert box.reason.text().startswith(f"The model said {names[was]} with ")
    assert f"; {names[1 - was]} had " in box.reason.text()
    assert "within its reach" in box.reason.text() or "out of reach" in box.reason.text()
    assert box.looks.currentText() == "Whole network"  # what the picture shows now
    look = viewer.layers[PREFIX + "look"]
    qtbot.waitUntil(lambda: look.data.shape == (64, 96), timeout=WAIT)
    desk.click_pixel(2, 2)  # not corrected
    desk.click(box.why)
    assert "as the model wrote it" in box.reason.text()


@pytest.mark.parametrize("decoder", ["nested", "shuffle"])
def test_words_are_offered_where_the_decoder_has_some(
    viewer: Any, qtbot: QtBot, decoder: str
) -> None:
    desk = ExplorerDesk(viewer, qtbot, scanning_model(decoder=decoder)).explore()
    entries = desk.page.look.looks.model()
    assert isinstance(entries, QStandardItemModel)
    enabled = {look: entries.item(i).isEnabled() for i, look in enumerate(Look)}
    assert enabled == {look: look is not Look.WORDS or decoder == "nested" for look in Look}


def test_a_saved_look_says_which_head_looked(
    viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = asking(viewer, qtbot)
    desk.click_pixel(40, 60)
    qtbot.waitUntil(lambda: desk.seen.heat is not None, timeout=WAIT)
    desk.click_head(Shown(0, 3))
    qtbot.waitUntil(lambda: desk.seen.heat is not None, timeout=WAIT)
    answer(monkeypatch, tmp_path / "look.svg")
    desk.click(desk.page.export.look)
    qtbot.waitUntil(lambda: desk.state.message.text == "Saved look.svg.", timeout=WAIT)
    text = (tmp_path / "look.svg").read_text(encoding="utf-8")
    assert "Chosen head: encoder level 1, block 1, head 4, pixel (40, 60)" in text
