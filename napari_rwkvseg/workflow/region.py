"""A choice of region -> index ranges of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.workflow.choices import Region


def region_of(
    choice: Region, layer: LayerLike, image: ImageData, viewer: Any
) -> tuple[slice, ...] | None:
    """Return what `choice` means now.

    Parameters
    ----------
    choice : Region
        What the person chose. The slice is the one the sliders stand at, in sight or not.
    layer : LayerLike
        The image layer.
    image : ImageData
        How that layer is read.
    viewer : napari viewer
        Its `dims` tell the current slice.

    Returns
    -------
    tuple of slice, one per axis of `image.spatial_shape`, or None for the whole image
    """
    if choice is Region.WHOLE:
        return None
    point = layer.world_to_data(viewer.dims.point)
    lead = [
        _single(point[_layer_axis(image, letter)], size)
        for letter, size in zip(image.lead_axes, image.lead_shape, strict=True)
    ]
    here = (*lead, *(slice(0, size) for size in image.plane_shape))
    return here if choice is Region.SLICE else _visible(here, layer, image, viewer)


def shows_plane(layer: LayerLike, image: ImageData, viewer: Any) -> bool:
    """Whether the canvas shows rows and columns of one plane: not in 3-D, nor with axes rolled."""
    return _shown_axes(layer, viewer) == {_layer_axis(image, letter) for letter in "yx"}


def _shown_axes(layer: LayerLike, viewer: Any) -> set[int]:
    """Return which axes of the layer the canvas shows; napari aligns layers at their last axes."""
    return {axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed}


def _layer_axis(image: ImageData, letter: str) -> int:
    """Return which axis of the layer carries `letter`; napari does not count RGB samples."""
    return image.axes.replace("s", "").index(letter)


def _single(position: float, size: int) -> slice:
    index = int(np.clip(round(float(position)), 0, size - 1))
    return slice(index, index + 1)


def _visible(
    here: tuple[slice, ...], layer: LayerLike, image: ImageData, viewer: Any
) -> tuple[slice, ...]:
    """Return what of the image can be seen, at least one pixel along each axis.

    Of axes in sight that is what lies inside the canvas; in 3-D all, because napari's corners say
    little there. Along the others it is `here`.
    """
    shown, corners = _shown_axes(layer, viewer), full_resolution_corners(layer)
    ranges = []
    for letter, size, part in zip(image.lead_axes + "yx", image.spatial_shape, here, strict=True):
        axis = _layer_axis(image, letter)
        low, high = corners[:, axis] if len(shown) == 2 else (0, size - 1)
        start = int(np.clip(low, 0, size - 1))
        inside = slice(start, int(np.clip(high + 1, start + 1, size)))
        ranges.append(inside if axis in shown else part)
    return tuple(ranges)


def full_resolution_corners(layer: LayerLike) -> NDArray[np.int_]:
    """Return the first and last visible index per axis, shape (2, ndim), at full resolution."""
    corners: NDArray[np.int_] = np.asarray(layer.corner_pixels)
    if not getattr(layer, "multiscale", False):
        return corners
    factors = np.asarray(layer.downsample_factors)[layer.data_level]  # type: ignore[attr-defined]
    scaled: NDArray[np.int_] = np.ceil(corners * factors).astype(int)
    return scaled
