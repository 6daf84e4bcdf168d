"""TIFF in: plain, ImageJ, OME, tiled, pyramidal, multi-page; spacing from whichever tag has it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.units import PIXEL
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.pixels import (
    UNKNOWN,
    FilePixels,
    check_dtype,
    check_size,
    decoding,
)
from napari_rwkvseg.store.formats.tiff_tags import read_spacing

_RGB = {tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR}
_OTHER_COLOURS = {tifffile.PHOTOMETRIC.CIELAB, tifffile.PHOTOMETRIC.ICCLAB}
_COPY_AGAIN = "Copy or download it again"


def read_tiff(path: Path) -> FilePixels:
    """Read the first series at full resolution.

    Raises
    ------
    BadImageError
        For files that are no TIFF, damaged or cut, larger in memory than the limit, in CMYK or
        CIELAB, or compressed by a method that needs the package imagecodecs.
    """
    with decoding(path, "TIFF"), tifffile.TiffFile(path) as tif:
        check_whole(path, tif)
        if not tif.series:
            raise EOFError("no image directory")
        series = tif.series[0]
        hints = tiff_hints(tif)
        _check_series(path, series)
        array, axes = _samples_last(series.asarray(), series_axes(series))
        return FilePixels(array, axes, *_steps(tif, axes), hints)


def check_whole(path: Path, tif: tifffile.TiffFile) -> None:
    """Raise `BadImageError` if the file ends before its last page; decoders leave the rest out."""
    found = len(tif.pages)
    if found and _leads_beyond_the_end(tif):
        reason = f"truncated TIFF, it ends after page {found} and more should follow"
        raise BadImageError(path.name, reason, _COPY_AGAIN)
    promised = int((tif.imagej_metadata or {}).get("images", 1))
    if found == 1 < promised and 1 < _planes_in_a_row(tif) < promised:
        reason = f"truncated TIFF, its header promises {promised} slices"
        raise BadImageError(path.name, reason, _COPY_AGAIN)


def _leads_beyond_the_end(tif: tifffile.TiffFile) -> bool:
    """Whether the last page names a next one that the file does not reach."""
    file, form = tif.filehandle, tif.tiff
    file.seek(tif.pages.next_page_offset or 0)
    pointer = file.read(form.offsetsize)
    if len(pointer) < form.offsetsize:
        return True
    (following,) = struct.unpack(form.offsetformat, pointer)
    return bool(following + form.tagnosize > file.size)


def _planes_in_a_row(tif: tifffile.TiffFile) -> int:
    """Return how many planes the bytes from the first on can hold: so ImageJ stores large ones."""
    page = tif.pages.first
    return int((tif.filehandle.size - page.dataoffsets[0]) // page.nbytes)


def tiff_hints(tif: tifffile.TiffFile) -> SourceHints:
    """Return what the tags say about colours, axes, spacing and further series.

    `axes` is empty unless the file names every axis.
    """
    series = tif.series[0]
    photometric = series.keyframe.photometric
    letters = _planar_last(series_axes(series))
    named = UNKNOWN not in letters
    steps, units = _steps(tif, letters.replace("s", ""))
    measured = set(units) != {PIXEL}
    return SourceHints(
        axes=letters if named else "",
        palette=photometric == tifffile.PHOTOMETRIC.PALETTE,
        # 1-bit masks are written white-is-zero by default: True still reads as 1.
        miniswhite=photometric == tifffile.PHOTOMETRIC.MINISWHITE and series.dtype != np.bool_,
        cmyk=photometric == tifffile.PHOTOMETRIC.SEPARATED,
        series=(1, len(tif.series)),
        spacing=steps if measured else (),
        units=units if measured else (),
    )


def series_axes(series: tifffile.TiffPageSeries) -> str:
    """Return one letter of ours per axis as stored, ``?`` where the file does not say."""
    page = series.keyframe
    rgb = page.photometric in _RGB and page.samplesperpixel in (3, 4)
    named = {"Y": "y", "X": "x", "Z": "z", "T": "t", "C": "c", "S": "s" if rgb else UNKNOWN}
    other = "n" if series.kind == "ome" else UNKNOWN  # OME names its further axes
    return "".join(named.get(letter, other) for letter in series.axes)


def _check_series(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Judge a series by its header: colours, values, whether the bytes are there, size."""
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        raise BadImageError(path.name, "CMYK colours", "Convert it to RGB")
    if series.keyframe.photometric in _OTHER_COLOURS:
        raise BadImageError(path.name, "CIELAB colours", "Convert it to RGB")
    dtype = np.dtype(series.dtype or "V1")
    check_dtype(path.name, dtype)
    if any(_last_byte(page) > page.parent.filehandle.size for page in series.pages if page):
        size = "×".join(str(n) for n in series.shape)
        reason = f"truncated TIFF, its header promises {size} pixels"
        raise BadImageError(path.name, reason, _COPY_AGAIN)
    check_size(path.name, series.shape, dtype.itemsize)


def _last_byte(page: tifffile.TiffPage | tifffile.TiffFrame) -> int:
    # Decoders fill missing strips with zeros: half a mask of nothing, without a word.
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
    return max(ends, default=0)


def _samples_last(array: npt.NDArray[Any], axes: str) -> tuple[npt.NDArray[Any], str]:
    """Move planar RGB samples to the end, as everybody else stores them."""
    if "s" not in axes:
        return array, axes
    return np.moveaxis(array, axes.index("s"), -1), _planar_last(axes)


def _planar_last(axes: str) -> str:
    return axes.replace("s", "") + "s" if "s" in axes else axes


def _steps(tif: tifffile.TiffFile, axes: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return spacing and unit per axis, 1 pixel where the file does not say."""
    known = read_spacing(tif, tif.series[0])
    found = [known.get(letter, (1.0, PIXEL)) for letter in axes]
    return tuple(step for step, _ in found), tuple(unit for _, unit in found)
