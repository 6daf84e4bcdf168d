"""Reader for napari: DICOM files and folders, NIfTI volumes, with spacing, units and axis names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_rwkvseg.adapters.to_layers import GEOMETRY
from napari_rwkvseg.store.formats.dicom_series import has_dicom, is_dicom
from napari_rwkvseg.store.formats.opening import read_pixels
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels

LayerTuple = tuple[Any, dict[str, Any], str]
ReadLayers = Callable[[str | Sequence[str]], list[LayerTuple]]


def get_reader(path: str | Sequence[str]) -> ReadLayers | None:
    """Return the reader of this path, or None if it is not for us.

    Parameters
    ----------
    path : str or sequence of str
        A DICOM or NIfTI file, or a folder of DICOM slices. Lists are left to other readers.

    Returns
    -------
    callable or None
        `read_layers`.
    """
    if not isinstance(path, str):
        return None
    return read_layers if _is_ours(Path(path)) else None


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return has_dicom(path)
    return path.name.lower().endswith((".nii", ".nii.gz", ".dcm")) or is_dicom(path)


def read_layers(path: str | Sequence[str]) -> list[LayerTuple]:
    """Read one image layer.

    Returns
    -------
    list of (array, keywords, "image")
        The layer is named after the file or folder; its metadata hold geometry and notes, and
        nothing about a patient.

    Raises
    ------
    BadImageError
        If the file cannot be read; one sentence that napari shows.
    """
    source = Path(path if isinstance(path, str) else path[0])
    pixels = read_pixels(source)
    return [(pixels.array, layer_keywords(source.name, pixels), "image")]


def layer_keywords(name: str, pixels: FilePixels) -> dict[str, Any]:
    """Return the keywords of `viewer.add_image` for what a file holds."""
    letters = pixels.axes.removesuffix("s")
    count = len(letters)
    metadata: dict[str, Any] = {"notes": list(pixels.hints.notes)}
    if pixels.geometry is not None:
        metadata[GEOMETRY] = pixels.geometry.to_metadata()
    return {
        "name": name,
        "rgb": pixels.is_rgb,
        "scale": pixels.spacing[:count],
        "units": pixels.units[:count],
        "axis_labels": tuple(
            f"{place - count}" if letter == UNKNOWN else letter  # as napari names silent axes
            for place, letter in enumerate(letters)
        ),
        "metadata": metadata,
    }
