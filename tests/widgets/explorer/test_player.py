"""Playing the visit in a real window."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_rwkvseg.adapters.scan_layers import PREFIX, visit_limits
from napari_rwkvseg.workflow.explorer import Shown
from tests.widgets.explorer.exploring import ExplorerDesk

FRAMES = 20
FRAME_SECONDS = 1 / 20


def test_play_walks_through_the_visit_and_stops_at_its_end(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    player = desk.page.player
    desk.pick(player.speed, 2)
    seen: list[int] = []
    desk.seen.events.step.connect(lambda step: seen.append(step))
    desk.click(player.play)
    assert player.play.text() == "Pause"
    qtbot.waitUntil(lambda: not player.playing, timeout=20_000)
    assert seen == sorted(seen)
    assert (seen[-1], player.play.text()) == (63, "Play")
    limits = viewer.layers[PREFIX + "order"].contrast_limits
    np.testing.assert_allclose(limits, visit_limits(63))


def test_pause_and_steps_are_exact(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    player = desk.page.player
    desk.click(player.play)
    desk.click(player.play)
    assert not player.playing
    player.slider.setValue(30)
    desk.click(player.forward)
    desk.click(player.forward)
    desk.click(player.back)
    assert desk.seen.step == 31
    assert player.text.text() == "Step 32 of 64"
    np.testing.assert_allclose(viewer.layers[PREFIX + "order"].contrast_limits, visit_limits(31))


def test_another_head_starts_complete_and_still(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.click(desk.page.player.play)
    desk.click_head(Shown(1, 3))
    assert not desk.page.player.playing
    assert desk.seen.step == desk.seen.steps - 1 == 95


def test_a_frame_on_a_large_grid_leaves_time_for_twenty_a_second(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    layer = viewer.layers[PREFIX + "order"]
    layer.data = np.arange(128 * 128, dtype=np.int32).reshape(128, 128)
    desk.seen.steps = 128 * 128
    QApplication.processEvents()
    began = time.thread_time()  # of this thread: other programs do not count
    for frame in range(FRAMES):
        desk.page.explorer.show_step(frame * 800)
        QApplication.processEvents()
    assert (time.thread_time() - began) / FRAMES < FRAME_SECONDS
