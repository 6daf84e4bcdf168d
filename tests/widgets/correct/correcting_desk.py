"""A real window with the Correct tab in front, a real library, and hands to paint with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget

from napari_rwkvseg.store.library import Library
from napari_rwkvseg.widgets.correct.tab import CorrectTab
from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.workflow.correct import CorrectState
from tests.corrected import model
from tests.widgets.docking import WAIT, Desk


class CorrectDesk(Desk):
    """The dock with the Correct tab in front."""

    def __init__(self, viewer: Any, qtbot: QtBot, folder: Path) -> None:
        self.viewer, self.bot = viewer, qtbot
        self.library = Library(folder / "models", folder / "none bundled")
        self.start = self.library.install(model(border=0.9))
        self.dock = SegmentationDock(viewer, library=self.library)
        viewer.window.add_dock_widget(self.dock, name="RWKV Segmentation")
        qtbot.waitUntil(self.dock.isVisible)
        self.state = self.dock.workflow.state
        page = self.dock.tabs.page("Correct")
        assert isinstance(page, CorrectTab)
        self.page = page
        self.seen: CorrectState = page.correcting.state

    def open(self, image: NDArray[Any]) -> Any:
        """Open an image, segment it, and turn to the Correct tab; return the mask."""
        self.viewer.add_image(image, name="discs")
        self.segment()
        self.dock.tabs.show_page("Correct")
        self.bot.waitUntil(lambda: self.seen.count.unseen == image.size, timeout=WAIT)
        subject = self.page.correcting.subjects.current
        assert subject is not None
        return subject.layer

    @property
    def canvas(self) -> QWidget:
        widgets = self.dock.window().findChildren(QWidget)
        return next(w for w in widgets if "CanvasBackend" in type(w).__name__)

    def stroke(self, start: QPoint, end: QPoint) -> None:
        """Paint a line on the canvas; points are pixels from its middle."""
        middle, button = self.canvas.rect().center(), Qt.MouseButton.LeftButton
        points = [middle + start + (end - start) * step / 8 for step in range(9)]
        self.bot.mouseMove(self.canvas, points[0])
        self.bot.mousePress(self.canvas, button, pos=points[0])
        for point in points[1:]:
            self.bot.mouseMove(self.canvas, point)
        self.bot.mouseRelease(self.canvas, button, pos=points[-1])

    def paint_truth(self, mask: Any, truth: NDArray[np.uint8]) -> None:
        wrong = mask.data != truth
        mask.data_setitem(np.nonzero(wrong), truth[wrong])

    def retrain(self) -> None:
        """Click Retrain and wait until the mask has followed."""
        self.click(self.page.retrain.button)
        assert self.page.retrain.button.text() == "Cancel"
        self.bot.waitUntil(lambda: not self.seen.running, timeout=WAIT)
        self.bot.waitUntil(lambda: not self.seen.running, timeout=WAIT)
