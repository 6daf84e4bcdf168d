"""A person who corrects masks, as far as pixels and seconds go, and the ways to choose a place.

The figures are assumptions, stated so that they can be changed; all arms of a comparison share
them. Two are those of the keystroke-level model (Card, Moran, Newell 1980): 1.35 s to make up
one's mind and 1.1 s to point, which a stroke costs before it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN, Levels
from napari_rwkvseg.engine.holdout import Rectangle, block_areas
from napari_rwkvseg.engine.suggest import Planes, measure_blocks, rank_images, suggest

OPEN_SECONDS = 5.0  # to open an image and take it in
LOOK_SECONDS = 3.0  # to look through a block and accept it
STROKE_SECONDS = 1.35 + 1.1  # per object that is wrong: see above
PIXELS_PER_SECOND = 500.0  # a brush 8 pixels wide, led at about 60 pixels a second
NOTICED = 3  # side of the smallest square of wrong pixels that a person cares about

Mask = NDArray[np.uint8]


@dataclass(eq=False)
class Desk:
    """An image on the person's desk.

    Attributes
    ----------
    probability : ndarray, float, shape (1, H, W)
        Of the model, when the image was opened.
    plane : ndarray, shape (H, W, C)
        What it shows.
    mask : ndarray, uint8, shape (H, W)
        The prediction, and what the person made of it.
    levels : ndarray, uint8, shape (H, W)
        What the person went through.
    """

    probability: NDArray[np.floating]
    plane: NDArray[np.floating]
    mask: Mask
    levels: Levels

    def planes(self, index: tuple[int, ...]) -> NDArray[np.floating]:
        """Return the plane, whatever the index: there is only one."""
        return self.plane


Look = Callable[[int], Desk]  # puts an image, by its number, on the desk


class Choice(Protocol):
    """A way to choose what to correct next."""

    def image(self, look: Look, left: Sequence[int], count: int) -> int:
        """Return which of the images that are left, of so many in all, comes next."""

    def area(self, desk: Desk) -> Rectangle | None:
        """Return the block to go to; None once all are seen."""


@dataclass
class Suggested:
    """As `suggest` says."""

    def image(self, look: Look, left: Sequence[int], count: int) -> int:
        """Return the image that promises most, seen from all that was opened so far."""
        desks = map(look, range(count))
        blocks = [measure_blocks(desk.probability, desk.planes, desk.levels) for desk in desks]
        return next(number for number in rank_images(blocks) if number in left)

    def area(self, desk: Desk) -> Rectangle | None:
        """Return the block that promises most."""
        planes: Planes = desk.planes
        found = suggest(desk.probability, planes, desk.levels)
        return None if found is None else found.area


@dataclass
class Random:
    """By chance."""

    seed: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def image(self, look: Look, left: Sequence[int], count: int) -> int:
        """Return any image."""
        return int(self.rng.choice(np.array(left)))

    def area(self, desk: Desk) -> Rectangle | None:
        """Return any unseen block."""
        areas = unseen_areas(desk.levels)
        return areas[int(self.rng.integers(len(areas)))] if areas else None


@dataclass
class EveryNth:
    """Evenly spread: images over the folder, blocks over the image."""

    images: int
    step: int = 5  # blocks: five and the usual sixteen have no common divisor

    def image(self, look: Look, left: Sequence[int], count: int) -> int:
        """Return the next image that lies a whole number of strides from the first."""
        opened, stride = count - len(left), max(1, count // self.images)
        return min(left, key=lambda number: (number - opened * stride) % count)

    def area(self, desk: Desk) -> Rectangle | None:
        """Return the next block that lies a whole number of steps from the first."""
        areas = list(block_areas(_shape(desk.levels)).values())
        spread = [areas[n * self.step % len(areas)] for n in range(len(areas))]
        left = [area for area in [*spread, *areas] if not desk.levels[area].any()]
        return left[0] if left else None


def unseen_areas(levels: Levels) -> list[Rectangle]:
    """Return the blocks in which nothing was gone through."""
    areas = block_areas(_shape(levels)).values()
    return [area for area in areas if not (levels[area] > UNSEEN).any()]


def work_through(
    desk: Desk, truth: Mask, choose: Callable[[Desk], Rectangle | None], seconds: float
) -> float:
    """Let the person correct and accept block after block; return the seconds it took.

    Parameters
    ----------
    desk : Desk
        Its mask and levels are changed: painted pixels are `CHANGED`, the rest of a block that
        was finished is `REVIEWED`.
    truth : ndarray, uint8, shape (H, W)
        What the person knows.
    choose : callable
        Gives the next block.
    seconds : float
        After these no new block is begun.
    """
    spent = OPEN_SECONDS
    while spent < seconds and (area := choose(desk)) is not None:
        spent += LOOK_SECONDS + correct(desk.mask[area], truth[area], desk.levels[area])
        block = desk.levels[area]
        block[block == UNSEEN] = REVIEWED
    return spent


def correct(mask: Mask, truth: Mask, levels: Levels) -> float:
    """Paint what is wrong, object by object, the largest first; return the seconds it took.

    A border that is off by a pixel or two stays as it is, as people leave it.

    Parameters
    ----------
    mask, levels : ndarray, uint8, shape (H, W)
        Of a block; changed in place.
    truth : ndarray, uint8, shape (H, W)
        What the mask should be.
    """
    wrong = mask != truth
    cores = ndimage.binary_erosion(wrong, np.ones((NOTICED, NOTICED)))
    objects, count = ndimage.label(wrong)
    noticed = np.unique(objects[cores])
    sizes = ndimage.sum_labels(wrong, objects, noticed) if count else np.zeros(0)
    seconds = 0.0
    for number, size in sorted(zip(noticed, sizes, strict=True), key=lambda one: -one[1]):
        stroke = objects == number
        mask[stroke], levels[stroke] = truth[stroke], CHANGED
        seconds += STROKE_SECONDS + float(size) / PIXELS_PER_SECOND
    return seconds


def _shape(levels: Levels) -> tuple[int, int]:
    height, width = levels.shape
    return height, width
