"""napari layer -> `ImageData`, by duck typing: nothing here imports napari."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.units import is_length
from napari_rwkvseg.errors import BadImageError

REMEMBERED = 256  # layers whose files were looked into: a long series takes a second


class LayerLike(Protocol):
    """What the package needs of a napari layer."""

    name: str
    ndim: int
    data: Any
    scale: Any
    translate: Any
    rotate: Any
    shear: Any
    affine: Any
    units: Any
    axis_labels: Any
    events: Any
    corner_pixels: Any

    @property
    def unique_id(self) -> Hashable:
        """Identity that survives renaming."""

    def world_to_data(self, position: Any) -> Any:
        """Return a world position in array indices."""

    def data_to_world(self, position: Any) -> Any:
        """Return array indices as a world position."""


def is_kind(layer: LayerLike, kind: str) -> bool:
    """Return whether `layer` is a napari layer of that class name, subclasses included."""
    return any(cls.__name__ == kind for cls in type(layer).__mro__)


def is_candidate(layer: LayerLike) -> bool:
    """Return whether people may want to segment `layer`.

    Images, and Labels layers read from a file: napari opens 32 and 64 bit integer images as
    labels, and people look for them in the list. Our own results are left out.
    """
    if "rwkvseg" in getattr(layer, "metadata", {}):
        return False
    return is_kind(layer, "Image") or (is_kind(layer, "Labels") and source_path(layer) is not None)


def source_path(layer: LayerLike) -> str | None:
    """Return the file `layer` was read from, if any."""
    path = getattr(getattr(layer, "source", None), "path", None)
    return str(path) if path else None


def full_resolution(layer: LayerLike) -> Any:
    """Return the array of the layer; of a pyramid its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def image_from_layer(layer: LayerLike, axes: str | None = None) -> ImageData:
    """Read a napari image layer.

    Parameters
    ----------
    layer : LayerLike
        An image layer; only public attributes are used, nothing is copied.
    axes : str, optional
        What the person chose under Axes, one letter per array axis ("zyx").

    Returns
    -------
    ImageData
        A view of the layer's array, with its spacing and units.

    Raises
    ------
    BadImageError
        If the layer cannot be segmented; `AmbiguousAxesError` if an axis has to be explained.
    """
    if not is_kind(layer, "Image"):
        kind = getattr(full_resolution(layer), "dtype", "integer")
        raise BadImageError(
            layer.name,
            f"opened as labels, because its values are {kind}",
            'To treat it as image, right-click the layer and choose "Convert to Image"',
        )
    path, array = source_path(layer), full_resolution(layer)
    return interpret(
        array,
        name=layer.name,
        rgb=bool(getattr(layer, "rgb", False)),
        axes=axes,
        axis_labels=tuple(layer.axis_labels),
        spacing=pixel_steps(layer.scale, layer.rotate, layer.affine.affine_matrix),
        units=tuple(layer.units),
        hints=_hints_of_file(path, array.shape, layer.unique_id) if path else NO_HINTS,
    )


def pixel_steps(scale: Any, rotate: Any, affine: Any) -> tuple[float, ...]:
    """Return how far neighbouring pixels lie apart, whichever transform of a layer says so.

    Parameters
    ----------
    scale : sequence of float, one per axis
        Of the layer.
    rotate : array-like, shape (n, n)
        Of the layer.
    affine : array-like, shape (n + 1, n + 1)
        What the layer is moved by besides.

    Returns
    -------
    tuple of float
        One per axis, in the units of the layer.
    """
    steps, extra = np.asarray(scale, float), np.asarray(affine, float)[:-1, :-1]
    if np.array_equal(extra, np.eye(len(steps))):
        return tuple(map(float, steps))
    along = extra @ np.asarray(rotate, float) @ np.diag(steps)
    return tuple(map(float, np.linalg.norm(along, axis=0)))


def _hints_of_file(path: str, shape: tuple[int, ...], uid: Hashable) -> SourceHints:
    """Look into the file of a layer, once: whatever happens in the layer list asks again."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError:  # gone, or no file: then its hints say so
        changed = 0
    return _look_into(path, shape, uid, changed)


@lru_cache(maxsize=REMEMBERED)
def _look_into(path: str, shape: tuple[int, ...], uid: Hashable, changed: int) -> SourceHints:
    from napari_rwkvseg.store.formats.peek import peek  # 0.2 s: packages of all file formats

    return peek(path, shape)


def pixel_size(image: ImageData) -> tuple[float, str]:
    """Return the area of a pixel, or the volume of a voxel of a z stack, with its unit.

    Parameters
    ----------
    image : ImageData
        Its spacing counts only where all axes share one unit of length.

    Returns
    -------
    tuple of (float, str)
        Like (0.0625, "µm²"); (1.0, "px") while the spacing is unknown.
    """
    letters = image.lead_axes + "yx"
    measured = [axis for axis, letter in enumerate(letters) if letter in "zyx"]
    units = {image.units[axis] for axis in measured}
    if len(units) != 1 or not is_length(next(iter(units))):
        return 1.0, "px"
    size = math.prod(image.spacing[axis] for axis in measured)
    return size, units.pop() + ("³" if len(measured) == 3 else "²")
