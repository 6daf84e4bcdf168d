"""Spacing in TIFF files: three dialects, read in the order OME, ImageJ, resolution tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from xml.etree import ElementTree

import tifffile

from napari_rwkvseg.engine.units import is_length, is_time, short_unit

Spacing = dict[str, tuple[float, str]]  # axis letter -> distance, unit in short spelling


def read_spacing(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Spacing:
    """Return what the file says about the distance of pixels, slices and frames.

    Returns
    -------
    dict of str to (float, str)
        Keys among x, y, z, t; axes without a valid positive spacing are absent.
    """
    if tif.is_ome and tif.ome_metadata:
        found = _from_ome(tif.ome_metadata)
    elif tif.is_imagej and tif.imagej_metadata:
        found = _from_imagej(tif.imagej_metadata, series.keyframe)
    else:
        found = _from_resolution(series.keyframe)
    return {axis: (step, unit) for axis, (step, unit) in found.items() if _valid(step, unit)}


def _valid(step: float, unit: str) -> bool:
    return (is_length(unit) or is_time(unit)) and math.isfinite(step) and step > 0


def _from_ome(xml: str) -> Spacing:
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    if pixels is None:
        return {}
    found = {axis: _ome_pair(pixels.attrib, f"PhysicalSize{axis.upper()}", "µm") for axis in "xyz"}
    found["t"] = _ome_pair(pixels.attrib, "TimeIncrement", "s")
    return found


def _ome_pair(values: Mapping[str, str], key: str, default: str) -> tuple[float, str]:
    return _number(values.get(key)), _unit(values.get(key + "Unit", default))


def _unit(text: str) -> str:
    return short_unit(text.replace("\\u00B5", "µ").strip("\x00"))  # as ImageJ escapes it


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def _from_imagej(metadata: Mapping[str, object], page: tifffile.TiffPage) -> Spacing:
    unit = _unit(str(metadata.get("unit", "")))
    return {
        "x": (_step(page, "XResolution"), unit),
        "y": (_step(page, "YResolution"), unit),
        # ImageJ leaves a distance of exactly 1 out, and may count slices backwards
        "z": (abs(_number(metadata.get("spacing", 1.0))), unit),
        "t": (_number(metadata.get("finterval")), _unit(str(metadata.get("tunit", "sec")))),
    }


def _from_resolution(page: tifffile.TiffPage) -> Spacing:
    """Read pixels per centimetre; dots per inch are a print size, not a measurement."""
    tag = page.tags.get("ResolutionUnit")
    if tag is None or tag.value != tifffile.RESUNIT.CENTIMETER:
        return {}
    return {axis: (10 * _step(page, f"{axis.upper()}Resolution"), "mm") for axis in "xy"}


def _step(page: tifffile.TiffPage, name: str) -> float:
    """Return the inverse of a resolution tag: units per pixel, nan where there is none."""
    tag = page.tags.get(name)
    if tag is None:
        return math.nan
    dots, per = tag.value
    return per / dots if dots else math.nan
