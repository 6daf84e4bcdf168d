"""ImageData: an array whose axes, spacing and units are known, read plane by plane."""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.axes import Clues, check_axes, check_sides, decide_axes
from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.engine.units import PIXEL, short_unit
from napari_rwkvseg.errors import BadImageError

T = TypeVar("T")

_KINDS = {
    "c": ("complex values", "Use the magnitude or the real part"),
    "O": ("Python objects instead of numbers", "Convert the array to numbers"),
    "S": ("text instead of numbers", "Convert the array to numbers"),
    "U": ("text instead of numbers", "Convert the array to numbers"),
    "T": ("text instead of numbers", "Convert the array to numbers"),
    "M": ("dates instead of numbers", "Convert the array to numbers"),
    "m": ("durations instead of numbers", "Convert the array to numbers"),
    "V": ("records instead of numbers", "Pick one field of the record"),
}
# What arrays that are read when needed raise; decoders of damaged chunks have errors of their own.
_UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)
_PLURALS = {"t": "frames", "z": "slices", "n": "samples", "c": "channels"}


@dataclass(frozen=True, eq=False)
class ImageData:
    """An image as the engine reads it; made by `interpret`.

    Attributes
    ----------
    array : array-like
        numpy or dask, in any number dtype, byte order and stride; never copied here.
    axes : str
        One letter per axis: t time, z slice, n sample, c channel, s RGB(A), y row, x column.
    spacing : tuple of float
        Step along each axis that is neither channel nor colour, in the order of `axes`.
    units : tuple of str
        Unit of each spacing, short ("mm", "µm", "s"); "pixel" when unknown.
    name : str
        Layer or file name.
    notes : tuple of str
        Visible warnings, full sentences without the name.
    """

    array: Any
    axes: str
    spacing: tuple[float, ...]
    units: tuple[str, ...]
    name: str
    notes: tuple[str, ...] = ()

    @property
    def lead_axes(self) -> str:
        """Letters of the axes that are walked plane by plane, for example ``"tz"``."""
        return "".join(a for a in self.axes if a not in "csyx")

    @property
    def lead_shape(self) -> tuple[int, ...]:
        """Lengths of `lead_axes`."""
        return tuple(self._length(a) for a in self.lead_axes)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self._length("y"), self._length("x")

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape of a mask of this image: `lead_shape` and the plane."""
        return self.lead_shape + self.plane_shape

    @property
    def is_rgb(self) -> bool:
        """Whether the planes are colour pictures."""
        return "s" in self.axes

    @property
    def n_channels(self) -> int:
        """Channels of a plane as `plane` returns it: alpha does not count."""
        if self.is_rgb:
            return 3
        return self._length("c") if "c" in self.axes else 1

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every plane, the last lead axis fastest; ``()`` for a single plane."""
        return np.ndindex(self.lead_shape)

    def plane(self, index: tuple[int, ...] = ()) -> NDArray[np.float32]:
        """Read one plane.

        Parameters
        ----------
        index : tuple of int
            Position along the lead axes.

        Returns
        -------
        ndarray, float32, shape (H, W, C)
            Contiguous, native byte order; non-finite values are kept, alpha is dropped.

        Raises
        ------
        BadImageError
            If the values exceed float32 or cannot be read.
        """
        height, width = self.plane_shape
        return self.region(index, slice(0, height), slice(0, width))

    def region(self, index: tuple[int, ...], rows: slice, cols: slice) -> NDArray[np.float32]:
        """Read part of a plane; nothing else of a lazy array is read.

        Parameters
        ----------
        index : tuple of int
            Position along the lead axes.
        rows, cols : slice
            Start and stop inside the plane, no step.

        Returns
        -------
        ndarray, float32, shape (rows, cols, C)
            As `plane`.

        Raises
        ------
        BadImageError
            As `plane`, or if the array changed its shape meanwhile.
        """
        pick: dict[str, int | slice] = {"y": rows, "x": cols, "c": slice(None), "s": slice(0, 3)}
        pick |= dict(zip(self.lead_axes, index, strict=True))
        block = self._read(tuple(pick[a] for a in self.axes), index, rows, cols)
        if "c" in self.axes:
            kept = [a for a in self.axes if a in "cyx"]
            block = np.moveaxis(block, kept.index("c"), -1)
        elif not self.is_rgb:
            block = block[..., np.newaxis]
        wanted = (rows.stop - rows.start, cols.stop - cols.start, self.n_channels)
        if block.shape != wanted:
            raise BadImageError(self.name, "changed its shape while it was read", "Start again")
        return _to_float32(block, self.name)

    def select_channel(self, channel: int) -> ImageData:
        """Return the image of one channel (or colour), still unread.

        Parameters
        ----------
        channel : int
            0 to ``n_channels - 1``.

        Raises
        ------
        BadImageError
            If there is no such channel.
        """
        if not 0 <= channel < self.n_channels:
            last = self.n_channels - 1
            raise BadImageError(self.name, f"no channel {channel}", f"Choose 0 to {last}")
        if "c" not in self.axes and not self.is_rgb:
            return self
        where = self.axes.index("s" if self.is_rgb else "c")
        selection = (slice(None),) * where + (channel,)
        axes = self.axes[:where] + self.axes[where + 1 :]
        return replace(self, array=self.array[selection], axes=axes)

    def describe(self) -> str:
        """Return one line for people, sizes and steps as columns × rows × slices."""
        height, width = self.plane_shape
        counts = [_count(self._length(a), _PLURALS[a]) for a in self.axes if a in _PLURALS]
        size = f"{width}×{height}"
        if counts:
            what = f"{' × '.join(counts)} of {size}" + (" (RGB)" if self.is_rgb else "")
        else:
            what = f"RGB photo {size}" if self.is_rgb else f"image {size}"
        return ", ".join(filter(None, (what, self._describe_spacing())))

    def _describe_spacing(self) -> str:
        """Return ``"0.69×0.69×5 mm"``, or nothing for plain pixels."""
        letters = self.lead_axes + "yx"
        known = {a: (s, u) for a, s, u in zip(letters, self.spacing, self.units, strict=True)}
        steps = [known[a] for a in "xyz" if a in known]
        units = {unit for _, unit in steps}
        if units == {PIXEL}:
            return ""
        if len(units) == 1:
            return "×".join(f"{step:.3g}" for step, _ in steps) + f" {steps[0][1]}"
        return " × ".join(f"{step:.3g} {unit}" for step, unit in steps)

    def _length(self, letter: str) -> int:
        return int(self.array.shape[self.axes.index(letter)])

    def _read(
        self, selection: tuple[int | slice, ...], index: tuple[int, ...], rows: slice, cols: slice
    ) -> NDArray[Any]:
        """Return the selected part as a numpy array, whatever holds it."""
        try:
            return np.asarray(self.array[selection])
        except _UNREADABLE as error:
            raise BadImageError(
                self.name,
                f"plane {index or 0}, rows {rows.start}-{rows.stop}, columns "
                f"{cols.start}-{cols.stop} cannot be read ({error})",
                "Check the file behind the image",
            ) from error


