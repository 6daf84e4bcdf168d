"""Spacing, order and place of DICOM frames and slices, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from napari_rwkvseg.engine.units import PIXEL
from napari_rwkvseg.store.formats.pixels import UNKNOWN

Vector = npt.NDArray[np.float64]

TOLERANCE = 0.01  # share of the usual slice distance
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def pixel_spacing(dataset: Dataset) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return (row distance, column distance) in mm or (), and notes about their reliability."""
    # Enhanced files keep the same tags one level down, shared or per frame.
    for source in (dataset, *functional(dataset, "PixelMeasuresSequence")):
        values = _numbers(source.get("PixelSpacing"))
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), ()
    values = _numbers(dataset.get("ImagerPixelSpacing"))
    if len(values) == 2 and min(values) > 0:
        note = "Spacing is that of the detector: sizes in the patient are smaller."
        return (values[0], values[1]), (note,)
    return (), ()


def frame_axis(dataset: Dataset) -> tuple[str, float, str]:
    """Return what the frames of one file are: (letter, distance, unit), ``?`` if it is silent."""
    positions = frame_positions(dataset)
    if positions is not None and len(positions) > 1:
        steps = np.diff(positions)
        if np.all(steps != 0) and (np.all(steps > 0) or np.all(steps < 0)):
            return "z", float(np.median(np.abs(steps))), "mm"
    offsets = _numbers(dataset.get("GridFrameOffsetVector"))
    if len(offsets) > 1:
        return "z", float(np.median(np.abs(np.diff(offsets)))) or 1.0, "mm"
    times = _numbers(dataset.get("FrameTime"))
    if times and times[0] > 0:
        return "t", times[0], "ms"
    return UNKNOWN, 1.0, PIXEL


def frame_positions(dataset: Dataset) -> Vector | None:
    """Return where each frame of an enhanced file lies along its normal, or None."""
    origins, cosines = _frame_origins(dataset), _cosines(dataset)
    if cosines is None or not len(origins):
        return None
    return origins @ np.cross(cosines[0], cosines[1])


def _frame_origins(dataset: Dataset) -> Vector:
    """Return the position of each frame of an enhanced file, shape (n, 3), or (0, 3)."""
    planes = [
        plane
        for item in dataset.get("PerFrameFunctionalGroupsSequence") or ()
        for plane in item.get("PlanePositionSequence") or ()
    ]
    origins = [_numbers(plane.get("ImagePositionPatient")) for plane in planes]
    whole = all(len(origin) == 3 for origin in origins)
    return np.array(origins if whole else [], dtype=np.float64).reshape(-1, 3)


def slice_position(dataset: Dataset) -> float | None:
    """Return the place of a single-frame file along its own normal in mm, or None."""
    cosines = _cosines(dataset)
    origin = _numbers(dataset.get("ImagePositionPatient"))
    if cosines is None or len(origin) != 3:
        return None
    return float(np.dot(origin, np.cross(cosines[0], cosines[1])))


def orientation(dataset: Dataset) -> tuple[float, ...]:
    """Return the six direction cosines, rounded so that slices of one volume agree."""
    return tuple(round(value, 3) for value in _numbers(dataset.get("ImageOrientationPatient")))


