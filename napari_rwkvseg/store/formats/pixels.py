"""What a file holds, before anybody decides what its axes mean; and the checks at the door."""

from __future__ import annotations

import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.engine.units import PIXEL
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.geometry import Geometry

MAX_BYTES = 4_000_000_000  # what one image may take in memory once decoded
UNKNOWN = "?"

# What decoders raise on damaged bytes; programming errors elsewhere are not caught with it.
DECODE_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class FilePixels:
    """The pixels of a file with all that the file itself says about them.

    Attributes
    ----------
    array : numpy or dask array
        As stored: any dtype, byte order and number of axes.
    axes : str
        One letter per array axis: t, z, n, c, s, y, x, or ``?`` where the file does not say.
    spacing : tuple of float
        One per array axis, 1.0 where unknown or meaningless (channels, samples).
    units : tuple of str
        Short unit names (mm, µm, s), one per array axis, ``"pixel"`` where unknown.
    hints : SourceHints
        What the array does not show: colours, notes, the likeliest axes.
    geometry : Geometry or None
        Where the array lies in the patient, for formats that know.
    """

    array: Any
    axes: str
    spacing: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    hints: SourceHints = NO_HINTS
    geometry: Geometry | None = None

    def __post_init__(self) -> None:
        """Fill in what the file left open."""
        object.__setattr__(self, "spacing", self.spacing or (1.0,) * len(self.axes))
        object.__setattr__(self, "units", self.units or (PIXEL,) * len(self.axes))

    @property
    def is_rgb(self) -> bool:
        """Whether the last axis holds colour samples."""
        return self.axes.endswith("s")


def check_file(path: Path, what: str) -> None:
    """Raise `BadImageError` unless `path` is a file with something in it."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise BadImageError(path.name, f"is a folder, not a {what}", "Choose a file")
    except FileNotFoundError:
        raise BadImageError(path.name, "does not exist", "Check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadImageError(path.name, f"cannot be opened ({reason})", "Check the path") from error
    if not size:
        raise BadImageError(path.name, f"not a {what}, the file is empty", "Get it again")


def check_size(name: str, shape: Sequence[int], itemsize: int) -> None:
    """Raise `BadImageError` if the declared array is empty, 0-D or too large to decode.

    Parameters
    ----------
    name : str
        File name.
    shape : sequence of int
        As the header states it, nothing decoded yet.
    itemsize : int
        Bytes per value.
    """
    text = "×".join(str(n) for n in shape)
    if len(shape) < 2:
        kind = "a 0-D value" if not shape else f"1-D ({text})"
        raise BadImageError(name, f"holds {kind}, not an image", "Save an array of 2 or more axes")
    if min(shape) == 0:
        raise BadImageError(name, f"has an empty axis ({text})", "Save the image again")
    size = math.prod(shape) * itemsize  # Python integers: no overflow on hostile shapes
    if size > MAX_BYTES:
        reason = f"{text} is {size / 1e9:.1f} GB, the limit is {MAX_BYTES / 1e9:.0f} GB"
        raise BadImageError(name, reason, "Crop it or convert it to OME-Zarr")


def check_dtype(name: str, dtype: npt.DTypeLike) -> None:
    """Raise `BadImageError` naming a dtype that is not boolean, integer or real."""
    found = np.dtype(dtype)
    if found.kind not in "buif":
        kind = "complex" if found.kind == "c" else f"{found.name} ({found.str})"
        remedy = "Save magnitude or phase" if found.kind == "c" else "Save it as numbers"
        raise BadImageError(name, f"holds {kind} values, not intensities", remedy)


@contextmanager
def decoding(path: Path, what: str, *more: type[Exception]) -> Iterator[None]:
    """Run a decoder: its warnings are silenced, its errors become one `BadImageError`.

    Parameters
    ----------
    path : Path
        The file, named in the message.
    what : str
        Format, for people: ``"TIFF"``.
    *more : exception types
        The library's own errors that derive from none of the usual ones.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (*DECODE_ERRORS, *more) as error:
        raise _decode_error(path.name, what, error) from error


def _decode_error(name: str, what: str, error: Exception) -> BadImageError:
    text = " ".join(str(error).split())[:160].rstrip(" .:") or type(error).__name__
    if isinstance(error, KeyError):
        text = f"lacks {text}"
    if "imagecodecs" in text:
        return BadImageError(name, f"needs a decoder ({text})", "Install the package imagecodecs")
    if isinstance(error, EOFError) or re.search("truncat|failed to read", text.lower()):
        return BadImageError(name, f"truncated {what} ({text})", "Copy or download it again")
    return BadImageError(name, f"damaged or unusual {what} ({text})", "Save it anew as TIFF or PNG")
