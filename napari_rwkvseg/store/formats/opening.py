"""Open any image file the project reads; the content decides the format, not the name.

Only NIfTI needs its ending as well: it says whether the file is packed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.dicom import read_dicom
from napari_rwkvseg.store.formats.dicom_series import has_dicom, read_series
from napari_rwkvseg.store.formats.geometry import Geometry
from napari_rwkvseg.store.formats.nifti import is_nifti_header, read_nifti
from napari_rwkvseg.store.formats.npy import read_npy
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels, check_file
from napari_rwkvseg.store.formats.raster import read_raster
from napari_rwkvseg.store.formats.tiff import read_tiff
from napari_rwkvseg.store.formats.zarr_store import is_zarr, read_zarr

_START = 352  # bytes: the longest header looked at, NIfTI-1
MAX_LABEL = 65_535

_MAGIC = {
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"\x93NUMPY": "numpy file",
    b"\x89PNG": "picture",
    b"\xff\xd8\xff": "picture",
    b"GIF8": "picture",
    b"BM": "picture",
}
_SUFFIXES = {
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".npy": "numpy file",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".gif": "picture",
    ".bmp": "picture",
    ".dcm": "DICOM",
    ".nii": "NIfTI",
    ".gz": "NIfTI",
}
_READERS: dict[str, Callable[[Path], FilePixels]] = {
    "TIFF": read_tiff,
    "numpy file": read_npy,
    "picture": read_raster,
    "DICOM": read_dicom,
    "DICOM series": read_series,
    "NIfTI": read_nifti,
    "zarr": read_zarr,
}
IMAGE_SUFFIXES = tuple(sorted({*_SUFFIXES} - {".gz"} | {".nii.gz"}))


def read_image(path: str | Path, axes: str | None = None) -> ImageData:
    """Read an image file, a folder of DICOM slices or a zarr folder.

    Parameters
    ----------
    path : str or Path
        TIFF, OME-TIFF, PNG, JPEG, GIF, BMP, npy, DICOM, NIfTI, zarr.
    axes : str, optional
        One letter per axis (t z n c s y x), for files that do not name their axes.

    Returns
    -------
    ImageData
        With spacing and units where the file states them; `name` is the file name.

    Raises
    ------
    AmbiguousAxesError
        If an axis could mean more than one thing and `axes` does not say.
    BadImageError
        If the file cannot be read as an image; one sentence with file, reason and remedy.
    """
    path = Path(path)
    return to_image(path.name, read_pixels(path), axes)


def to_image(name: str, pixels: FilePixels, axes: str | None = None) -> ImageData:
    """Say what the pixels of a file mean, see `read_image`."""
    known = pixels.axes if UNKNOWN not in pixels.axes else None
    grid = len(pixels.axes) - pixels.is_rgb
    image = interpret(
        pixels.array,
        name=name,
        rgb=pixels.is_rgb,
        axes=axes or known,
        axis_labels=[letter if letter in "tzcn" else "" for letter in pixels.axes[:grid]],
        spacing=pixels.spacing[:grid],
        units=pixels.units[:grid],
        hints=pixels.hints,
    )
    return _frames_as_stored(image, pixels.geometry)


def _frames_as_stored(image: ImageData, geometry: Geometry | None) -> ImageData:
    """Turn back what was taken for slices and is something else: upwards means nothing there."""
    if geometry is None or geometry.as_meant(image.axes).flips == geometry.flips:
        return image
    steps = [slice(None)] * len(image.axes)
    steps[len(image.axes.removesuffix("s")) - 3] = slice(None, None, -1)
    return replace(image, array=image.array[tuple(steps)])


def read_labels(path: str | Path) -> npt.NDArray[np.unsignedinteger]:
    """Read a mask.

    Returns
    -------
    ndarray of uint8 or uint16
        In the file's own axis order (volumes: slice, row, column); 0 is background. A picture
        of black and one other value is not rescaled: 255 stays 255.

    Raises
    ------
    BadImageError
        If the file holds no whole numbers or ids outside 0 to 65535.
    """
    path = Path(path)
    return to_labels(path.name, read_pixels(path))


def to_labels(name: str, pixels: FilePixels) -> npt.NDArray[np.unsignedinteger]:
    """Take the pixels of a file for ids, see `read_labels`."""
    if pixels.is_rgb:
        remedy = "Save it with one number per pixel"
        raise BadImageError(name, "is a colour picture, not a mask", remedy)
    values = np.asarray(pixels.array)
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.round(values)):
            raise BadImageError(name, "holds fractions, not ids", "Save it as integers")
        values = values.astype(np.int64)
    _check_ids(name, values)
    return values.astype(np.uint8 if values.max(initial=0) <= 255 else np.uint16)


def _check_ids(name: str, values: npt.NDArray[np.generic]) -> None:
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    wrong = [str(value) for value in (low, high) if not 0 <= value <= MAX_LABEL]
    if wrong:
        reason = f"holds ids outside 0 to {MAX_LABEL}: {', '.join(wrong)}"
        raise BadImageError(name, reason, "Renumber the mask")


def read_pixels(path: Path) -> FilePixels:
    """Read what the file holds, before the meaning of unnamed axes is decided."""
    return _READERS[detect(path)](path)


def detect(path: Path) -> str:
    """Return the format of a file or folder from its first bytes, for people: ``"TIFF"``.

    Raises
    ------
    BadImageError
        If it is missing, empty, a folder without images, or of no format read here.
    """
    expected = _SUFFIXES.get(path.suffix.lower(), "known image file")
    if path.is_dir() and path.suffix.lower() not in _SUFFIXES:
        return _detect_folder(path)
    check_file(path, expected)
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadImageError(path.name, f"cannot be opened ({reason})", "Check the path") from error
    found = _detect_start(path, start)
    if found is None:
        remedy = "Choose a TIFF, PNG, JPEG, npy, DICOM, NIfTI or zarr image"
        raise BadImageError(path.name, f"not a {expected} by its content", remedy)
    return found


def _detect_folder(path: Path) -> str:
    if is_zarr(path):
        return "zarr"
    if has_dicom(path):
        return "DICOM series"
    reason = "the folder holds no DICOM slices and is no zarr image"
    raise BadImageError(path.name, reason, "Choose a file")


def _detect_start(path: Path, start: bytes) -> str | None:
    # DICOM first: its 128 free bytes may look like a TIFF (dual-personality files).
    if start[128:132] == b"DICM":
        return "DICOM"
    # A cut gzip file may not even yield its header: the name says what it was.
    packed = start[:2] == b"\x1f\x8b" and path.name.lower().endswith(".nii.gz")
    if packed or is_nifti_header(start):
        return "NIfTI"
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
