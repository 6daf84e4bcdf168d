"""Where to correct next: where the model is unsure and the image looks like nothing seen so far.

Uncertainty alone leads to one difficult place after another of the same kind; novelty alone to
dirt on the slide. Their product asks for both.

What it is good for, measured (`benchmarks/RESULTS.md`): the blocks that it names first hold more
errors than the average block, on images of the model's own kind 1.7 times as many. That a model
learns more from correcting them has not been shown: with a simulated user it beat neither random
nor evenly spread places. So it leads to where the model is least sure, and nothing more may be
claimed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import UNSEEN, Levels
from napari_rwkvseg.engine.holdout import Rectangle, block_areas
from napari_rwkvseg.engine.uncertainty import entropy

SAMPLES = 64  # pixels along each side of a block that are looked at: enough for means, and quick
MOSTLY = 0.5  # part of a block that must be unseen for the block to be worth a visit
QUANTILES = (0.05, 0.5, 0.95)  # of the intensities of a block: ground, middle, brightest things

Index = tuple[int, ...]
Planes = Callable[[Index], NDArray[np.generic]]
Unit = Literal["region", "slice"]


@dataclass(frozen=True)
class Suggestion:
    """A place to go to.

    Attributes
    ----------
    index : tuple of int
        Of the plane, one number per leading axis.
    area : tuple of slice
        Rows and columns.
    score : float
        Uncertainty times novelty, each 0 to 1; only good for comparing places.
    """

    index: Index
    area: Rectangle
    score: float


@dataclass(frozen=True, eq=False)
class Blocks:
    """What is known about all blocks of an image.

    Attributes
    ----------
    places : tuple of (tuple of int, (slice, slice))
        Plane and area of each of the N blocks.
    unsure : ndarray, float64, shape (N,)
        Mean entropy of the unseen pixels, 0 to 1; 0 where all are seen.
    open : ndarray, bool, shape (N,)
        Which ones nobody has gone through yet.
    looks : ndarray, float64, shape (N, D)
        How they look: intensities, texture, how much was found.
    """

    places: tuple[tuple[Index, Rectangle], ...]
    unsure: NDArray[np.float64]
    open: NDArray[np.bool_]
    looks: NDArray[np.float64]


def suggest(
    probability: NDArray[np.floating], planes: Planes, levels: Levels, unit: Unit = "region"
) -> Suggestion | None:
    """Return the unseen block or slice whose correction promises most.

    Parameters
    ----------
    probability : ndarray, float, shape (K, *lead, H, W)
        Of the K foreground classes.
    planes : callable
        Gives the image plane (H, W, C) of an index into `lead`; any scale of intensities. Each is
        asked for once.
    levels : ndarray, uint8, shape (*lead, H, W)
        What was gone through, see `find_levels`.
    unit : {"region", "slice"}
        Blocks of the grid by which corrections are held out, or whole planes.

    Returns
    -------
    Suggestion or None
        The first of equal ones; None if everything was gone through.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    blocks = measure_blocks(probability, planes, levels, unit)
    if not blocks.open.any():
        return None
    (scores,) = _scores([blocks])
    best = int(scores.argmax())
    index, area = blocks.places[best]
    return Suggestion(index, area, float(scores[best]))


def rank_images(images: Sequence[Blocks]) -> tuple[int, ...]:
    """Return the numbers of the images with unseen blocks, most promising first.

    An image counts as much as its unseen blocks do on average. What was seen in any image makes
    blocks that look like it less new in all others.

    Parameters
    ----------
    images : sequence of Blocks
        From `measure_blocks`, all with equally many channels.
    """
    scores = _scores(images)
    worth = [
        float(one[blocks.open].mean()) if blocks.open.any() else -1.0
        for one, blocks in zip(scores, images, strict=True)
    ]
    left = [number for number, value in enumerate(worth) if value >= 0]
    return tuple(sorted(left, key=lambda number: -worth[number]))  # stable: ties keep their order


