"""Save masks and probabilities in the geometry of their image, with no tag of the source."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.formats.geometry import Geometry
from napari_rwkvseg.store.formats.nifti import read_geometry
from napari_rwkvseg.store.formats.nifti_write import nifti_bytes
from napari_rwkvseg.store.formats.opening import detect, read_pixels
from napari_rwkvseg.store.formats.tiff_write import tiff_bytes

MASK_SUFFIXES = (".tif", ".tiff", ".nii", ".nii.gz", ".npy")


def write_mask(
    path: str | Path, labels: npt.NDArray[Any], image: ImageData, source: str | Path | None = None
) -> Path:
    """Save a mask as TIFF, NIfTI or npy, as the name says; the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in .tif, .tiff, .nii, .nii.gz or .npy.
    labels : ndarray of integers, shape ``image.spatial_shape``
        0 is background.
    image : ImageData
        Gives axes, spacing and units.
    source : str or Path, optional
        The NIfTI or DICOM image it came from: a NIfTI mask then lies exactly on it.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    BadImageError
        If the shapes differ, an id is negative, or the name has another ending.
    OSError
        If the disk refuses.
    """
    path = Path(path)
    if labels.shape != image.spatial_shape:
        reason = f"mask of shape {labels.shape} for an image of shape {image.spatial_shape}"
        raise BadImageError(path.name, reason, "Segment the image again")
    axes = image.lead_axes + "yx"
    geometry = _source_geometry(source, image.axes)
    write_array(path, smallest(path.name, labels), axes, image.spacing, image.units, geometry)
    return path


def write_probability(
    path: str | Path,
    probability: npt.NDArray[Any],
    image: ImageData,
    class_names: Sequence[str],
    source: str | Path | None = None,
) -> Path:
    """Save the probabilities of all foreground classes as one float32 file.

    Parameters
    ----------
    path : str or Path
        As for `write_mask`.
    probability : ndarray of float, shape (K, *image.spatial_shape), 0 to 1
        One map per class; kept as channels (TIFF), as the fourth axis (NIfTI), first (npy).
    image : ImageData
        Gives axes, spacing and units.
    class_names : sequence of str, length K
        Written as channel names where the format has them.
    source : str or Path, optional
        As for `write_mask`.

    Raises
    ------
    BadImageError
        If the shapes or the number of names do not fit.
    """
    path = Path(path)
    if probability.shape != (len(class_names), *image.spatial_shape):
        reason = f"{probability.shape} does not fit {len(class_names)} classes of the image"
        raise BadImageError(path.name, reason, "Segment the image again")
    axes = "c" + image.lead_axes + "yx"
    spacing, units = (1.0, *image.spacing), ("pixel", *image.units)
    values = probability.astype(np.float32)
    geometry = _source_geometry(source, image.axes)
    write_array(path, values, axes, spacing, units, geometry, tuple(class_names))
    return path


def write_array(
    path: Path,
    array: npt.NDArray[Any],
    axes: str,
    spacing: Sequence[float],
    units: Sequence[str],
    geometry: Geometry | None = None,
    channels: tuple[str, ...] = (),
) -> None:
    """Write in the format that the name asks for; the file appears whole or not at all.

    Raises
    ------
    BadImageError
        If no format has this ending.
    """
    name = path.name.lower()
    if name.endswith((".tif", ".tiff")):
        data = tiff_bytes(array, axes, spacing, units, channels)
    elif name.endswith((".nii", ".nii.gz")):
        data = nifti_bytes(path.name, array, axes, spacing, units, geometry)
    elif name.endswith(".npy"):
        data = _npy_bytes(array)
    else:
        remedy = f"Use one of {', '.join(MASK_SUFFIXES)}"
        raise BadImageError(path.name, "unknown ending for a result", remedy)
    write_atomic(path, data)


def _npy_bytes(array: npt.NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def smallest(name: str, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels in the smallest unsigned type that every program reads.

    Raises
    ------
    BadImageError
        For negative ids or values that are no integers.
    """
    if labels.dtype.kind not in "bui":
        raise BadImageError(name, f"{labels.dtype} values are no mask", "Use whole numbers")
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    # Signed types open as images in some programs and not at all in others.
    if low < 0:
        raise BadImageError(name, f"holds the negative id {low}", "Renumber the mask")
    dtype = next(t for t in (np.uint8, np.uint16, np.uint32) if high <= np.iinfo(t).max)
    return labels.astype(dtype)


def _source_geometry(source: str | Path | None, axes: str) -> Geometry | None:
    """Return where the source lies, read as `axes`; of a NIfTI file the header is enough."""
    if source is None:
        return None
    path = Path(source)
    kind = detect(path)
    if kind == "NIfTI":
        return read_geometry(path).as_meant(axes)
    geometry = read_pixels(path).geometry if kind.startswith("DICOM") else None
    return geometry and geometry.as_meant(axes)
