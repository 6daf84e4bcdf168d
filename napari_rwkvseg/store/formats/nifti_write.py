"""NIfTI out: on the source's own grid when it was NIfTI, else plain spacing in millimetres."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.units import is_length, is_time
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.geometry import Affine, Geometry, flip
from napari_rwkvseg.store.formats.tiff_write import CENTIMETERS, software

_SECONDS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SCANNER, _UNKNOWN = 1, 0  # NIfTI orientation codes


def nifti_bytes(
    name: str,
    array: npt.NDArray[Any],
    axes: str,
    spacing: Sequence[float],
    units: Sequence[str],
    geometry: Geometry | None = None,
) -> bytes:
    """Return a NIfTI-1 file with a fresh header: nothing of the source but its geometry.

    Parameters
    ----------
    name : str
        Of the file, for messages; packed if it ends in .gz.
    array : ndarray
        Axes as `axes` says.
    axes : str
        Letters of t, z, n, c, y, x; columns, rows, slices come first in the file, then the rest.
    spacing, units : sequence
        One per axis.
    geometry : Geometry, optional
        Of the source; without it the file claims no orientation.

    Raises
    ------
    BadImageError
        If the array does not fit the source volume, or the format.
    """
    steps = dict(zip(axes, zip(spacing, units, strict=True), strict=True))
    if geometry is not None:
        stored = flip(_on_grid(name, array, axes, geometry), geometry.flips)
        affine = geometry.millimetres
        code = _SCANNER if geometry.oriented else _UNKNOWN
    else:
        stored = _stored_order(array, axes)
        affine, code = _plain_affine(steps), _UNKNOWN
    image = _fresh(name, stored, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    if stored.ndim > 3 and is_time(steps.get("t", (1.0, ""))[1]):
        image.header["pixdim"][4] = steps["t"][0] * _SECONDS[steps["t"][1]]
    image.header["descrip"] = f"{software()}. {RESEARCH_ONLY}"[:79]
    file: bytes = image.to_bytes()
    return gzip.compress(file, mtime=0) if name.lower().endswith(".gz") else file


def _fresh(name: str, stored: npt.NDArray[Any], affine: Affine) -> Any:
    """Return an image with a header of its own: the source's may name the patient in its text."""
    try:
        return nib.Nifti1Image(stored, affine)  # type: ignore[no-untyped-call]
    except HeaderDataError as error:  # sides are 16-bit numbers there
        reason = f"a side of {max(stored.shape)} pixels is too long for NIfTI"
        raise BadImageError(name, reason, "Save it as TIFF") from error


def _stored_order(array: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Return the array as (x, y, z, further axes); a plane gets no third axis."""
    space = [letter for letter in "xyz" if letter in axes]
    further = [letter for letter in axes if letter not in "xyz"]
    stored = array.transpose([axes.index(letter) for letter in (*space, *further)])
    if further and "z" not in axes:
        return stored[:, :, np.newaxis]
    return stored


def _on_grid(name: str, array: npt.NDArray[Any], axes: str, geometry: Geometry) -> npt.NDArray[Any]:
    """Give a volume the source's order and shape again, with its axes of length 1."""
    volume, grid = (*geometry.shape, 1)[:3], geometry.shape
    if _used(array.T.shape) == _used(grid):  # whatever the axes mean: read in reverse order
        return array.T.reshape(grid)
    stored = _stored_order(array, axes)
    if stored.shape[:3] == volume:  # a source of several volumes, or probabilities per class
        return stored
    reason = f"result of shape {stored.shape} does not fit the source, {grid}"
    raise BadImageError(name, reason, "Save it as TIFF")


def _used(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side > 1)


def _plain_affine(steps: dict[str, tuple[float, str]]) -> Affine:
    known = [steps.get(letter, (1.0, "")) for letter in "xyz"]
    sizes = [10 * CENTIMETERS[unit] * step if is_length(unit) else step for step, unit in known]
    return np.diag([*sizes, 1.0])
