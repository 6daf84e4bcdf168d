"""Look behind a layer at its file: what napari's own readers drop without a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import tifffile
from pydicom.dataset import Dataset

from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.dicom import is_inverted, n_frames, open_dicom
from napari_rwkvseg.store.formats.dicom_geometry import frame_axis, pixel_spacing
from napari_rwkvseg.store.formats.dicom_series import find_series, plane_spacing, stacking
from napari_rwkvseg.store.formats.opening import detect
from napari_rwkvseg.store.formats.pixels import UNKNOWN, decoding
from napari_rwkvseg.store.formats.tiff import check_whole, tiff_hints
from napari_rwkvseg.store.formats.zarr_store import absent_notes, open_zarr


def peek(path: str | Path, shape: Sequence[int] = ()) -> SourceHints:
    """Return what the file behind a layer says; reads headers only, never raises.

    Parameters
    ----------
    path : str or Path
        ``layer.source.path``.
    shape : sequence of int
        Of the layer's data: tells whether all frames of the file were read.

    Returns
    -------
    SourceHints
        Empty where the file is gone or says nothing more than the layer does.
    """
    path = Path(path)
    try:
        with decoding(path, "file"):
            look = _LOOKS.get(detect(path))
            return NO_HINTS if look is None else look(path, tuple(shape))
    except BadImageError as error:
        # The layer holds its pixels already: a lost file is no reason to refuse them.
        return (
            SourceHints(notes=(f"File not checked: {error.reason}.",))
            if path.exists()
            else (NO_HINTS)
        )


def _peek_tiff(path: Path, shape: tuple[int, ...]) -> SourceHints:
    with decoding(path, "TIFF"), tifffile.TiffFile(path) as tif:
        check_whole(path, tif)
        return tiff_hints(tif) if tif.series else NO_HINTS


def _peek_dicom(path: Path, shape: tuple[int, ...]) -> SourceHints:
    header = open_dicom(path, pixels=False)
    if "Rows" not in header:
        return NO_HINTS
    frames = n_frames(header)
    plane, notes = pixel_spacing(header)
    shown = frames if frames in shape[:-2] else 1
    hints = SourceHints(monochrome1=is_inverted(header), frames=(shown, frames), notes=notes)
    if not plane or len(shape) != (3 if frames > 1 else 2):
        return hints
    return _with_spacing(hints, header, plane)


def _with_spacing(hints: SourceHints, header: Dataset, plane: tuple[float, ...]) -> SourceHints:
    if n_frames(header) == 1:
        return replace(hints, spacing=plane, units=("mm", "mm"))
    letter, step, unit = frame_axis(header)
    axes = "" if letter == UNKNOWN else letter + "yx"
    return replace(hints, axes=axes, spacing=(step, *plane), units=(unit, "mm", "mm"))


def _peek_series(path: Path, shape: tuple[int, ...]) -> SourceHints:
    slices = find_series(path)
    first = slices[0].header
    if len(slices) == 1:
        return _peek_dicom(slices[0].path, shape)
    letter, step, unit, notes = stacking(slices)
    plane, more = plane_spacing(slices)
    hints = SourceHints(monochrome1=is_inverted(first), notes=notes + more)
    if letter == UNKNOWN or not plane or len(shape) != 3:
        return hints
    return replace(hints, axes="zyx", spacing=(step, *plane), units=(unit, "mm", "mm"))


def _peek_zarr(path: Path, shape: tuple[int, ...]) -> SourceHints:
    return SourceHints(notes=absent_notes(open_zarr(path)[0]))


_LOOKS: dict[str, Callable[[Path, tuple[int, ...]], SourceHints]] = {
    "TIFF": _peek_tiff,
    "DICOM": _peek_dicom,
    "DICOM series": _peek_series,
    "zarr": _peek_zarr,
}