def usual_step(positions: Sequence[float]) -> float:
    """Return the middle distance of sorted slices: one that occurs, gaps do not shift it."""
    steps = np.sort(np.diff(positions))
    return float(steps[(len(steps) - 1) // 2])


def gap_notes(positions: Sequence[float]) -> tuple[str, ...]:
    """Return a note naming the first place where sorted slices are not equally far apart."""
    steps = np.diff(positions)
    usual = usual_step(positions)
    odd = np.flatnonzero(np.abs(steps - usual) > TOLERANCE * usual)
    if not odd.size:
        return ()
    first = int(odd[0])
    where = f"{steps[first]:.1f} between slices {first + 1} and {first + 2}"
    return (f"Slices not equally spaced ({usual:.1f} expected, {where}).",)


def affine_of_frames(dataset: Dataset, count: int, step: float) -> Vector | None:
    """Return what `affine_of` does, for the frames of one file.

    Parameters
    ----------
    dataset : Dataset
        The whole file.
    count : int
        Number of frames.
    step : float
        Their distance in mm, as far as it is known.
    """
    origins, cosines = _frame_origins(dataset), _cosines(dataset)
    spacing, _ = pixel_spacing(dataset)
    offsets = _numbers(dataset.get("GridFrameOffsetVector")) or [0.0]
    as_one = affine_of(dataset, -step if offsets[-1] < offsets[0] else step)
    if cosines is None or not spacing or len(origins) != count or not _one_direction(dataset):
        return as_one
    if count == 1:
        return _affine(cosines, spacing, np.cross(*cosines) * step, origins[0])
    ways = np.diff(origins, axis=0)
    way = ways.mean(axis=0)
    uneven = np.linalg.norm(ways - way, axis=1).max() > TOLERANCE * np.linalg.norm(way)
    return as_one if uneven or not way.any() else _affine(cosines, spacing, way, origins[0])


def _one_direction(dataset: Dataset) -> bool:
    groups = functional(dataset, "PlaneOrientationSequence", every=True)
    return len({orientation(group) for group in groups}) <= 1


def affine_of(dataset: Dataset, step: float, last: Dataset | None = None) -> Vector | None:
    """Return the (4, 4) NIfTI affine of columns, rows, slices; None without a position.

    Parameters
    ----------
    dataset : Dataset
        The first slice.
    step : float
        Distance of slices in mm.
    last : Dataset, optional
        The last slice, where it is another file: with a tilted gantry, slices are shifted.
    """
    cosines = _cosines(dataset)
    origin = _numbers(dataset.get("ImagePositionPatient"))
    spacing, _ = pixel_spacing(dataset)
    if cosines is None or len(origin) != 3 or not spacing:
        return None
    way = _across(np.cross(*cosines), origin, last) * step
    return _affine(cosines, spacing, way, origin)


def _affine(
    cosines: tuple[Vector, Vector],
    spacing: tuple[float, ...],
    way: Vector,
    origin: Sequence[float] | Vector,
) -> Vector:
    """Return the affine of planes that lie one `way` apart, the first at `origin`."""
    affine = np.eye(4)
    # PixelSpacing is (between rows, between columns); walking along a row crosses columns.
    affine[:3, 0] = cosines[0] * spacing[1]
    affine[:3, 1] = cosines[1] * spacing[0]
    affine[:3, 2] = way
    affine[:3, 3] = origin
    return _LPS_TO_RAS @ affine


def _across(normal: Vector, origin: Sequence[float], last: Dataset | None) -> Vector:
    """Return the way from slice to slice for each mm along their normal."""
    end = _numbers(None if last is None else last.get("ImagePositionPatient"))
    way = np.subtract(end, origin) if len(end) == 3 else normal
    along = float(way @ normal)
    return way / along if abs(along) > 1e-6 else normal


def _cosines(dataset: Dataset) -> tuple[Vector, Vector] | None:
    for source in (dataset, *functional(dataset, "PlaneOrientationSequence")):
        values = _numbers(source.get("ImageOrientationPatient"))
        if len(values) == 6:
            return np.array(values[:3]), np.array(values[3:])
    return None


def functional(dataset: Dataset, name: str, *, every: bool = False) -> list[Dataset]:
    """Return the shared functional group of that name, or that of the first or every frame."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = (dataset.get(groups) or ())[: None if every else 1]
        found = [group for item in items for group in list(item.get(name) or ())[:1]]
        if found:
            return found
    return []


def _numbers(value: object) -> list[float]:
    if value is None or value == "":
        return []
    try:
        return [float(v) for v in value] if hasattr(value, "__iter__") else [float(str(value))]
    except (TypeError, ValueError):
        return []
