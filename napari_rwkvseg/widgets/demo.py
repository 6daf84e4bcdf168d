"""The demo: napari with a sample image and the dock beside it, ready to click Segment."""

from __future__ import annotations

from dataclasses import dataclass

import napari
from qtpy.QtWidgets import QPushButton

from napari_rwkvseg.adapters.samples import sample_path
from napari_rwkvseg.widgets.commands import open_dock
from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.widgets.preferences import PLUGIN
from napari_rwkvseg.widgets.segment import SegmentTab

WINDOW_SIZE = (1400, 900)


@dataclass(frozen=True, eq=False)
class Demo:
    """What `open_demo` put on the screen."""

    viewer: napari.Viewer
    dock: SegmentationDock

    @property
    def button(self) -> QPushButton:
        """The button Segment."""
        page = self.dock.tabs.page("Segment")
        if not isinstance(page, SegmentTab):
            raise TypeError(f"the Segment tab is a {type(page).__name__}")
        return page.run.button


def open_demo(sample: str = "nuclei") -> Demo:
    """Open a window with a sample and the dock; return at once.

    Parameters
    ----------
    sample : str
        One of `napari_rwkvseg.adapters.samples.SAMPLES`.

    Raises
    ------
    RwkvSegError
        If there is no such sample.
    """
    sample_path(sample)  # refuses an unknown name before any window appears
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW_SIZE)
    viewer.open_sample(PLUGIN, sample)
    viewer.layers.selection.active = viewer.layers[sample]
    return Demo(viewer, open_dock(viewer, "Segment"))


def show_demo(sample: str = "nuclei") -> None:
    """Open the demo and stay until its window is closed.

    Parameters
    ----------
    sample : str
        As in `open_demo`.
    """
    open_demo(sample)
    napari.run()
