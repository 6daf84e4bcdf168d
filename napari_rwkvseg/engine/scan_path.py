"""The scan of one head as pictures need it: visit ranks, arrows, borders, reach in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.cells import CellGrid
from napari_rwkvseg.engine.tiles import Tile
from napari_rwkvseg.network.layer_trace import LayerTrace
from napari_rwkvseg.scan.blocks import partition
from napari_rwkvseg.scan.schedule import HeadScan

MOST_ARROWS = 4096  # more take napari seconds, and nobody can follow them

Sequences = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, eq=False)
class Reach:
    """How far a head looks: where its weights have halved, channel by channel.

    Attributes
    ----------
    tokens : tuple of float
        Smallest, median and largest half-length over the channels, in steps of the scan.
    longest : int
        Steps of the longest sequence.
    """

    tokens: tuple[float, float, float]
    longest: int

    def describe(self, stride: int, spacing: float = 1.0, unit: str = "px") -> str:
        """Return like ``"half after 3 to 90 tokens, median 17 (136 px along the path)"``.

        Parameters
        ----------
        stride : int
            Pixels per cell.
        spacing : float
            Length of a pixel in `unit`.
        unit : str
            "px", or a unit of length.
        """
        low, middle, high = (round_figure(value) for value in self.tokens)
        length = round_figure(self.tokens[1] * stride * spacing)
        return (
            f"half after {low} to {high} tokens, median {middle} ({length} {unit} along the path)"
        )


@dataclass(frozen=True, eq=False)
class ScanPath:
    """What one head scanned.

    Attributes
    ----------
    scan : HeadScan
        Its order and extent.
    cells : CellGrid
        Where the tokens lie.
    sequences : tuple of int arrays
        Flat indices of all cells, padding included, in the order in which the operator read them.
    reach : Reach
        How far it looks.
    """

    scan: HeadScan
    cells: CellGrid
    sequences: Sequences
    reach: Reach

    @cached_property
    def rank(self) -> NDArray[np.int32]:
        """Step at which each shown cell is read, counted in its own sequence, from 0."""
        rank = np.empty(self.cells.grid[0] * self.cells.grid[1], np.int32)
        for sequence in self.sequences:
            rank[sequence] = np.arange(len(sequence), dtype=np.int32)
        return self.cells.crop(rank)

    @property
    def steps(self) -> int:
        """Steps of the longest sequence."""
        return max(map(len, self.sequences))

    def arrows(self, most: int = MOST_ARROWS) -> Arrows:
        """Return the path as arrows from cell to cell; every n-th if there are more than `most`."""
        starts = np.concatenate([sequence[:-1] for sequence in self.sequences])
        ends = np.concatenate([sequence[1:] for sequence in self.sequences])
        step = np.concatenate([np.arange(len(sequence) - 1) for sequence in self.sequences])
        shown = self.cells.visible(starts) & self.cells.visible(ends)
        starts, ends, step = starts[shown], ends[shown], step[shown]
        every = max(1, -(-len(starts) // most))
        first = self.cells.positions(starts[::every])
        return Arrows(first, self.cells.positions(ends[::every]) - first, step[::every], every)

    def borders(self) -> NDArray[np.float64]:
        """Return the borders of windows or blocks as lines (N, 2, 2): start and way, in cells.

        Empty where one sequence crosses the whole grid without blocks.
        """
        if self.scan.extent == "global" and self.scan.outer is None:
            return np.empty((0, 2, 2))
        rows, columns = self.cells.shown
        blocks = partition(*self.cells.grid, self.scan.size)
        tops = sorted({b.top for b in blocks if b.top < rows} | {rows})
        lefts = sorted({b.left for b in blocks if b.left < columns} | {columns})
        across = [((top - 0.5, -0.5), (0.0, columns)) for top in tops]
        down = [((-0.5, left - 0.5), (rows, 0.0)) for left in lefts]
        return np.array(across + down, np.float64)


@dataclass(frozen=True, eq=False)
class Arrows:
    """Steps of a path.

    Attributes
    ----------
    start, way : ndarray, float64, shape (N, 2)
        From which cell, and how far, in rows and columns of cells.
    step : ndarray, int64, shape (N,)
        Step of the scan at the start, counted in its own sequence.
    every : int
        1 if all steps are there, n if only every n-th is.
    """

    start: NDArray[np.float64]
    way: NDArray[np.float64]
    step: NDArray[np.int64]
    every: int


def scan_path(layer: LayerTrace, head: int, tile: Tile) -> ScanPath:
    """Return what a head scanned, read off the index tensors that the operator used."""
    sequences = tuple(sequence.cpu().numpy() for sequence in layer.sequences(head))
    half = layer.half_length(head).cpu().numpy()
    tokens = (float(half.min()), float(np.median(half)), float(half.max()))
    reach = Reach(tokens, max(map(len, sequences)))
    cells = CellGrid(layer.grid, layer.stride, tile)
    return ScanPath(layer.heads[head], cells, sequences, reach)


def round_figure(value: float) -> str:
    """Return a number with two figures, without exponent: 3.4, 17, 1200."""
    if value >= 100:
        digits = len(str(int(value))) - 2
        return str(round(value / 10**digits) * 10**digits)
    return f"{value:.2g}"
