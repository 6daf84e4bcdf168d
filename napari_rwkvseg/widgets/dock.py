"""The dock: tabs, the message line, the footer, and the end of all work with the window.

The first page is there when the dock opens. To import and to make the others takes as long again,
so each comes in a later turn of the event loop, or when somebody asks for it sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QEvent
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QMainWindow, QScrollArea, QTabWidget, QVBoxLayout, QWidget
from vispy.scene.visuals import Line

from napari_rwkvseg.store.library import Library, data_folder
from napari_rwkvseg.widgets.footer import Footer
from napari_rwkvseg.widgets.hand import WheelGuard
from napari_rwkvseg.widgets.message import MessageLine
from napari_rwkvseg.widgets.preferences import compute_settings
from napari_rwkvseg.widgets.recovery_bar import RecoveryBar
from napari_rwkvseg.widgets.segment import SegmentTab
from napari_rwkvseg.widgets.style import DOCK_WIDTH, GAP, dock_stylesheet
from napari_rwkvseg.widgets.turns import Turns
from napari_rwkvseg.widgets.workers import JobRunner, WindowGuard
from napari_rwkvseg.workflow import Lanes, Workflow
from napari_rwkvseg.workflow.returning import Returning
from napari_rwkvseg.workflow.safekeeping import AUTOSAVE, Safekeeping, SafekeepingRunners
from napari_rwkvseg.workflow.shelf import ModelSource

if TYPE_CHECKING:
    import napari


def _correct(workflow: Workflow) -> QWidget:
    from napari_rwkvseg.widgets.correct.tab import CorrectTab

    return CorrectTab(workflow)


def _explorer(workflow: Workflow) -> QWidget:
    from napari_rwkvseg.widgets.explorer.tab import ExplorerTab

    return ExplorerTab(workflow)


def _models(workflow: Workflow) -> QWidget:
    from napari_rwkvseg.widgets.models import ModelsTab

    return ModelsTab(workflow)


PAGES: dict[str, Callable[[Workflow], QWidget]] = {
    "Segment": SegmentTab,
    "Correct": _correct,
    "Scan explorer": _explorer,
    "Models": _models,
}


class Tabs(QTabWidget):
    """The pages of the dock, each in an area that scrolls.

    Parameters
    ----------
    workflow : Workflow
        Handed to each page.
    later : callable
        Runs a function in a turn of its own.
    """

    def __init__(self, workflow: Workflow, later: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self._workflow, self._closed = workflow, False
        self._areas = {title: _scroll_area() for title in PAGES}
        for title, area in self._areas.items():
            self.addTab(area, title)
        first, *others = PAGES
        self.page(first)
        self.currentChanged.connect(lambda index: self.page(self.tabText(index)))
        workflow.closing.connect(self._close)
        for title in others:
            later(partial(self._make_in_time, title))

    def page(self, title: str) -> QWidget:
        """Return the page of a title, made by now if it was not."""
        area = self._areas[title]
        if area.widget() is None:
            page = PAGES[title](self._workflow)
            area.setWidget(page)
            WheelGuard(page)
        return area.widget()

    def show_page(self, title: str) -> None:
        """Bring a page to the front."""
        self.setCurrentWidget(self._areas[title])

    def _make_in_time(self, title: str) -> None:
        if not self._closed:
            self.page(title)

    def _close(self) -> None:
        self._closed = True


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
        self._returning = Returning(self.workflow)
        self._guard = WindowGuard(self.workflow.close, self)

        self.tabs = Tabs(self.workflow, turns.later)
        self.recovery = RecoveryBar(self.safekeeping)
        self.message = MessageLine(self.workflow)
        self.footer = Footer(self.workflow, turns.later)
        self.setMinimumWidth(DOCK_WIDTH)

        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tabs, stretch=1)
        column.addWidget(self.recovery)
        column.addWidget(self.message)
        column.addWidget(self.footer)

        napari_viewer.events.theme.connect(self._apply_theme)
        self._apply_theme()

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


def _scroll_area() -> QScrollArea:
    """Return an area that scrolls up and down on small screens, never sideways."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    return area
