"""Token cells on the pixels of an image: where a grid lies, and what of it is image at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.tiles import Tile


@dataclass(frozen=True)
class CellGrid:
    """The cells of a token grid, over the part of a plane that the network read.

    The network pads that part at the bottom and right. Cells that are padding only are not
    shown; the last cells may reach beyond the image by part of their stride.

    Attributes
    ----------
    grid : tuple of int
        Rows and columns of all cells.
    stride : int
        Pixels per cell.
    tile : Tile
        The part of the plane that was read.
    """

    grid: tuple[int, int]
    stride: int
    tile: Tile

    @property
    def shown(self) -> tuple[int, int]:
        """Rows and columns of the cells that hold at least one pixel of the image."""
        rows, columns = self.grid
        tall, wide = -(-self.tile.height // self.stride), -(-self.tile.width // self.stride)
        return min(rows, tall), min(columns, wide)

    @property
    def overhang(self) -> int:
        """Pixels by which the outermost shown cells reach beyond what was read."""
        rows, columns = self.shown
        below, beside = (
            rows * self.stride - self.tile.height,
            columns * self.stride - self.tile.width,
        )
        return max(below, beside, 0)

    @property
    def origin(self) -> tuple[float, float]:
        """Row and column of the centre of the first cell, in pixels of the plane.

        Pixel centres have whole coordinates, as in napari: a cell of 4 pixels from 0 to 3 has
        its centre at 1.5.
        """
        middle = (self.stride - 1) / 2
        return self.tile.top + middle, self.tile.left + middle

    def token_at(self, row: int, column: int) -> int:
        """Return the flat index of the cell that holds a pixel of the plane.

        Raises
        ------
        ValueError
            If the pixel lies outside the part that was read.
        """
        down, across = row - self.tile.top, column - self.tile.left
        if not (0 <= down < self.tile.height and 0 <= across < self.tile.width):
            raise ValueError(f"pixel ({row}, {column}) lies outside {self.tile}")
        return (down // self.stride) * self.grid[1] + across // self.stride

    def crop(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return one value per token, shape (T,), as the grid of the shown cells."""
        rows, columns = self.shown
        return np.ascontiguousarray(values.reshape(self.grid)[:rows, :columns])

    def visible(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether each token is shown."""
        rows, columns = self.shown
        inside: NDArray[np.bool_] = (tokens // self.grid[1] < rows) & (
            tokens % self.grid[1] < columns
        )
        return inside

    def positions(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (row, column) of each token in cells, shape (N, 2)."""
        return np.stack(np.divmod(tokens, self.grid[1]), axis=-1).astype(np.float64)

    def span(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct cells, (N, 2) rows and columns, that hold pixels (M, 2)."""
        moved = pixels - np.array((self.tile.top, self.tile.left))
        return np.unique(moved // self.stride, axis=0)
