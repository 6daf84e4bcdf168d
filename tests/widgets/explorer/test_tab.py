"""The explorer in a real window: explore, choose heads, export, stop."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_rwkvseg.workflow import Tone
from napari_rwkvseg.workflow.explorer import Shown
from tests.widgets.docking import WAIT
from tests.widgets.explorer.exploring import ExplorerDesk, answer


def test_explore_shows_what_ran_and_stop_takes_it_away(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot)
    assert desk.ours == []
    assert not desk.page.tree.isVisible()
    desk.explore()
    np.testing.assert_array_equal(desk.order, desk.path(Shown(0, 0)))
    assert desk.page.tree.isVisible()
    assert desk.page.button.text() == "Stop exploring"
    desk.click(desk.page.button)
    qtbot.waitUntil(lambda: desk.ours == [], timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["noise"]
    assert desk.page.button.text() == "Explore"
    assert not desk.page.tree.isVisible()


def test_exploring_again_and_again_survives(viewer: Any, qtbot: QtBot) -> None:
    """Two layers that went in one turn once crashed the process at the next drawing."""
    desk = ExplorerDesk(viewer, qtbot)
    for _ in range(2):
        desk.explore()
        desk.click(desk.page.button)
        qtbot.waitUntil(lambda: desk.ours == [], timeout=WAIT)
    viewer.layers["noise"].contrast_limits = (0, 0.5)
    viewer.screenshot(canvas_only=False, flash=False)


def test_a_double_click_on_explore_leaves_one_set_or_none(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot)
    qtbot.mouseDClick(desk.page.button, Qt.MouseButton.LeftButton)
    desk.click(desk.page.button)
    explorer, three = desk.page.explorer, ["blocks", "order", "path"]
    qtbot.waitUntil(lambda: sorted(desk.ours) == (three if explorer.active else []), timeout=WAIT)


def test_the_tree_is_walked_with_the_arrow_keys(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    tree = desk.page.tree.tree
    desk.click_head(Shown(0, 1))
    qtbot.keyClick(tree, Qt.Key.Key_Down)
    assert desk.seen.shown == Shown(0, 2)
    qtbot.waitUntil(lambda: np.array_equal(desk.order, desk.path(Shown(0, 2))), timeout=WAIT)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Up):
        qtbot.keyClick(tree, key)
    assert tree.currentItem().text(0) == "Block 1"
    assert desk.seen.shown == Shown(0, 0)  # a block is no head: the last one stays
    qtbot.keyClick(tree, Qt.Key.Key_Left)
    assert not tree.currentItem().isExpanded()


def test_taking_the_image_away_ends_exploring(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.click(desk.page.player.play)
    viewer.layers.remove("noise")
    qtbot.waitUntil(lambda: list(viewer.layers) == [], timeout=WAIT)
    assert not desk.page.explorer.active
    assert not desk.page.player.playing
    assert desk.page.button.text() == "Explore"


def test_a_click_in_the_tree_draws_that_head(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    selected = set(viewer.layers.selection)
    for shown in (Shown(1, 3), Shown(3, 1), Shown(0, 2)):
        desk.click_head(shown)
    qtbot.waitUntil(lambda: desk.ours == ["order", "path", "blocks"])
    assert set(viewer.layers.selection) == selected
    assert "diagonal snake in 8×8 windows" in desk.page.tree.details.text()


def test_the_tree_names_level_block_and_head(viewer: Any, qtbot: QtBot) -> None:
    tree = ExplorerDesk(viewer, qtbot).explore().page.tree.tree
    tops = [tree.topLevelItem(i).text(0) for i in range(tree.topLevelItemCount())]
    assert tops[0] == "Encoder level 1 · 12×8 of 8 px"
    assert tops[-1] == "Decoder level 2 · 12×8 of 8 px"
    block = tree.topLevelItem(1).child(0)
    assert block.text(0) == "Block 1"
    assert [block.child(i).text(0) for i in range(4)] == [
        "1 column snake in 8×8 windows",
        "2 row snake in 8×8 windows",
        "3 anti-diagonal snake in 8×8 windows",
        "4 Hilbert, global",
    ]


def test_closing_the_dock_leaves_the_viewer_as_it_was(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    viewer.window.remove_dock_widget(desk.dock)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["noise"], timeout=WAIT)
    with qtbot.waitSignal(desk.dock.destroyed):
        desk.dock.deleteLater()


def test_a_closed_dock_that_explored_is_freed(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.click(desk.page.look.ask)
    gone = weakref.ref(desk.dock)
    viewer.window.remove_dock_widget(desk.dock)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=WAIT)
    del desk
    qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_wider_than_the_narrowest_dock(viewer: Any, qtbot: QtBot, theme: str) -> None:
    viewer.theme = theme
    desk = ExplorerDesk(viewer, qtbot).explore()
    bar = 16  # px of a vertical scroll bar
    assert desk.page.minimumSizeHint().width() <= 280 - bar


def test_exports_are_files_of_what_is_shown(
    viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.click_head(Shown(1, 3))
    box, message = desk.page.export, desk.dock.message
    for button, name in (
        (box.picture, "head.png"),
        (box.order, "order.csv"),
    ):
        path = tmp_path / name
        answer(monkeypatch, path.with_suffix(""))  # nobody types the ending
        desk.click(button)
        qtbot.waitUntil(lambda n=name: message.text() == f"Saved {n}.", timeout=WAIT)
        assert message.isVisible()
        assert path.stat().st_size > 1000
    lines = (tmp_path / "order.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 8 * 12
    answer(monkeypatch, None)
    desk.click(box.overview)  # given up
    answer(monkeypatch, tmp_path / "head.jpg")
    desk.click(box.picture)
    qtbot.waitUntil(lambda: "head.jpg: a picture is saved as .png" in message.text(), timeout=WAIT)
    assert desk.state.message.tone is Tone.ERROR
    assert sorted(p.name for p in tmp_path.iterdir()) == ["head.png", "order.csv"]
