"""`scan-order`: draw how a model reads an image, level by level and head by head."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_rwkvseg.cli.common import Commands, add_tile, run_with_bar
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats import read_image
from napari_rwkvseg.store.library import Library


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "scan-order", help="draw how a model reads an image", description=__doc__
    )
    parser.add_argument("--model", default="nuclei", help="name or file (default nuclei)")
    parser.add_argument("--image", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="default png")
    parser.add_argument("--axes", help="one letter per axis: t z n c s y x, for example zyx")
    parser.add_argument("--channel", type=int, help="which channel to read, from 0")
    parser.add_argument(
        "--plane", type=int, nargs="*", metavar="N", help="index along each leading axis, from 0"
    )
    add_tile(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Write all pictures and tables, and name them."""
    from napari_rwkvseg.engine.explain import as_one_channel, explain
    from napari_rwkvseg.engine.predict import PredictOptions
    from napari_rwkvseg.store.scan_report import write_report

    image = as_one_channel(read_image(parsed.image, parsed.axes), parsed.channel)
    index = chosen_plane(image, parsed.plane)
    model = Library().load(parsed.model)
    options = PredictOptions.for_tile(parsed.tile)
    seen = run_with_bar(explain(model, image, index, options=options), "reading")
    if not seen.trace.layers:
        raise ValueError(f'Model "{model.card.name}" does not scan: there is nothing to draw.')
    for path in run_with_bar(write_report(seen, parsed.out, f".{parsed.format}"), "drawing"):
        sys.stdout.write(f"{path}\n")
    return 0


def chosen_plane(image: ImageData, wanted: list[int] | None) -> tuple[int, ...]:
    """Return the index of the plane to draw; by default the middle one.

    Raises
    ------
    BadImageError
        If there is no such plane.
    """
    if not wanted:
        return tuple(side // 2 for side in image.lead_shape)
    sides = image.lead_shape
    if len(wanted) != len(sides) or any(not 0 <= n < side for n, side in zip(wanted, sides)):  # noqa: B905
        ranges = ", ".join(f"0 to {side - 1}" for side in sides) or "none: the image is one plane"
        asked = " ".join(map(str, wanted))
        raise BadImageError(image.name, f"no plane {asked}", f"Valid for --plane: {ranges}")
    return tuple(wanted)
