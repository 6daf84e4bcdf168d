"""A folder of DICOM slices as one volume, sorted by where they lie, not by their file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.units import PIXEL
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.dicom import (
    check_tags,
    decode,
    is_inverted,
    n_frames,
    open_dicom,
    read_dicom,
)
from napari_rwkvseg.store.formats.dicom_geometry import (
    affine_of,
    gap_notes,
    orientation,
    pixel_spacing,
    slice_position,
    usual_step,
)
from napari_rwkvseg.store.formats.geometry import upright
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels, check_size, decoding


@dataclass(frozen=True, eq=False)
class Slice:
    """One file of a series.

    Attributes
    ----------
    path : Path
        Where it is.
    header : Dataset
        Without pixels.
    position : float or None
        Along the normal of the slice, in mm.
    """

    path: Path
    header: Dataset
    position: float | None


def read_series(folder: Path) -> FilePixels:
    """Read the one series of a folder as a volume (slice, row, column).

    Raises
    ------
    BadImageError
        If the folder holds no DICOM file, several series, slices of different size or
        direction, or several slices in the same place.
    """
    slices = find_series(folder)
    if len(slices) == 1:
        return read_dicom(slices[0].path)
    first = slices[0].header
    shape = (len(slices), int(first.Rows), int(first.Columns), int(first.get("SamplesPerPixel", 1)))
    check_size(folder.name, shape, 4)
    volume = _stack(folder.name, [decode(one.path, open_dicom(one.path)) for one in slices])
    rgb = volume.ndim == 4
    letter, step, unit, notes = stacking(slices)
    spacing, more = plane_spacing(slices)
    plane_unit = "mm" if spacing else PIXEL
    axes = letter + "yx" + "s" * rgb
    affine, geometry = affine_of(first, step, slices[-1].header), None
    if affine is not None:
        volume, geometry = upright(volume, axes, affine, volume.shape[:3][::-1])
    return FilePixels(
        volume,
        axes,
        (step, *(spacing or (1.0, 1.0))) + (1.0,) * rgb,
        (unit, plane_unit, plane_unit) + (PIXEL,) * rgb,
        SourceHints(
            axes=axes.replace(UNKNOWN, "z") if UNKNOWN in axes else "",
            monochrome1=is_inverted(first),
            notes=notes + more,
        ),
        geometry,
    )


def _stack(name: str, planes: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Stack slices; one slice with its own rescale turns all to float32 (PET)."""
    if len({plane.ndim for plane in planes}) > 1:
        remedy = "Put each kind into its own folder"
        raise BadImageError(name, "holds grey slices and slices in colour", remedy)
    dtype = np.result_type(*{plane.dtype for plane in planes})
    return np.stack([plane.astype(dtype, copy=False) for plane in planes])


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM files do (128 bytes, then DICM)."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def has_dicom(folder: Path) -> bool:
    """Whether a folder directly holds a DICOM file."""
    return any(entry.is_file() and is_dicom(entry) for entry in sorted(folder.iterdir()))


def find_series(folder: Path) -> list[Slice]:
    """Return the slices of the folder's one series, feet to head or by instance number."""
    files = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and is_dicom(entry)]
    headers = [(path, open_dicom(path, pixels=False)) for path in files]
    images = [(path, header) for path, header in headers if "Rows" in header]
    if not images:
        raise BadImageError(folder.name, "holds no DICOM image", "Choose the folder of the slices")
    with decoding(folder, "DICOM series"):
        for path, header in images:
            check_tags(path, header, "Rows", "Columns")
        _check_one_series(folder.name, [header for _, header in images])
        return _sorted([Slice(path, header, slice_position(header)) for path, header in images])


def _sorted(slices: list[Slice]) -> list[Slice]:
    # File names and instance numbers often run against the patient: places decide.
    if all(one.position is not None for one in slices):
        return sorted(slices, key=lambda one: one.position or 0.0)
    return sorted(slices, key=_instance)


def _instance(one: Slice) -> tuple[int, str]:
    return int(one.header.get("InstanceNumber") or 0), one.path.name


def _check_one_series(name: str, headers: list[Dataset]) -> None:
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    if len(series) > 1:
        reason = f"holds {len(series)} DICOM series"
        raise BadImageError(name, reason, "Put each series into its own folder")
    if len(headers) > 1 and any(n_frames(header) > 1 for header in headers):
        raise BadImageError(name, "holds several multi-frame files", "Open them one by one")
    sizes = {(int(header.Rows), int(header.Columns)) for header in headers}
    if len(sizes) > 1:
        found = ", ".join(f"{rows}×{columns}" for rows, columns in sorted(sizes))
        raise BadImageError(name, f"slices differ in size ({found})", "Keep one size per folder")
    if len({orientation(header) for header in headers}) > 1:
        raise BadImageError(name, "slices differ in direction", "Keep one direction per folder")


def plane_spacing(slices: list[Slice]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return what `pixel_spacing` says of the first slice, and a note if others differ."""
    found = [pixel_spacing(one.header) for one in slices]
    spacing, notes = found[0]
    if all(len(other) == len(spacing) and np.allclose(other, spacing, 1e-3) for other, _ in found):
        return spacing, notes
    return spacing, (*notes, "Slices differ in pixel spacing: that of the first is taken for all.")


def stacking(slices: list[Slice]) -> tuple[str, float, str, tuple[str, ...]]:
    """Return what the first axis is: (letter, distance, unit, notes).

    Raises
    ------
    BadImageError
        If several slices lie in the same place: time points or contrasts in one folder.
    """
    positions = [one.position for one in slices if one.position is not None]
    if len(positions) < len(slices):
        note = "No slice positions in the files: sorted by instance number."
        return UNKNOWN, 1.0, PIXEL, (note,)
    steps = np.diff(positions)
    if steps.size and float(steps.min()) < 1e-3:
        name = slices[0].path.parent.name
        reason = "several slices lie in the same place (time points or contrasts)"
        raise BadImageError(name, reason, "Put each volume into its own folder")
    return "z", usual_step(positions), "mm", gap_notes(positions)
