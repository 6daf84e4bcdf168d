"""`demo`: napari with a sample image and the dock, ready to click Segment."""

from __future__ import annotations

import argparse

from napari_rwkvseg.cli.common import Commands


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="open napari with a sample", description=__doc__)
    parser.add_argument("--sample", default="nuclei", choices=("nuclei", "tissue", "ct"))
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Open the window; return when it is closed."""
    from napari_rwkvseg.widgets.demo import show_demo  # imports Qt: only this command needs it

    show_demo(parsed.sample)
    return 0
