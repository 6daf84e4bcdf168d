"""Blocks of a grid: local windows that are scanned on their own, and two-level orders.

A *global block* is the whole grid as one sequence. *Local blocks* are windows, each with a
sequence of its own. A *two-level order* is global again: it visits the blocks in one order and
finishes each, in another order, before it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_rwkvseg.scan.orders import IndexArray, check_grid, scan_order

_CACHED_GRIDS = 64


@dataclass(frozen=True)
class Block:
    """A rectangle of cells.

    Attributes
    ----------
    top, left : int
        Row and column of its first cell in the grid.
    height, width : int
        Cells down and across.
    """

    top: int
    left: int
    height: int
    width: int

    def cells(self, kind: str, grid_width: int) -> IndexArray:
        """Return its cells in scan order `kind`.

        Parameters
        ----------
        kind : str
            One of `ORDER_KINDS`, applied to the block as if it were a grid of its own.
        grid_width : int
            Width of the whole grid in cells.

        Returns
        -------
        ndarray of int64, shape (height * width,)
            Flat row-major indices into the whole grid.
        """
        # From the block's own grid to the whole: same order, wherever the block lies.
        row, column = np.divmod(scan_order(kind, self.height, self.width), self.width)  # (cells,)
        return (row + self.top) * grid_width + column + self.left


def partition(height: int, width: int, size: int) -> tuple[Block, ...]:
    """Cut a grid into blocks of `size` × `size` cells; those at the far borders may be smaller.

    Parameters
    ----------
    height, width : int
        Size of the grid in cells, at least 1.
    size : int
        Side of a block in cells, at least 1.

    Returns
    -------
    tuple of Block
        Row by row. Together they cover each cell once.

    Raises
    ------
    ValueError
        If the grid or the blocks are empty.
    """
    check_grid(height, width)
    check_size(size)
    return tuple(
        Block(top, left, min(size, height - top), min(size, width - left))
        for top in range(0, height, size)
        for left in range(0, width, size)
    )


def check_size(size: int) -> None:
    """Raise ``ValueError`` unless a block has at least one cell."""
    if size < 1:
        raise ValueError(f"a block needs a side of at least 1 cell, got {size}")


@lru_cache(maxsize=_CACHED_GRIDS)
def block_sequences(kind: str, height: int, width: int, size: int) -> tuple[IndexArray, ...]:
    """Return the local blocks of a grid, each as a sequence of its own.

    Parameters
    ----------
    kind : str
        Scan order inside each block, one of `ORDER_KINDS`.
    height, width : int
        Size of the grid in cells, at least 1.
    size : int
        Side of a block in cells, at least 1.

    Returns
    -------
    tuple of ndarray of int64, one per block of `partition`, read-only
        Flat row-major indices into the whole grid, in visiting order. Cached.

    Raises
    ------
    ValueError
        If `kind` is unknown or the grid or the blocks are empty.
    """
    sequences = tuple(block.cells(kind, width) for block in partition(height, width, size))
    for sequence in sequences:
        sequence.setflags(write=False)
    return sequences


@lru_cache(maxsize=_CACHED_GRIDS)
def two_level_order(outer: str, inner: str, height: int, width: int, size: int) -> IndexArray:
    """Return a global order that finishes one block before it goes on to the next.

    Parameters
    ----------
    outer : str
        Scan order of the blocks on the grid of blocks, one of `ORDER_KINDS`.
    inner : str
        Scan order of the cells inside each block, one of `ORDER_KINDS`.
    height, width : int
        Size of the grid in cells, at least 1.
    size : int
        Side of a block in cells, at least 1.

    Returns
    -------
    ndarray of int64, shape (height * width,), read-only
        Flat row-major index of the cell visited at each step. Cached. From block to block it may
        jump.

    Raises
    ------
    ValueError
        If an order is unknown or the grid or the blocks are empty.
    """
    sequences = block_sequences(inner, height, width, size)
    # the blocks are the cells of a coarser grid, numbered as `partition` lists them
    blocks = scan_order(outer, -(-height // size), -(-width // size))
    order = np.concatenate([sequences[block] for block in blocks])
    order.setflags(write=False)
    return order