def measure_blocks(
    probability: NDArray[np.floating], planes: Planes, levels: Levels, unit: Unit = "region"
) -> Blocks:
    """Look at all blocks of an image; parameters and errors as for `suggest`."""
    if probability.shape[1:] != levels.shape:
        raise ValueError(f"levels must have shape {probability.shape[1:]}, got {levels.shape}")
    height, width = levels.shape[-2:]
    grid = [(slice(0, height), slice(0, width))]
    areas = grid if unit == "slice" else list(block_areas((height, width)).values())
    places, found = [], []
    for index, plane in _each_plane(levels.shape[:-2], planes, (height, width)):
        shares = probability[(slice(None), *index)]  # type: ignore[arg-type]
        for area in areas:
            places.append((index, area))
            found.append(_block(shares, plane, levels[index], area))
    return Blocks(
        tuple(places),
        np.array([unsure for unsure, _, _ in found]),
        np.array([unseen > MOSTLY for _, unseen, _ in found]),
        np.array([looks for *_, looks in found]),
    )


def _each_plane(
    lead: Index, planes: Planes, shape: tuple[int, int]
) -> Iterator[tuple[Index, NDArray[np.generic]]]:
    for index in np.ndindex(lead):
        plane = planes(index)
        if plane.ndim != 3 or plane.shape[:2] != shape:
            raise ValueError(f"plane {index} must have shape {shape} and channels: {plane.shape}")
        yield index, plane


def _block(
    probability: NDArray[np.floating],
    plane: NDArray[np.generic],
    levels: Levels,
    area: Rectangle,
) -> tuple[float, float, list[float]]:
    """Return uncertainty, unseen part and looks of a block of a plane."""
    rows, columns = area
    steps = [max(1, (part.stop - part.start) // SAMPLES) for part in area]
    thin = (slice(rows.start, rows.stop, steps[0]), slice(columns.start, columns.stop, steps[1]))
    shares = probability[(slice(None), *thin)]
    unseen = levels[thin] == UNSEEN
    unsure = float(entropy(shares)[unseen].mean()) if unseen.any() else 0.0
    looks = _looks(plane[thin], plane[area][:: steps[0], 1 :: steps[1]])
    found = float(shares.mean(dtype=np.float64) * len(shares))  # K classes share the foreground
    return unsure, float(unseen.mean()), [*looks, found]


def _looks(pixels: NDArray[np.generic], beside: NDArray[np.generic]) -> list[float]:
    """Describe a block by its pixels (h, w, C) and some of their neighbours to the right."""
    values, others = (
        np.nan_to_num(part.astype(np.float32), posinf=0, neginf=0) for part in (pixels, beside)
    )
    common = values[:, : others.shape[1]]  # the last pixel may have no neighbour
    texture = float(np.abs(common - others).mean()) if others.size else 0.0
    return [
        *values.mean(axis=(0, 1)).tolist(),
        float(values.std()),
        texture,
        *np.quantile(values, QUANTILES).tolist(),
    ]


def _scores(images: Sequence[Blocks]) -> list[NDArray[np.float64]]:
    """Return uncertainty times novelty of the blocks of each image; -1 where they are seen."""
    looks = np.concatenate([blocks.looks for blocks in images])
    spread = looks.std(axis=0)
    spread[spread < 1e-9 * np.abs(looks).max(axis=0, initial=1)] = np.inf  # all alike: says nothing
    known = np.concatenate([blocks.looks[~blocks.open] for blocks in images]) / spread
    return [
        np.where(blocks.open, blocks.unsure * _novelty(blocks.looks / spread, known), -1.0)
        for blocks in images
    ]


def _novelty(looks: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far blocks (N, D) are from the nearest known one (M, D), 0 to below 1.

    The distance is the root mean square over the D measures, in standard deviations. With nothing
    known everything is new: 1.
    """
    nearest = np.full(len(looks), np.inf)  # of the mean square
    for one in known:  # one by one: all pairs of a long stack would not fit into memory
        np.minimum(nearest, ((looks - one) ** 2).mean(axis=1), out=nearest)
    novelty: NDArray[np.float64] = 1 - np.exp(-np.sqrt(nearest))
    return novelty
