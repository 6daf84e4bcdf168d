"""Images with masks for benchmarks: whole, or cut into small ones so that many steps are cheap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Record, read_index
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.store.dataset import read_pair
from napari_rwkvseg.store.retraining import Pair


def read_tiles(
    folder: Path, split: str, most: int | None = None, side: int | None = None
) -> list[Pair]:
    """Read planes of a data folder with their masks.

    Parameters
    ----------
    folder : Path
        See `read_index`.
    split : str
        Part of the data.
    most : int, optional
        Planes to return; by default all.
    side : int, optional
        Images are cut into squares of this side, the rest is dropped.

    Returns
    -------
    list of (ImageData, ndarray)
        In an order that is drawn once for all: neighbours in a folder are often neighbours in a
        stack, and near-duplicates one after the other would make every second image worthless.
    """
    tiles = [tile for record in read_index(folder, split) for tile in _tiles(record, side)]
    order = np.random.default_rng(0).permutation(len(tiles))
    return [tiles[number] for number in order[:most]]


def mean_dice(model: Model, pairs: Sequence[Pair], threads: int = 1) -> float:
    """Return the mean over the images of the Dice of foreground against background."""
    segmenter = Segmenter(model, PredictOptions(device="cpu", threads=threads))
    return float(
        np.mean([dice(segmenter.predict(image, objects=False), mask) for image, mask in pairs])
    )


def _tiles(record: Record, side: int | None) -> Iterator[Pair]:
    image, labels = read_pair(record)
    if image.lead_axes:
        raise ValueError(f"{record.name}: only single planes are read, this is a stack")
    if side is None or min(labels.shape) <= side:
        yield image, labels
        return
    height, width = labels.shape
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            area = (slice(top, top + side), slice(left, left + side))
            # rows and columns come first in every plane that is read from these folders
            yield replace(image, array=np.asarray(image.array)[area]), labels[area]
