"""Move the viewer to a labelled object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.workflow.correct.travel import look_at
from napari_rwkvseg.workflow.masks import MaskLink

SMALLEST_ON_SCREEN = 40  # canvas pixels an object should take at least


def jump_to(viewer: Any, layer: Any, link: MaskLink, label: int, box: tuple[slice, ...]) -> None:
    """Show a label in the middle of the canvas, in the slice where it is largest.

    Parameters
    ----------
    viewer : napari viewer
        Its dims and camera are moved.
    layer : LayerLike
        The mask layer.
    link : MaskLink
        Knows how the labels lie in the layer.
    label : int
        Which label; it becomes the selected one.
    box : tuple of slice
        Its bounding box, axes (*lead, y, x).
    """
    labels = link.current()
    if labels is None:
        return
    centre = link.geometry.place(label_centre(labels, label, box))
    look_at(viewer, layer.data_to_world(centre))
    _zoom_in(viewer.scene.camera, layer, box)
    layer.selected_label = label


def label_centre(labels: NDArray[Any], label: int, box: tuple[slice, ...]) -> tuple[float, ...]:
    """Return the middle of a label in its fullest plane, as indices (*lead, y, x).

    Parameters
    ----------
    labels : ndarray, integer, shape (*lead, H, W)
        The mask as it is now; the label may have been erased since.
    label : int
        Which label.
    box : tuple of slice
        Where it was.
    """
    inside = labels[box] == label
    counts = inside.sum(axis=(-2, -1))
    plane = np.unravel_index(int(np.argmax(counts)), counts.shape) if counts.shape else ()
    rows, cols = np.nonzero(inside[plane])
    middle = (rows.mean(), cols.mean()) if rows.size else [s / 2 for s in inside.shape[-2:]]
    return tuple(
        float(part.start + offset) for part, offset in zip(box, (*plane, *middle), strict=True)
    )


def _zoom_in(camera: Any, layer: LayerLike, box: tuple[slice, ...]) -> None:
    """Come closer where the object would be too small to see; never go farther away."""
    steps = np.asarray(layer.scale)[-2:]
    size = max((part.stop - part.start) * step for part, step in zip(box[-2:], steps, strict=True))
    if size * camera.zoom < SMALLEST_ON_SCREEN:
        camera.zoom = SMALLEST_ON_SCREEN / size