def interpret(
    array: Any,
    *,
    name: str,
    rgb: bool = False,
    axes: str | None = None,
    axis_labels: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    units: Sequence[object] | None = None,
    hints: SourceHints = NO_HINTS,
) -> ImageData:
    """Say what an array is: the one place that decides axes.

    Parameters
    ----------
    array : array-like
        numpy, dask, or anything with shape, dtype and slicing (read lazily then).
    name : str
        Layer or file name, for messages.
    rgb : bool
        Whether the last axis holds RGB or RGBA.
    axes : str, optional
        The user's answer, one letter per axis (t z n c s y x); decides everything.
    axis_labels : sequence of str
        One per axis except colours; z, t, c, y, x, time, channel, slice … decide.
    spacing, units : sequence, optional
        One per axis except colours (channels may be left out); 1 and "pixel" by default.
    hints : SourceHints
        What the file behind the array says.

    Returns
    -------
    ImageData
        Nothing was read or copied.

    Raises
    ------
    AmbiguousAxesError
        If an axis could mean more than one thing.
    BadImageError
        If the array cannot be an image.
    """
    array = _lazy(array)
    shape = _checked_shape(array, name)
    hints.refuse(name)
    steps = tuple(map(_positive, () if spacing is None else spacing))
    names = tuple(map(short_unit, () if units is None else units))
    clues = Clues(
        name, shape, rgb, tuple(map(str, axis_labels)), steps, names, _likely(hints.axes, rgb)
    )
    letters = decide_axes(clues) if axes is None else check_axes(axes, clues)
    check_sides(name, letters, shape)
    steps = _without_channels(steps, letters, 1.0)
    names = _without_channels(names, letters, PIXEL)
    notes = tuple(hints.warnings(steps, names))
    return ImageData(array, letters, steps, names, name, notes)


