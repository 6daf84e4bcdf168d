"""Zarr folders and OME-Zarr images, read lazily; zarr itself is an optional package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.units import short_unit
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels, check_dtype, decoding

_MARKS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return any((path / mark).is_file() for mark in _MARKS)


def read_zarr(path: Path) -> FilePixels:
    """Open the array, or the finest level of an OME-Zarr image; chunks are read when needed.

    Raises
    ------
    BadImageError
        If the package zarr is missing, or the folder holds no image.
    """
    array, multiscale = open_zarr(path)
    check_dtype(path.name, array.dtype)
    with decoding(path, "zarr"):
        axes, spacing, units = _ome_axes(multiscale, array.ndim)
        hints = SourceHints(notes=absent_notes(array))
        return FilePixels(_lazy(array), axes, spacing, units, hints)


def open_zarr(path: Path) -> tuple[Any, Mapping[str, Any]]:
    """Return the zarr array and the OME-Zarr description of it, empty for a plain array."""
    if importlib.util.find_spec("zarr") is None:
        raise BadImageError(path.name, "is a zarr folder", "Install the package zarr")
    import zarr  # optional: only people with such folders need it

    with decoding(path, "zarr"):
        node: Any = zarr.open(path, mode="r")
        if isinstance(node, zarr.Array):
            return node, {}
        attributes: dict[str, Any] = dict(node.attrs)
        described = dict(attributes.get("ome", attributes)).get("multiscales") or [{}]
        levels = described[0].get("datasets") or [{"path": "0"}]
        finest = node[str(levels[0]["path"])]
        if not isinstance(finest, zarr.Array):
            raise ValueError("no array in the group")
        return finest, described[0]


def _lazy(array: Any) -> Any:
    return da.from_array(array, chunks=array.chunks)  # type: ignore[no-untyped-call]


def absent_notes(array: Any) -> tuple[str, ...]:
    """Return a note if chunks are absent: they read as the fill value."""
    absent = array.nchunks - array.nchunks_initialized
    if absent <= 0:  # in an array of shards it counts what they could hold beyond its border
        return ()
    fill = array.fill_value
    return (f"{absent} of {array.nchunks} chunks are absent from the folder, read as {fill}.",)


def _ome_axes(
    multiscale: Mapping[str, Any], ndim: int
) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
    """Return axes, spacing and units; ``?`` for leading axes of a plain array."""
    described = multiscale.get("axes") or []
    if len(described) != ndim:
        return "yx" if ndim == 2 else UNKNOWN * ndim, (), ()
    names = [axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in described]
    letters = [name.lower() if name.lower() in "tczyx" else "n" for name in names]
    units = [axis.get("unit", "") if isinstance(axis, Mapping) else "" for axis in described]
    return "".join(letters), _scale(multiscale, ndim), tuple(short_unit(unit) for unit in units)


def _scale(multiscale: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    """Return the spacing: what the level says times what the image says for all levels."""
    steps = np.ones(ndim)
    levels = multiscale.get("datasets") or [{}]
    for described in (levels[0], multiscale):
        for transform in described.get("coordinateTransformations") or []:
            if transform.get("type") == "scale" and len(transform["scale"]) == ndim:
                steps = steps * np.asarray(transform["scale"], float)
    return tuple(map(float, steps))
