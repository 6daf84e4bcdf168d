"""TIFF out: OME-TIFF with spacing, units and axes; opens in Fiji, QuPath, napari, Python."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from typing import Any

import numpy.typing as npt
import tifffile

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.units import is_length, is_time

CENTIMETERS = {"Å": 1e-8, "nm": 1e-7, "µm": 1e-4, "mm": 0.1, "cm": 1.0, "m": 100.0, "inch": 2.54}
_LARGE = 2**31  # bytes: beyond it offsets need BigTIFF
_OME_LETTER = {"n": "Q"}
_DOTS = (1e-3, 1e9)  # per centimetre: what the tag's 32-bit fractions hold well
_OME_UNIT = {"inch": "in"}


def software() -> str:
    """Return name and version, as written into every export."""
    return f"napari-rwkvseg {version('napari-rwkvseg')}"


def tiff_bytes(
    array: npt.NDArray[Any],
    axes: str,
    spacing: Sequence[float],
    units: Sequence[str],
    channels: tuple[str, ...] = (),
) -> bytes:
    """Return an OME-TIFF file of one array, deflated, one page per plane.

    Parameters
    ----------
    array : ndarray
        uint8, uint16, uint32 or float32.
    axes : str
        One letter per axis of ``t z n c y x``.
    spacing, units : sequence
        One per axis; pixels are left out of the file.
    channels : tuple of str
        Names of the entries of axis c.
    """
    steps = dict(zip(axes, zip(spacing, units, strict=True), strict=True))
    file = BytesIO()
    tifffile.imwrite(
        file,
        array,
        ome=True,
        bigtiff=array.nbytes > _LARGE,
        photometric="minisblack",
        compression="zlib",
        software=software(),
        metadata=_metadata(axes, steps, channels),
        **_resolution(steps),
    )
    return file.getvalue()


def _metadata(
    axes: str, steps: dict[str, tuple[float, str]], channels: tuple[str, ...]
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "axes": "".join(_OME_LETTER.get(letter, letter.upper()) for letter in axes),
        "Description": RESEARCH_ONLY,
    }
    for letter in "xyz":
        step, unit = steps.get(letter, (1.0, ""))
        if is_length(unit):
            values[f"PhysicalSize{letter.upper()}"] = step
            values[f"PhysicalSize{letter.upper()}Unit"] = _OME_UNIT.get(unit, unit)
    step, unit = steps.get("t", (1.0, ""))
    if is_time(unit):
        values |= {"TimeIncrement": step, "TimeIncrementUnit": unit}
    if channels:
        values["Channel"] = {"Name": list(channels)}
    return values


def _resolution(steps: dict[str, tuple[float, str]]) -> dict[str, Any]:
    """Return pixels per centimetre, for programs that know no OME."""
    known = [steps[letter] for letter in "xy" if steps[letter][1] in CENTIMETERS]
    if len(known) < 2:
        return {}
    dots = [1 / (step * CENTIMETERS[unit]) for step, unit in known]
    if not all(_DOTS[0] <= dot <= _DOTS[1] for dot in dots):
        return {}
    return {"resolution": tuple(dots), "resolutionunit": "CENTIMETER"}
