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
        What the person chose.
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
    if choice is Region.SLICE:
        return (*lead, *(slice(0, size) for size in image.plane_shape))
    return (*lead, *_visible(layer, image))


def _layer_axis(image: ImageData, letter: str) -> int:
    """Return which axis of the layer carries `letter`; napari does not count RGB samples."""
    return image.axes.replace("s", "").index(letter)


def _single(position: float, size: int) -> slice:
    index = int(np.clip(round(float(position)), 0, size - 1))
    return slice(index, index + 1)


def _visible(layer: LayerLike, image: ImageData) -> list[slice]:
    """Return the rows and columns inside the canvas, at least one each."""
    corners = full_resolution_corners(layer)
    ranges = []
    for letter, size in zip("yx", image.plane_shape, strict=True):
        low, high = corners[:, _layer_axis(image, letter)]
        start = int(np.clip(low, 0, size - 1))
        ranges.append(slice(start, int(np.clip(high + 1, start + 1, size))))
    return ranges


def full_resolution_corners(layer: LayerLike) -> NDArray[np.int_]:
    """Return the first and last visible index per axis, shape (2, ndim), at full resolution."""
    corners: NDArray[np.int_] = np.asarray(layer.corner_pixels)
    if not getattr(layer, "multiscale", False):
        return corners
    factors = np.asarray(layer.downsample_factors)[layer.data_level]  # type: ignore[attr-defined]
    scaled: NDArray[np.int_] = np.ceil(corners * factors).astype(int)
    return scaled
