"""Figures to look at in a window of their own, drawn by a job; torch is imported inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rwkvseg.engine.progress import Job, Progress
from napari_rwkvseg.engine.torch_loading import load_torch
from napari_rwkvseg.workflow.explorer import jobs
from napari_rwkvseg.workflow.explorer.jobs import Read, Reading
from napari_rwkvseg.workflow.explorer.state import Look, Picture, Pixel, Shown

if TYPE_CHECKING:
    from napari_rwkvseg.engine.card import Model
    from napari_rwkvseg.engine.explain import Explanation
    from napari_rwkvseg.engine.image import ImageData
    from napari_rwkvseg.engine.progress import CancelToken
    from napari_rwkvseg.store.beside import Side

SAMPLE = "nuclei"  # what a model is shown on where no image is open


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane to draw on.

    Attributes
    ----------
    image : ImageData
        All of it.
    index : tuple of int
        Which plane.
    channel : int or None
        Which of several channels.
    """

    image: ImageData
    index: tuple[int, ...] = ()
    channel: int | None = None


def overview(load: Callable[[], Model], plane: Plane | None, token: CancelToken) -> Job[Picture]:
    """Draw how a model reads a plane, all levels and heads; None: the plane of a sample."""
    yield Progress(0, 0, "Loading the model")
    load_torch()
    from napari_rwkvseg.adapters.samples import sample_path
    from napari_rwkvseg.engine.explain import as_one_channel, explain
    from napari_rwkvseg.store.figures import draw_overview, render, save_overview
    from napari_rwkvseg.store.formats import read_image

    plane = plane or Plane(read_image(sample_path(SAMPLE)))
    image = as_one_channel(plane.image, plane.channel)
    found = yield from explain(load(), image, plane.index, token=token)
    jobs.check_scans(found)
    yield Progress(1, 2, "Drawing")
    png = render(draw_overview(found))
    title = found.card.title or found.card.name
    return Picture(f"How {title} reads {image.name}", png, lambda path: save_overview(path, found))


def write(picture: Picture, path: Path) -> Job[Path]:
    """Save a figure.

    Raises
    ------
    RwkvSegError
        If that is impossible.
    """
    yield Progress(0, 1, f"Writing {path.name}")
    with jobs.telling_why_not(path):
        picture.save(path)
    return path


def beside(
    read: Read,
    other: Reading | None,
    heads: tuple[Shown, Shown],
    look: tuple[Look, Pixel] | None,
    token: CancelToken,
) -> Job[Picture]:
    """Draw two heads side by side, on one image or each on an image of its own.

    Parameters
    ----------
    read : Read
        Left.
    other : Reading or None
        What to read for the right; None for the same.
    heads : tuple of Shown
        Left and right.
    look : tuple or None
        The pixel asked about, and through what; in the other image the same place.
    token : CancelToken
        Polled while reading.
    """
    right = read if other is None else (yield from jobs.read(other, token))
    yield Progress(0, 1, "Drawing")
    from napari_rwkvseg.store.beside import draw_beside, save_beside
    from napari_rwkvseg.store.figures import render

    pairs = zip((read, right), heads, strict=True)
    sides = [_side(one.explanation, shown, look) for one, shown in pairs]
    names = dict.fromkeys(side.explanation.image.name for side in sides)
    title = f"Side by side: {' and '.join(names)}"
    return Picture(title, render(draw_beside(sides)), lambda path: save_beside(path, sides))


def _side(explanation: Explanation, shown: Shown, look: tuple[Look, Pixel] | None) -> Side:
    from napari_rwkvseg.store.beside import Side

    if look is None or not explanation.covers(look[1]):
        return Side(explanation, shown.layer, shown.head)
    heat = jobs.heat_of(explanation, look[0], shown, look[1])
    return Side(explanation, shown.layer, shown.head, heat)