def _count(n: int, plural: str) -> str:
    return f"{n} {plural if n != 1 else plural.removesuffix('s')}"


def _lazy(array: Any) -> Any:
    """Wrap anything that is sliced on demand (zarr …) so that slicing twice reads nothing."""
    if isinstance(array, np.ndarray):
        return array
    import dask.array as da  # 0.2 s, which most people never need

    if isinstance(array, da.Array):
        return array
    if hasattr(array, "shape") and hasattr(array, "dtype"):
        empty = np.empty((0,) * len(array.shape), array.dtype)  # or dask reads a sample
        return da.from_array(array, meta=empty)  # type: ignore[no-untyped-call]
    return np.asarray(array)


def _checked_shape(array: Any, name: str) -> tuple[int, ...]:
    """Return the shape of an array of numbers; refuse what cannot be an image."""
    if array.dtype.kind in _KINDS:
        reason, remedy = _KINDS[array.dtype.kind]
        raise BadImageError(name, f"{reason} ({array.dtype})", remedy)
    if array.ndim < 2:
        raise BadImageError(name, f"{array.ndim}-D", "An image has rows and columns")
    if any(math.isnan(length) for length in array.shape):
        raise BadImageError(name, "size unknown", "Compute the chunk sizes first")
    if 0 in array.shape:
        shape = "×".join(map(str, array.shape))
        raise BadImageError(name, f"empty axis ({shape})", "Open an image that has pixels")
    return tuple(map(int, array.shape))


def _positive(step: float) -> float:
    """Return the size of a step: a mirrored axis has a negative one, an unset one may be 0."""
    size = abs(float(step))
    return size if math.isfinite(size) and size > 0 else 1.0


def _likely(axes: str, rgb: bool) -> str:
    """Return stored axes in our letters, colours included."""
    letters = axes.lower().translate(str.maketrans("iqa", "nnn"))
    return letters + "s" if rgb and not letters.endswith("s") else letters


def _without_channels(values: tuple[T, ...], axes: str, default: T) -> tuple[T, ...]:
    """Return one value per axis that is neither channel nor colour.

    `values` may cover all axes, all except colours, or exactly the wanted ones.
    """
    spatial = "".join(a for a in axes if a not in "cs")
    if not values:
        return (default,) * len(spatial)
    for covered in (axes, axes.removesuffix("s"), spatial):
        if len(values) == len(covered):
            return tuple(v for v, a in zip(values, covered, strict=True) if a not in "cs")
    raise ValueError(f"{len(values)} values do not fit the axes {axes}")


def _to_float32(block: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Return a contiguous native copy; values that only float64 can hold are refused."""
    with np.errstate(over="ignore", invalid="ignore"):
        native = np.ascontiguousarray(block, dtype=np.float32)
    if block.dtype.kind == "f" and block.dtype.itemsize > 4:
        lost = np.isinf(native) & np.isfinite(block)
        if lost.any():
            largest = np.abs(block[lost]).max()
            raise BadImageError(name, f"exceeds float32 (up to {largest:.3g})", "Rescale it")
    return native
