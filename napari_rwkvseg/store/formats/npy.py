"""NumPy files: the header is judged before any value is read, pickles are never loaded."""

from __future__ import annotations

import math
import tokenize
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.pixels import (
    UNKNOWN,
    FilePixels,
    check_dtype,
    check_size,
    decoding,
)


def read_npy(path: Path) -> FilePixels:
    """Read one array; more than two axes stay unnamed, numpy files do not say.

    Raises
    ------
    BadImageError
        For objects, text, times, complex values, fewer than two axes, a header that promises
        more than the file or the memory holds.
    """
    with decoding(path, "numpy file", tokenize.TokenError):
        shape, dtype, start = _read_header(path)
    check_dtype(path.name, dtype)
    check_size(path.name, shape, dtype.itemsize)
    if path.stat().st_size - start < math.prod(shape) * dtype.itemsize:
        raise BadImageError(path.name, "truncated numpy file", "Copy or download it again")
    with decoding(path, "numpy file"):
        array: npt.NDArray[np.generic] = np.load(path, allow_pickle=False)
    return FilePixels(array, "yx" if array.ndim == 2 else UNKNOWN * array.ndim)


def _read_header(path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        known = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in known:
            raise ValueError(f"format version {version[0]}.{version[1]}")
        shape, _, dtype = known[version](file)
        return shape, dtype, file.tell()
