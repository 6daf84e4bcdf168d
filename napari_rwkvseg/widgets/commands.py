"""What menus and the command palette call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.widgets.preferences import PLUGIN
from napari_rwkvseg.workflow.correct import Part

if TYPE_CHECKING:
    import napari

    from napari_rwkvseg.widgets.correct.tab import CorrectTab

WIDGET = "RWKV Segmentation"


def open_dock(viewer: napari.Viewer, tab: str) -> SegmentationDock:
    """Return the dock, opened if need be, with a tab in front."""
    container, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    container.show()
    container.raise_()
    dock.tabs.show_page(tab)
    found: SegmentationDock = dock
    return found


def open_segment(viewer: napari.Viewer) -> None:
    """Open the Segment tab."""
    open_dock(viewer, "Segment")


def open_models(viewer: napari.Viewer) -> None:
    """Open the Models tab."""
    open_dock(viewer, "Models")


def open_explorer(viewer: napari.Viewer) -> None:
    """Open the Scan explorer tab."""
    open_dock(viewer, "Scan explorer")


def segment_active(viewer: napari.Viewer) -> None:
    """Segment the active image at once, with the settings of the Segment tab."""
    open_dock(viewer, "Segment").workflow.segment()


def open_correct(viewer: napari.Viewer) -> None:
    """Open the Correct tab."""
    open_dock(viewer, "Correct")


def accept_slice(viewer: napari.Viewer) -> None:
    """Accept the slice in sight, or the whole of a 2-D image."""
    _correct_tab(viewer).correcting.accept(Part.SLICE)


def retrain(viewer: napari.Viewer) -> None:
    """Retrain on all corrections, with the settings of the Correct tab."""
    _correct_tab(viewer).correcting.models.retraining.start()


def _correct_tab(viewer: napari.Viewer) -> CorrectTab:
    from napari_rwkvseg.widgets.correct.tab import CorrectTab

    page = open_dock(viewer, "Correct").tabs.page("Correct")
    if not isinstance(page, CorrectTab):
        raise TypeError(f"the Correct tab is a {type(page).__name__}")
    return page
