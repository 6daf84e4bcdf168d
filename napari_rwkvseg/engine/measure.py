"""Areas, volumes, counts and intensities of a mask, in physical units where they are known."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.units import is_length

Cell = str | int | float
_Columns = dict[str, list[Cell]]

_FRAMES = {"t": "frame", "n": "sample"}  # axes along which things are measured one by one
_PIXELS = {2: "pixels", 3: "voxels"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a text


@dataclass(frozen=True)
class Table:
    """Measurements, one row per class or object.

    Attributes
    ----------
    columns : tuple of str
        Names with units: ``"area (µm²)"``. The first is the label.
    rows : tuple of tuple
        As many cells as columns each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_csv(self) -> bytes:
        """Return the table as the content of a file of comma-separated values.

        UTF-8 with a byte-order mark, without which spreadsheets misread "µ". The research-use
        sentence is the name of a last, empty column: every program still finds one header line
        and columns of one kind.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*self.columns, RESEARCH_ONLY])
        writer.writerows([*map(_harmless, row), ""] for row in self.rows)
        return text.getvalue().encode("utf-8-sig")


def measure(
    labels: NDArray[np.integer],
    intensity: NDArray[np.floating] | None,
    axes: str,
    spacing: Sequence[float],
    units: Sequence[str],
    *,
    objects: bool,
    class_names: Sequence[str],
) -> Table:
    """Measure each class or object of a mask.

    Frames (t) and samples (n) are measured one by one; slices (z) are one volume.

    Parameters
    ----------
    labels : ndarray, integer, shape (*lead, H, W)
        0 is background.
    intensity : ndarray, float, same shape, optional
        For the mean intensity; without it there is no such column. Non-finite values are left out.
    axes : str
        One letter per axis of `labels`, ending in "yx".
    spacing, units : sequence, one per axis
        Step and short unit. Sizes are counted in pixels unless all steps of a plane (or volume)
        are lengths of one unit.
    objects : bool
        Whether labels are objects: then with diameter and centroid, otherwise with the class's
        name and the number of its connected parts.
    class_names : sequence of str
        Name of label 1, 2, …

    Returns
    -------
    Table
        One row per label found, in order; frames one after the other.

    Raises
    ------
    ValueError
        If the arguments do not fit together.
    """
    if not labels.ndim == len(axes) == len(spacing) == len(units):
        raise ValueError(f"{labels.ndim} axes need as many letters, steps and units, got {axes}")
    if intensity is not None and intensity.shape != labels.shape:
        raise ValueError(f"intensity has shape {intensity.shape}, the labels {labels.shape}")
    outer = [i for i, axis in enumerate(axes) if axis in _FRAMES]
    inner = [i for i, axis in enumerate(axes) if axis not in _FRAMES]
    order = outer + inner
    labels = np.transpose(labels, order)
    intensity = None if intensity is None else np.transpose(intensity, order)
    grid = _Grid(
        "".join(axes[i] for i in inner),
        tuple(spacing[i] for i in inner),
        tuple(units[i] for i in inner),
    )
    names = None if objects else tuple(class_names)
    frames: list[_Columns] = []
    for index in np.ndindex(labels.shape[: len(outer)]):
        place = {_FRAMES[axes[i]]: at for i, at in zip(outer, index, strict=True)}
        values = None if intensity is None else intensity[index]
        frames.append(_measure_frame(labels[index], values, grid, place, names))
    rows = [row for frame in frames for row in zip(*frame.values(), strict=True)]
    return Table(tuple(frames[0]) if frames else ("label",), tuple(rows))


def boxes_of(labels: NDArray[np.integer]) -> dict[int, tuple[slice, ...]]:
    """Return the bounding box of each label.

    Parameters
    ----------
    labels : ndarray, integer, any shape
        0 and below is background; other numbers may be as large as their type holds.

    Returns
    -------
    dict of int to tuple of slice
        One slice per axis, by label.
    """
    ids: Sequence[int] = range(1, 1 + int(labels.max(initial=0)))
    if len(ids) > labels.size:  # SciPy makes a list as long as the largest number is large
        ids = np.unique(labels[labels > 0]).tolist()
        labels = np.where(labels > 0, 1 + np.searchsorted(ids, labels), 0)
    found = scipy.ndimage.find_objects(labels)
    return {n: box for n, box in zip(ids, found, strict=True) if box is not None}


@dataclass(frozen=True)
class _Grid:
    """The axes of one frame: a plane or a stack.

    Attributes
    ----------
    axes : str
        One letter each.
    spacing : tuple of float
        Steps.
    units : tuple of str
        Short units.
    """

    axes: str
    spacing: tuple[float, ...]
    units: tuple[str, ...]

    @property
    def unit(self) -> str:
        """The length that all steps are given in; empty if there is none."""
        return self.units[0] if len(set(self.units)) == 1 and is_length(self.units[0]) else ""

    @property
    def steps(self) -> tuple[float, ...]:
        """Steps in `unit`, or in pixels."""
        return self.spacing if self.unit else (1.0,) * len(self.axes)

    @property
    def size_column(self) -> str:
        """Like ``"volume (mm³)"``."""
        flat = len(self.axes) == 2
        unit = f"{self.unit}{'²' if flat else '³'}" if self.unit else _PIXELS[len(self.axes)]
        return f"{'area' if flat else 'volume'} ({unit})"

    def sizes(self, counts: NDArray[np.integer]) -> NDArray[Any]:
        """Return areas or volumes of some numbers of pixels; whole numbers if in pixels."""
        return counts * math.prod(self.spacing) if self.unit else counts

    def diameters(self, sizes: NDArray[Any]) -> NDArray[np.floating]:
        """Return the diameters of discs or balls of some sizes."""
        if len(self.axes) == 2:
            return np.asarray(np.sqrt(4 * sizes / math.pi))
        return np.asarray(np.cbrt(6 * sizes / math.pi))


def _measure_frame(
    labels: NDArray[np.integer],
    intensity: NDArray[np.floating] | None,
    grid: _Grid,
    place: Mapping[str, int],
    class_names: tuple[str, ...] | None,
) -> _Columns:
    """Return the columns of one frame; `place` says which it is; without names it has objects."""
    inside = labels > 0
    ids, which, counts = np.unique(labels[inside], return_inverse=True, return_counts=True)
    columns: _Columns = {"label": ids.tolist()}
    if class_names is not None:
        columns["class"] = [_class_name(int(k), class_names) for k in ids]
    columns |= {name: [at] * len(ids) for name, at in place.items()}
    if class_names is not None:
        columns["objects"] = _count_parts(labels, ids)
    columns[grid.size_column] = grid.sizes(counts).tolist()
    if class_names is None:
        diameters = grid.diameters(grid.sizes(counts))
        columns[f"equivalent diameter ({grid.unit or 'pixels'})"] = diameters.tolist()
    if intensity is not None:
        columns["mean intensity"] = _means(intensity[inside], which, len(ids))
    if class_names is None:
        columns |= _centroids(inside, which, counts, grid)
    return columns


def _class_name(label: int, names: Sequence[str]) -> str:
    """Return the name of a class, or a stand-in for one that somebody painted."""
    return names[label - 1] if label <= len(names) else f"label {label}"


def _count_parts(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> list[Cell]:
    """Return how many connected parts each label has."""
    boxes = boxes_of(labels)
    return [int(scipy.ndimage.label(labels[boxes[int(k)]] == k)[1]) for k in ids]


def _means(values: NDArray[np.floating], which: NDArray[np.integer], n: int) -> list[Cell]:
    """Return the mean of the finite values of each of n groups; NaN where there are none."""
    finite = np.isfinite(values)
    which = which[finite]
    sums = np.bincount(which, values[finite].astype(np.float64), n)
    counts = np.bincount(which, minlength=n)
    means = np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)
    return list(means.tolist())


def _centroids(
    inside: NDArray[np.bool_], which: NDArray[np.integer], counts: NDArray[np.integer], grid: _Grid
) -> _Columns:
    """Return one column per axis: the mean position, from the middle of the first pixel."""
    unit = grid.unit or "pixels"
    columns: _Columns = {}
    for axis, step, at in zip(grid.axes, grid.steps, np.nonzero(inside), strict=True):
        centres = np.bincount(which, at, len(counts)) / counts * step
        columns[f"centroid {axis} ({unit})"] = centres.tolist()
    return columns


def _harmless(cell: Cell) -> Cell:
    """Keep a spreadsheet from running a text (a class's name) as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
