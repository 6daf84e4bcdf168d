"""Builders for tests with real windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QComboBox, QTableView, QWidget

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.widgets.segment import SegmentTab
from tests.workflow.builders import FakeLibrary

WAIT = 60_000  # ms, for jobs on a busy machine


class Desk:
    """A viewer, the dock in it, and hands to click with."""

    def __init__(self, viewer: Any, qtbot: QtBot, *models: Model) -> None:
        self.viewer, self.bot = viewer, qtbot
        self.dock = SegmentationDock(viewer, library=FakeLibrary(*models))
        viewer.window.add_dock_widget(self.dock, name="RWKV Segmentation")
        qtbot.waitUntil(self.dock.isVisible)
        self.state = self.dock.workflow.state

    @property
    def tab(self) -> SegmentTab:
        tab = self.dock.tabs.page("Segment")
        assert isinstance(tab, SegmentTab)
        return tab

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        place = widget.rect().center() if at is None else at
        self.bot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)

    def click_row(self, view: QTableView, row: int) -> None:
        self.click(view.viewport(), view.visualRect(view.model().index(row, 0)).center())

    def pick(self, box: QComboBox, index: int) -> None:
        """Choose as people do: highlight with the keyboard, which also emits `activated`."""
        box.setFocus()
        step = Qt.Key.Key_Down if index > box.currentIndex() else Qt.Key.Key_Up
        while box.currentIndex() != index:
            self.bot.keyClick(box, step)

    def segment(self) -> Any:
        """Click Segment and wait for the mask and its table."""
        self.click(self.tab.run.button)
        self.wait_idle()
        return next(layer for layer in reversed(list(self.viewer.layers)) if is_mask(layer))

    def wait_idle(self) -> None:
        self.bot.waitUntil(lambda: not self.state.running, timeout=WAIT)
        results = self.dock.workflow.results
        self.bot.waitUntil(lambda: self.state.message.text != "" or not results.busy, timeout=WAIT)
        self.bot.waitUntil(lambda: not results.busy, timeout=WAIT)


def is_mask(layer: Any) -> bool:
    return type(layer).__name__ == "Labels"


def blobs(side: int = 64) -> NDArray[np.uint8]:
    """Two bright squares, 16 and 8 pixels wide."""
    image = np.full((side, side), 10, np.uint8)
    image[8:24, 8:24] = 200
    image[40:48, 40:48] = 180
    return image
