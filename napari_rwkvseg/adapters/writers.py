"""Writers for napari: a Labels layer as NIfTI or as TIFF with its spacing and units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_rwkvseg.adapters.from_layers import pixel_steps
from napari_rwkvseg.adapters.to_layers import GEOMETRY
from napari_rwkvseg.adapters.written import written
from napari_rwkvseg.engine.units import short_unit
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.geometry import Geometry
from napari_rwkvseg.store.formats.saving import smallest, write_array

_DEFAULT_AXES = "tzyx"
_LETTERS = "tzncyx"


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save one Labels layer as NIfTI (.nii, .nii.gz) or TIFF (.tif, .tiff).

    Parameters
    ----------
    path : str
        Its ending chooses the format.
    data : array of integers
        The layer's data; of a pyramid the finest level is written.
    attributes : mapping
        Of the layer: `scale`, `units`, `axis_labels`, `metadata`.

    Returns
    -------
    list of str
        The path written.

    Raises
    ------
    BadImageError
        If the layer has more than four axes without names, or negative ids.
    OSError
        If the disk refuses.
    """
    target = Path(path)
    array = np.asarray(data[0] if isinstance(data, list | tuple) else data)
    axes = _axes(target.name, attributes.get("axis_labels") or (), array.ndim)
    spacing = [abs(step) for step in _steps(attributes, array.ndim)]
    units = [short_unit(unit) for unit in attributes.get("units") or [None] * array.ndim]
    labels = smallest(target.name, array)
    write_array(target, labels, axes, spacing, units, _geometry(attributes, array.shape))
    written.emit(data)
    return [path]


def _steps(attributes: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    still = {"scale": np.ones(ndim), "rotate": np.eye(ndim), "affine": np.eye(ndim + 1)}
    given = {name: attributes.get(name) for name in still}
    return pixel_steps(*(still[name] if given[name] is None else given[name] for name in still))


def _axes(name: str, labels: Any, ndim: int) -> str:
    """Return axis letters: the layer's own names, else (time,) slice, row, column."""
    letters = "".join(str(label).lower() for label in labels)
    named = len(letters) == ndim == len(labels) and set(letters) <= set(_LETTERS)
    if named and letters.endswith("yx") and len(set(letters)) == ndim:
        return letters
    if 2 <= ndim <= len(_DEFAULT_AXES):
        return _DEFAULT_AXES[-ndim:]
    raise BadImageError(name, f"{ndim} axes without names", "Name them t, z, n, c, y, x")


def _geometry(attributes: Mapping[str, Any], shape: tuple[int, ...]) -> Geometry | None:
    """Return where the source lies, if the layer still has its shape."""
    values = (attributes.get("metadata") or {}).get(GEOMETRY)
    if values is None:
        return None
    geometry = Geometry.from_metadata(values)
    spatial = tuple(n for n in geometry.shape[:3] if n > 1)
    found = tuple(n for n in shape[-3:][::-1] if n > 1)
    return geometry if found[: len(spatial)] == spatial else None
