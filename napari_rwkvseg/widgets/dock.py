"""The dock: tabs, the message line, the footer, and the end of all work with the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QEvent
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QMainWindow, QScrollArea, QTabWidget, QVBoxLayout, QWidget
from vispy.scene.visuals import Line

from napari_rwkvseg.store.library import Library, data_folder
from napari_rwkvseg.widgets.correct.tab import CorrectTab
from napari_rwkvseg.widgets.explorer.tab import ExplorerTab
from napari_rwkvseg.widgets.footer import Footer
from napari_rwkvseg.widgets.message import MessageLine
from napari_rwkvseg.widgets.models import ModelsTab
from napari_rwkvseg.widgets.preferences import compute_settings
from napari_rwkvseg.widgets.recovery_bar import RecoveryBar
from napari_rwkvseg.widgets.segment import SegmentTab
from napari_rwkvseg.widgets.style import DOCK_WIDTH, GAP, dock_stylesheet
from napari_rwkvseg.widgets.turns import Turns
from napari_rwkvseg.widgets.workers import JobRunner, WindowGuard
from napari_rwkvseg.workflow import Lanes, Workflow
from napari_rwkvseg.workflow.safekeeping import AUTOSAVE, Safekeeping, SafekeepingRunners
from napari_rwkvseg.workflow.shelf import ModelSource

if TYPE_CHECKING:
    import napari

TABS: tuple[tuple[str, Callable[[Workflow], QWidget]], ...] = (
    ("Segment", SegmentTab),
    ("Correct", CorrectTab),
    ("Scan explorer", ExplorerTab),
    ("Models", ModelsTab),
)


class SegmentationDock(QWidget):
    """The dock widget of the plugin.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Handed in by napari under this name.
    library : ModelSource, optional
        Where models come from; by default the bundled and the user's own.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        library: ModelSource | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        lanes = Lanes(*(JobRunner(self) for _ in range(4)))
        turns = Turns(self)
        self.workflow = Workflow(
            napari_viewer,
            library or Library(),
            lanes,
            compute_settings,
            turns.later,
            prepare_labels,
        )
        self.safekeeping = Safekeeping(
            self.workflow,
            SafekeepingRunners(JobRunner(self), JobRunner(self)),
            turns.after,
            data_folder() / AUTOSAVE,
        )
        self._guard = WindowGuard(self.workflow.close, self)

        self.tabs = QTabWidget()
        self.pages = {title: make(self.workflow) for title, make in TABS}
        self.recovery = RecoveryBar(self.safekeeping)
        self.message = MessageLine(self.workflow)
        self.footer = Footer(self.workflow)
        self.setMinimumWidth(DOCK_WIDTH)

        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(0)
        for title, page in self.pages.items():
            self.tabs.addTab(scrolling(page), title)
        column.addWidget(self.tabs, stretch=1)
        column.addWidget(self.recovery)
        column.addWidget(self.message)
        column.addWidget(self.footer)

        napari_viewer.events.theme.connect(self._apply_theme)
        self._apply_theme()

    def show_tab(self, title: str) -> None:
        """Bring a tab to the front."""
        self.tabs.setCurrentIndex(list(self.pages).index(title))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Watch the main window, which only now is among the parents."""
        super().showEvent(event)
        window = self.parentWidget()  # not window(): the dock is one itself while it floats
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is not None:
            window.removeEventFilter(self._guard)
            window.installEventFilter(self._guard)

    def event(self, event: QEvent) -> bool:
        """Stop all work when the dock is closed: napari takes its parent away then."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.workflow.close()
        return bool(super().event(event))

    def _apply_theme(self, event: Any = None) -> None:
        self.setStyleSheet(dock_stylesheet(self.viewer.theme))


def prepare_labels() -> None:
    """Load what napari needs for its first Labels layer: 0.6 s, so in the thread of the run."""
    Labels(np.zeros((1, 1), np.uint8), features={"index": [0]})  # imports pandas
    Line(pos=np.array([(0, 0), (1, 1)]), method="agg")  # fills a cache of dash patterns


def scrolling(page: QWidget) -> QScrollArea:
    """Return `page` in an area that scrolls up and down on small screens, never sideways."""
    area = QScrollArea()
    area.setWidget(page)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    return area
