"""A real window with the explorer in front, and hands to click with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_rwkvseg.adapters.scan_layers import PREFIX
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.widgets.explorer.tab import ExplorerTab
from napari_rwkvseg.workflow.explorer import ExplorerState, Shown
from tests.recording import scanning_model
from tests.widgets.docking import WAIT, Desk

NOISE = np.random.default_rng(8).random((64, 96)).astype(np.float32)


def answer(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    """Let every dialog that asks for a file be left with this name typed, or by Cancel."""

    def left(dialog: QFileDialog) -> bool:
        dialog.selectFile(str(path))
        return path is not None

    monkeypatch.setattr(QFileDialog, "exec", left)


class ExplorerDesk(Desk):
    """The dock with the explorer's tab in front."""

    def __init__(
        self, viewer: Any, qtbot: QtBot, *models: Model, image: NDArray[Any] = NOISE
    ) -> None:
        viewer.add_image(image, name="noise")
        super().__init__(viewer, qtbot, *(models or (scanning_model(),)))
        self.dock.tabs.show_page("Scan explorer")
        page = self.dock.tabs.page("Scan explorer")
        assert isinstance(page, ExplorerTab)
        self.page = page
        self.seen: ExplorerState = page.explorer.state

    def explore(self) -> ExplorerDesk:
        """Click Explore and wait for the first head."""
        self.click(self.page.button)
        self.bot.waitUntil(lambda: "order" in self.ours and "path" in self.ours, timeout=WAIT)
        return self

    @property
    def ours(self) -> list[str]:
        return [x.name.removeprefix(PREFIX) for x in self.viewer.layers if PREFIX in x.name]

    def click_head(self, shown: Shown) -> None:
        """Click the row of a head in the tree."""
        tree = self.page.tree.tree
        item = self.page.tree.heads()[shown]
        item.parent().setExpanded(True)
        tree.scrollToItem(item)
        row: QRect = tree.visualItemRect(item)
        self.click(tree.viewport(), row.center())
        self.bot.waitUntil(lambda: self.seen.shown == shown)
        self.bot.waitUntil(lambda: np.array_equal(self.order, self.path(shown)), timeout=WAIT)

    @property
    def order(self) -> NDArray[Any]:
        return np.asarray(self.viewer.layers[PREFIX + "order"].data)

    def path(self, shown: Shown) -> NDArray[Any]:
        return self.seen.explanation.path(shown.layer, shown.head).rank  # type: ignore[union-attr]

    @property
    def canvas(self) -> QWidget:
        window = self.dock.window()
        found = [w for w in window.findChildren(QWidget) if "Canvas" in type(w).__name__]
        return max(found, key=lambda w: w.width())

    def on_canvas(self, row: float, column: float) -> QPoint:
        """Return where a pixel of the image lies on the canvas."""
        centre = np.array(self.viewer.scene.camera.center[-2:])
        down, across = (np.array((row, column)) - centre) * self.viewer.scene.camera.zoom
        middle = self.canvas.rect().center()
        return QPoint(round(middle.x() + across), round(middle.y() + down))

    def click_pixel(self, row: float, column: float) -> None:
        self.click(self.canvas, self.on_canvas(row, column))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        canvas, left = self.canvas, Qt.MouseButton.LeftButton
        self.bot.mousePress(canvas, left, pos=self.on_canvas(*start))
        self.bot.mouseMove(canvas, pos=self.on_canvas(*end))
        self.bot.mouseRelease(canvas, left, pos=self.on_canvas(*end))

    def move(
        self,
        place: tuple[float, float],
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """Move onto a pixel of the image, with keys held; the canvas takes it a little later."""
        canvas, none, at = self.canvas, Qt.MouseButton.NoButton, self.on_canvas(*place)
        spot = QPointF(at), QPointF(canvas.mapToGlobal(at))  # qtbot's moves know no keys
        event = QMouseEvent(QEvent.Type.MouseMove, *spot, none, none, modifiers)
        QApplication.sendEvent(canvas, event)

    @property
    def pointed(self) -> tuple[int, int]:
        """The pixel under the mouse, as napari knows it."""
        row, column = self.viewer.cursor.position[-2:]
        return round(row), round(column)
