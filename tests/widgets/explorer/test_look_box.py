"""Clicks on the canvas ask what a pixel looked at; nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
from pytestqt.qtbot import QtBot

from napari_rwkvseg.adapters.scan_layers import PREFIX
from napari_rwkvseg.workflow.explorer import Look
from tests.widgets.docking import WAIT
from tests.widgets.explorer.exploring import ExplorerDesk


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
    heat = viewer.layers[PREFIX + "look"]
    qtbot.waitUntil(lambda: heat.data.shape == (64, 96))


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
