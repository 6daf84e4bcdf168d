"""What menus and the command palette call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.widgets.preferences import PLUGIN

if TYPE_CHECKING:
    import napari

WIDGET = "RWKV Segmentation"


def open_dock(viewer: napari.Viewer, tab: str) -> SegmentationDock:
    """Return the dock, opened if need be, with a tab in front."""
    container, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    container.show()
    container.raise_()
    dock.show_tab(tab)
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
