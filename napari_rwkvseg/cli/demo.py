"""`demo`: napari with a sample image and the dock, ready to click Segment."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from napari_rwkvseg.cli.common import Commands
from napari_rwkvseg.errors import RwkvSegError

BINDINGS = ("PyQt5", "PyQt6", "PySide2", "PySide6")


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="open napari with a sample", description=__doc__)
    parser.add_argument("--sample", default="nuclei", choices=("nuclei", "tissue", "ct"))
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Open the window; return when it is closed."""
    if not any(map(find_spec, BINDINGS)):
        raise RwkvSegError("There is no Qt to open a window. Install napari-rwkvseg[pyqt5].")
    from napari_rwkvseg.widgets.demo import show_demo  # imports Qt: only this command needs it

    show_demo(parsed.sample)
    return 0
