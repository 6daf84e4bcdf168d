"""NIfTI in: spacing and orientation from the header, planes upright, singleton axes dropped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.units import PIXEL, is_length, is_time, short_unit
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.geometry import (
    Geometry,
    flip,
    is_invertible,
    tilt,
    upright_flips,
)
from napari_rwkvseg.store.formats.pixels import (
    UNKNOWN,
    FilePixels,
    check_dtype,
    check_size,
    decoding,
)

_TILT_NOTED = 1.0  # degrees


def read_nifti(path: Path) -> FilePixels:
    """Read a volume in order (time, slice, row, column), as stored but flipped upright.

    Spacing is in millimetres unless the header names another unit. A fourth axis stays
    unnamed: files hold time points, contrasts and directions there.

    Raises
    ------
    BadImageError
        For damaged or cut files, and volumes larger than the memory limit.
    """
    with decoding(path, "NIfTI", ImageFileError, HeaderDataError):
        image = _load(path)
        _check_header(path, image)
        stored = _read_values(image)
        geometry, notes = _read_geometry(image)
        array = flip(stored.reshape(_upto_used(stored.shape)), geometry.flips)
        return _to_pixels(array, image, geometry, notes)


def read_geometry(path: Path) -> Geometry:
    """Read only where a NIfTI volume lies, for a mask that has to lie in the same place."""
    with decoding(path, "NIfTI", ImageFileError, HeaderDataError):
        return _read_geometry(_load(path))[0]


def _load(path: Path) -> Any:
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise BadImageError(path.name, "is NIfTI by its content", "Rename it to end in .nii")
    image = nib.load(path, mmap=False)  # another program may write over the file
    if not isinstance(image, nib.Nifti1Image):  # CIFTI surfaces share the ending
        raise ValueError(f"{type(image).__name__} is no volume")
    return image


def _check_header(path: Path, image: Any) -> None:
    dtype = image.get_data_dtype()
    if dtype.names is None:  # RGB is stored as a record of bytes
        check_dtype(path.name, dtype)
    check_size(path.name, image.shape, dtype.itemsize)
    needed = int(image.dataobj.offset) + math.prod(image.shape) * dtype.itemsize
    if path.suffix.lower() != ".gz" and path.stat().st_size < needed:
        raise BadImageError(path.name, "truncated NIfTI", "Copy or download it again")


def _read_values(image: Any) -> npt.NDArray[Any]:
    """Return values after slope and intercept; scaled ones as float32, RGB as a last axis."""
    values = np.asanyarray(image.dataobj)
    if values.dtype.names is not None:
        return np.stack([values[name] for name in values.dtype.names], axis=-1)
    stored_real = image.get_data_dtype().kind == "f"
    scaled: npt.NDArray[Any] = values
    if values.dtype.kind == "f" and not stored_real:
        scaled = values.astype(np.float32)
    return scaled


def _read_geometry(image: Any) -> tuple[Geometry, tuple[str, ...]]:
    affine, unit = np.asarray(image.affine, dtype=np.float64), _length_unit(image)
    if not is_invertible(affine):
        steps = [abs(float(step)) or 1.0 for step in image.header.get_zooms()[:3]]
        place = np.diag([*[*steps, 1.0, 1.0][:3], 1.0])
        note = "No valid orientation in the file: slices are shown as stored."
        return Geometry(place, image.shape, oriented=False, unit=unit), (note,)
    if not (image.header["sform_code"] or image.header["qform_code"]):
        # As in our own masks of images that lie in no patient; nibabel makes a guess.
        return Geometry(affine, image.shape, oriented=False, unit=unit), ()
    notes: tuple[str, ...] = ()
    angle = tilt(affine)
    if angle > _TILT_NOTED:
        notes = (f"Oblique volume ({angle:.0f}° off the body axes): shown along its own axes.",)
    return Geometry(affine, image.shape, upright_flips(affine), unit=unit), notes


def _length_unit(image: Any) -> str:
    """Return the unit of lengths; files that leave it open mean mm, as other programs take it."""
    unit = short_unit(_units(image)[0])
    return unit if is_length(unit) else "mm"


def _units(image: Any) -> tuple[str, str]:
    """Return the header's units of space and time, "unknown" for codes that nobody gave out."""
    try:
        space, time = image.header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return str(space), str(time)


def _upto_used(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop trailing axes of length 1 down to a plane: (320, 280, 1, 1) is one picture."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _to_pixels(
    array: npt.NDArray[Any], image: Any, geometry: Geometry, notes: tuple[str, ...]
) -> FilePixels:
    rgb = image.get_data_dtype().names is not None
    spatial = array.ndim - rgb
    # The standard calls axis 4 time, but files hold contrasts and directions there as well.
    letters = (UNKNOWN * max(0, spatial - 3) + "zyx")[-spatial:]
    order = [*range(spatial)][::-1] + [spatial] * rgb
    steps, units = _spacing(image, geometry, spatial)
    likely = "tzyx" if spatial == 4 and not rgb else ""
    return FilePixels(
        array.transpose(order),
        letters + "s" * rgb,
        steps + (1.0,) * rgb,
        units + (PIXEL,) * rgb,
        SourceHints(axes=likely, notes=notes),
        geometry,
    )


def _spacing(
    image: Any, geometry: Geometry, spatial: int
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return spacing and units, slowest axis first."""
    time = short_unit(_units(image)[1])
    pace = time if is_time(time) else PIXEL
    sides = np.linalg.norm(geometry.affine[:3, :3], axis=0)
    sizes = [float(side) for side in sides][: min(spatial, 3)]
    zooms = [float(step) for step in image.header.get_zooms()[3:spatial]]
    further = [step if math.isfinite(step) and step > 0 else 1.0 for step in zooms]
    steps = (sizes + further)[::-1]
    units = ([geometry.unit] * len(sizes) + [pace] * len(further))[::-1]
    return tuple(steps), tuple(units)


def is_nifti_header(start: bytes) -> bool:
    """Whether bytes begin a single-file NIfTI-1 or NIfTI-2."""
    return start[344:348] == b"n+1\x00" or start[4:8] == b"n+2\x00"
