"""Scan orders: the sequence in which the cells of a grid are visited.

A scan order is a permutation of the cells of an H×W grid, written as flat row-major indices:
``order[t]`` is the cell visited at step t. It is a pure function of (kind, height, width).

Glossary: H, W height and width of the grid in cells; t step, 0 to H·W - 1; snake: every other line
is walked backwards, so that the path never jumps.

Walking an order backwards changes nothing for Bi-WKV, so every kind has one direction only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

IndexArray = npt.NDArray[np.int64]

_CACHED_ORDERS = 128  # an order of a 128×128 grid takes 128 KiB


@lru_cache(maxsize=_CACHED_ORDERS)
def scan_order(kind: str, height: int, width: int) -> IndexArray:
    """Return the cells of a grid in the order in which they are visited.

    Parameters
    ----------
    kind : str
        One of `ORDER_KINDS`. ``"row"`` and ``"column"`` are snakes along rows and columns;
        ``"diagonal"`` is a snake along the lines parallel to the main diagonal, from the top
        right corner to the bottom left; ``"antidiagonal"`` is its mirror image, from the top left;
        ``"hilbert"`` is a generalised Hilbert curve from the top left corner along the longer
        side; ``"spiral"`` turns clockwise from the top left corner to the middle; ``"raster"``
        reads row by row and jumps back at the end of each.
    height, width : int
        Size of the grid in cells, at least 1.

    Returns
    -------
    ndarray of int64, shape (height * width,), read-only
        Flat row-major index of the cell visited at each step. Cached: the same array each time.

    Raises
    ------
    ValueError
        If `kind` is unknown or the grid is empty.

    Notes
    -----
    Consecutive cells share an edge, with these exceptions: the diagonal snakes step to one of the
    eight neighbours, ``"raster"`` jumps, and ``"hilbert"`` makes exactly one diagonal step where
    the longer side is odd and the shorter one even and more than 2. A path that joins both ends
    of such a side has to: on a chessboard they have the same colour, the ends of an edge-to-edge
    path over an even number of cells have not.
    """
    check_kind(kind)
    check_grid(height, width)
    order = _BUILDERS[kind](height, width)
    # shared by all callers: one that wrote to it would change the network
    order.setflags(write=False)
    return order


def check_kind(kind: str) -> None:
    """Raise ``ValueError`` naming the valid kinds unless `kind` is one of them."""
    if kind not in ORDER_KINDS:
        raise ValueError(f"unknown scan order {kind!r}, choose one of {', '.join(ORDER_KINDS)}")


def check_grid(height: int, width: int) -> None:
    """Raise ``ValueError`` unless the grid has at least one row and one column."""
    if height < 1 or width < 1:
        raise ValueError(f"a grid needs at least 1×1 cells, got {height}×{width}")


def _raster(height: int, width: int) -> IndexArray:
    return np.arange(height * width, dtype=np.int64)


def _row(height: int, width: int) -> IndexArray:
    grid = _raster(height, width).reshape(height, width)
    # Backwards every other time, so that each step leads to a neighbour: decay counts steps.
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.ravel()


def _column(height: int, width: int) -> IndexArray:
    grid = _raster(height, width).reshape(height, width).T.copy()  # (W, H): columns as lines
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.ravel()


def _antidiagonal(height: int, width: int) -> IndexArray:
    row, column = np.divmod(_raster(height, width), width)
    line = row + column  # constant along an antidiagonal
    along = np.where(line % 2 == 0, column, -column)  # every other line backwards
    return np.lexsort((along, line)).astype(np.int64)


def _diagonal(height: int, width: int) -> IndexArray:
    # The mirror image of the other diagonals, and so a direction of its own.
    mirrored = _antidiagonal(height, width)
    row, column = mirrored // width, mirrored % width
    return row * width + (width - 1 - column)


def _spiral(height: int, width: int) -> IndexArray:
    grid = _raster(height, width).reshape(height, width)
    return np.concatenate(list(_peel(grid)))


def _peel(grid: IndexArray) -> Iterator[IndexArray]:
    """Yield the top line of what is left, then turn the rest so that the next line is on top."""
    while grid.size:
        yield grid[0]
        grid = np.rot90(grid[1:])


def _hilbert(height: int, width: int) -> IndexArray:
    # Along the longer side: cuts across it leave pieces that are nearly square.
    path = _curve(width, height, {})[:, ::-1] if width >= height else _curve(height, width, {})
    return path[:, 0] * width + path[:, 1]


def _curve(length: int, depth: int, known: dict[tuple[int, int], IndexArray]) -> IndexArray:
    """Return a generalised Hilbert curve over `length` × `depth` cells.

    It starts at (0, 0) and ends at the other end of the first axis, (length - 1, 0), or next to it
    where `depth` is 2 and `length` odd. The idea of
    cutting any rectangle in two or three so that all cuts but the last are even is Jakub Červený's
    ("gilbert", github.com/jakubcerveny/gilbert). Here it is written as a composition of smaller
    curves, each size built once, instead of a walk with direction vectors.

    Parameters
    ----------
    length, depth : int
        Cells along and across.
    known : dict
        Curves already built, by size; filled here.

    Returns
    -------
    ndarray of int64, shape (length * depth, 2)
        Coordinates (along, across) of each cell in visiting order.
    """
    size = (length, depth)
    if size not in known:
        if length == 1 or depth == 1:
            known[size] = np.argwhere(np.ones(size, dtype=bool))
        # in three, a rectangle this long would leave strips too thin to turn in
        elif 2 * length > 3 * depth:
            known[size] = _in_two(length, depth, known)
        else:
            known[size] = _in_three(length, depth, known)
    return known[size]


def _in_two(length: int, depth: int, known: dict[tuple[int, int], IndexArray]) -> IndexArray:
    """Curve over a long rectangle: two curves one after the other."""
    half = _even_half(length)
    first, second = _curve(half, depth, known), _curve(length - half, depth, known)
    return np.concatenate([first, second + np.array((half, 0))])


def _in_three(length: int, depth: int, known: dict[tuple[int, int], IndexArray]) -> IndexArray:
    """Curve over a squarish rectangle: away from the edge, along the far half, back again."""
    # Curves over an even length need no diagonal step: only the far one may have to make it.
    half, away = length // 2, _even_half(depth)
    out = _curve(away, half, known)[:, ::-1]  # ends at (0, away - 1)
    far = _curve(length, depth - away, known) + np.array((0, away))  # ends at (length - 1, away)
    back = np.array((length - 1, away - 1)) - _curve(away, length - half, known)[:, ::-1]
    return np.concatenate([out, far, back])


def _even_half(size: int) -> int:
    """Return about half of `size`, even where that leaves something."""
    half = size // 2
    return half + 1 if half % 2 and size > 2 else half


_BUILDERS: dict[str, Callable[[int, int], IndexArray]] = {
    "row": _row,
    "column": _column,
    "diagonal": _diagonal,
    "antidiagonal": _antidiagonal,
    "hilbert": _hilbert,
    "spiral": _spiral,
    "raster": _raster,
}

ORDER_KINDS: tuple[str, ...] = tuple(_BUILDERS)
