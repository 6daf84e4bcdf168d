"""Planes of an image as a network wants them: normalised, with a record of what was finite."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import Window, normalise
from napari_rwkvseg.engine.tiles import Tile

WHOLE_PLANE = 2**24  # values; a smaller plane is read at once (a file decodes its planes whole)

Box = tuple[slice, slice]


class PlaneSource:
    """A box of one plane, read at once if it is small, otherwise tile by tile.

    Parameters
    ----------
    image : ImageData
        Where from.
    index : tuple of int
        Which plane.
    box : tuple of slice
        Rows and columns of the plane; tiles count from its corner.
    window : Window
        Intensities that become 0 and 1.
    """

    def __init__(self, image: ImageData, index: tuple[int, ...], box: Box, window: Window) -> None:
        self._image, self._index, self._box, self._window = image, index, box, window
        height, width = (part.stop - part.start for part in box)
        small = math.prod((height, width, image.n_channels)) <= WHOLE_PLANE
        self._whole = self._load(Tile(0, 0, height, width)) if small else None

    def read(self, tile: Tile) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a tile of the box.

        Returns
        -------
        values : ndarray, float32, shape (h, w, C)
            Normalised, -1 to 3; 0 where not finite.
        finite : ndarray, bool, shape (h, w)
            Where all channels were finite.
        """
        if self._whole is None:
            return self._load(tile)
        values, finite = self._whole
        return values[tile.to_slices()], finite[tile.to_slices()]

    def _load(self, tile: Tile) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        rows, cols = map(shifted, tile.to_slices(), (part.start for part in self._box))
        raw = self._image.region(self._index, rows, cols)
        return normalise(raw, self._window), np.all(np.isfinite(raw), axis=-1)


def shifted(part: slice, by: int) -> slice:
    """Return a slice moved by some pixels."""
    return slice(part.start + by, part.stop + by)


def widened(inner: tuple[slice, ...], shape: tuple[int, int], context: int) -> Box:
    """Return rows and columns with some context on all sides, inside a plane of this shape."""
    rows, cols = (
        slice(max(0, part.start - context), min(side, part.stop + context))
        for part, side in zip(inner, shape, strict=True)
    )
    return rows, cols
