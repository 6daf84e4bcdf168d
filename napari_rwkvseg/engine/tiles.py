"""Tiles that cover a plane, and their smooth reunion with little memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tile:
    """A rectangle of a plane, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def to_slices(self) -> tuple[slice, slice]:
        """Return rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def plan_tiles(shape: tuple[int, int], tile: int = 512, overlap: int = 64) -> tuple[Tile, ...]:
    """Cover a plane with equal tiles, row by row.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    tile : int
        Side of a tile, pixels; a shorter side of the plane is covered by shorter tiles.
    overlap : int
        Smallest overlap of neighbours, pixels; 0 to half a tile.

    Returns
    -------
    tuple of Tile
        All inside the plane, spread evenly.

    Raises
    ------
    ValueError
        If the overlap does not fit the tile.
    """
    if not 0 <= overlap <= tile // 2:
        raise ValueError(f"overlap must be 0 to half of the tile ({tile // 2}), got {overlap}")
    height, width = (min(tile, side) for side in shape)
    return tuple(
        Tile(top, left, height, width)
        for top in _starts(shape[0], tile, overlap)
        for left in _starts(shape[1], tile, overlap)
    )


def blend_profile(
    starts: tuple[int, ...], length: int, side: int, overlap: int
) -> NDArray[np.float32]:
    """Return the weights of tiles along one axis.

    The outer quarter of an overlap counts nothing (there a network misses context), the middle
    half is a smooth ramp. The border of the plane is no overlap.

    Parameters
    ----------
    starts : tuple of int
        First pixel of each tile.
    length : int
        Length of a tile.
    side : int
        Length of the plane.
    overlap : int
        Smallest overlap of neighbours.

    Returns
    -------
    ndarray, float32, shape (len(starts), length)
        0 to 1; at every pixel of the plane the weights of all tiles sum to 1.
    """
    raw = np.ones((len(starts), length))
    ramp = _ramp(overlap)
    for weights, start in zip(raw, starts, strict=True):
        if start > 0:
            weights[: len(ramp)] *= ramp
        if start + length < side:
            weights[length - len(ramp) :] *= ramp[::-1]
    total = np.zeros(side)
    for weights, start in zip(raw, starts, strict=True):
        total[start : start + length] += weights
    shares = [w / total[s : s + length] for w, s in zip(raw, starts, strict=True)]
    return np.array(shares, np.float32)


class Blender:
    """Put tiles of probabilities together, in the order of `plan_tiles`.

    Only the rows that later tiles still touch are kept in float32; finished rows go to the result.

    Parameters
    ----------
    out : ndarray, float16, shape (K, H, W)
        Receives the result.
    tiles : tuple of Tile
        From `plan_tiles`.
    overlap : int
        The overlap they were planned with.
    """

    def __init__(self, out: NDArray[np.float16], tiles: tuple[Tile, ...], overlap: int) -> None:
        self._out = out
        self._height, self._width = tiles[0].height, tiles[0].width
        rows, columns = out.shape[1:]
        tops = tuple(sorted({tile.top for tile in tiles}))
        lefts = tuple(sorted({tile.left for tile in tiles}))
        down = blend_profile(tops, self._height, rows, overlap)
        across = blend_profile(lefts, self._width, columns, overlap)
        self._down = dict(zip(tops, down, strict=True))
        self._across = dict(zip(lefts, across, strict=True))
        self._band = np.zeros((out.shape[0], self._height, columns), np.float32)
        self._top = 0

    def weight(self, tile: Tile) -> NDArray[np.float32]:
        """Return how much each pixel of a tile counts, shape (height, width), 0 to 1."""
        return np.outer(self._down[tile.top], self._across[tile.left])

    def add(self, tile: Tile, probability: NDArray[np.float32]) -> None:
        """Add the probabilities (K, height, width) of the next tile."""
        if tile.top > self._top:
            self._write(tile.top)
        columns = tile.to_slices()[1]
        self._band[:, :, columns] += probability * self.weight(tile)

    def finish(self) -> None:
        """Write the rows that are still open."""
        self._write(self._top + self._height)

    def _write(self, top: int) -> None:
        """Hand over all rows above `top` and move the band there."""
        done = top - self._top
        self._out[:, self._top : top] = self._band[:, :done]
        kept = self._height - done
        self._band[:, :kept] = self._band[:, done:].copy()
        self._band[:, kept:] = 0
        self._top = top


def _starts(side: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return first pixels of tiles that cover `side`, evenly spread."""
    if side <= tile:
        return (0,)
    count = math.ceil((side - overlap) / (tile - overlap))
    return tuple(round(i * (side - tile) / (count - 1)) for i in range(count))


def _ramp(overlap: int) -> NDArray[np.float64]:
    """Return the rise at an inner edge: a quarter of nothing, then a smooth half from 0 to 1."""
    margin = overlap // 4
    length = overlap - 2 * margin
    x = (np.arange(length) + 0.5) / max(length, 1)
    return np.concatenate([np.zeros(margin), x * x * (3 - 2 * x)])
