"""DICOM in: one file, of one frame or many. Values are rescaled (CT: Hounsfield units)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_rescale
from pydicom.pixels.utils import pixel_array

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.units import PIXEL
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.dicom_geometry import (
    affine_of_frames,
    frame_axis,
    functional,
    pixel_spacing,
)
from napari_rwkvseg.store.formats.geometry import upright
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels, check_size, decoding


def read_dicom(path: Path) -> FilePixels:
    """Read one DICOM file; frames become slices or time points where the file says which.

    Spacing is in millimetres. Nothing about the patient leaves this function.

    Raises
    ------
    BadImageError
        For files without pixels, damaged or shorter than their header promises, larger than
        the memory limit, or compressed by a method no installed package decodes.
    """
    dataset = open_dicom(path)
    values = decode(path, dataset)
    rgb = values.ndim - int(n_frames(dataset) > 1) == 3
    lead, step, unit = frame_axis(dataset) if n_frames(dataset) > 1 else ("", 1.0, PIXEL)
    spacing, notes = pixel_spacing(dataset)
    axes = lead + "yx" + "s" * rgb
    plane_unit = "mm" if spacing else PIXEL
    steps = (step,) * len(lead) + (spacing or (1.0, 1.0)) + (1.0,) * rgb
    units = (unit,) * len(lead) + (plane_unit, plane_unit) + (PIXEL,) * rgb
    likely = axes.replace(UNKNOWN, "z") if UNKNOWN in axes else ""
    shape = values.shape[: values.ndim - rgb][::-1]
    affine = affine_of_frames(dataset, n_frames(dataset), step if unit == "mm" else 1.0)
    geometry = None
    if affine is not None:
        values, geometry = upright(values, axes, affine, shape)
    hints = SourceHints(axes=likely, monochrome1=is_inverted(dataset), notes=notes)
    return FilePixels(values, axes, steps, units, hints, geometry)


def open_dicom(path: Path, *, pixels: bool = True) -> Dataset:
    """Parse a DICOM file, with or without its pixels; nothing is decoded yet."""
    with decoding(path, "DICOM", InvalidDicomError):
        return pydicom.dcmread(path, stop_before_pixels=not pixels)


def n_frames(dataset: Dataset) -> int:
    """Return the number of frames the header states, 1 when it is silent."""
    return int(dataset.get("NumberOfFrames") or 1)


def is_inverted(dataset: Dataset) -> bool:
    """Whether white is stored as zero."""
    return str(dataset.get("PhotometricInterpretation")) == "MONOCHROME1"


def decode(path: Path, dataset: Dataset) -> npt.NDArray[Any]:
    """Return the pixel values of all frames, rescaled, palette colours as RGB.

    Returns
    -------
    ndarray, shape ([frames,] rows, columns[, 3])
        Integers as stored when there is nothing to rescale, else float32.
    """
    with decoding(path, "DICOM", InvalidDicomError):
        _check_header(path, dataset)
    _check_decoder(path, dataset)
    with decoding(path, "DICOM", InvalidDicomError):
        values = pixel_array(dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            return apply_color_lut(values, dataset)
        return _rescale(values, dataset)


def _check_header(path: Path, dataset: Dataset) -> None:
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadImageError(path.name, "this DICOM file holds no image", "Choose an image file")
    check_tags(path, dataset, "Rows", "Columns", "BitsAllocated")
    samples = int(dataset.get("SamplesPerPixel", 1))
    shape = (n_frames(dataset), int(dataset.Rows), int(dataset.Columns), samples)
    bits = int(dataset.BitsAllocated)
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_length(path, dataset, shape, bits)
    check_size(path.name, shape, max(1, bits // 8))


def check_tags(path: Path, dataset: Dataset, *names: str) -> None:
    """Raise `BadImageError` naming the elements that are missing or empty."""
    lacking = [name for name in names if dataset.get(name) in (None, "")]
    if lacking:
        reason = f"the DICOM header lacks {' and '.join(lacking)}"
        raise BadImageError(path.name, reason, "Export it again from the archive")


def _check_length(path: Path, dataset: Dataset, shape: Sequence[int], bits: int) -> None:
    stored = len(dataset.get("PixelData") or b"")
    # YBR_FULL_422 stores two samples per pixel instead of three.
    share = 2 / 3 if dataset.get("PhotometricInterpretation") == "YBR_FULL_422" else 1
    needed = math.prod(shape) * bits // 8 * share
    if "PixelData" in dataset and stored < needed:
        size = "×".join(str(n) for n in shape[:3])
        reason = f"pixel data too short for {size} pixels ({stored} of {needed:.0f} bytes)"
        raise BadImageError(path.name, reason, "Export it again from the archive")


def _check_decoder(path: Path, dataset: Dataset) -> None:
    """Name the package that is missing for a compressed file."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    remedy = "Install pylibjpeg with pylibjpeg-libjpeg and pylibjpeg-openjpeg, or python-gdcm"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        reason = f"{syntax.name} cannot be decoded"
        remedy = "Convert it to an uncompressed DICOM file"
        raise BadImageError(path.name, reason, remedy) from None
    if not decoder.is_available:
        raise BadImageError(path.name, f"no decoder for {syntax.name}", remedy)


def _rescale(values: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    if functional(dataset, "PixelValueTransformationSequence"):
        return _rescale_frames(values, dataset)
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    if slope == 1 and intercept == 0:
        return values
    return apply_rescale(values, dataset).astype(np.float32)


def _rescale_frames(values: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    """Rescale the frames of an enhanced file, which says how for all of them or for each."""
    groups = functional(dataset, "PixelValueTransformationSequence", every=True)
    numbers = [(float(one.RescaleSlope), float(one.RescaleIntercept)) for one in groups]
    if set(numbers) == {(1.0, 0.0)}:
        return values
    frames = values.reshape(n_frames(dataset), *values.shape[-2:])
    lines = numbers * len(frames) if len(numbers) == 1 else numbers
    rescaled = [
        frame.astype(np.float32) * slope + intercept
        for frame, (slope, intercept) in zip(frames, lines, strict=True)
    ]
    return np.stack(rescaled).astype(np.float32).reshape(values.shape)
