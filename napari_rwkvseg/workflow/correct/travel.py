"""Move a viewer to a place in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.workflow.correct.context import Suggestion

ON_SCREEN = 350  # canvas pixels that the longer side of the area takes


def go_to(viewer: Any, layer: LayerLike, geometry: Geometry, place: Suggestion) -> None:
    """Show an area in the middle of the canvas, in its plane, large enough to correct.

    Parameters
    ----------
    viewer : napari viewer
        Its dims and camera are moved.
    layer : LayerLike
        The mask.
    geometry : Geometry
        How labels lie in it.
    place : Suggestion
        Where to go.
    """
    rows, columns = place.area
    middle = ((rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2)
    look_at(viewer, layer.data_to_world(geometry.place((*place.index, *middle))))
    sides = (rows.stop - rows.start, columns.stop - columns.start)
    steps = (abs(float(step)) for step in layer.scale[-2:])
    size = max(side * step for side, step in zip(sides, steps, strict=True))
    viewer.scene.camera.zoom = ON_SCREEN / size


def look_at(viewer: Any, world: Sequence[float]) -> None:
    """Bring a point into the middle of the canvas; axes that it does not have stay as they are.

    Parameters
    ----------
    viewer : napari viewer
        Its dims and camera are moved.
    world : sequence of float
        The point, along the last axes of the viewer.
    """
    dims, camera = viewer.dims, viewer.scene.camera
    first = dims.ndim - len(world)
    dims.set_point(list(range(first, dims.ndim)), list(world))
    before = camera.center[-len(dims.displayed) :]
    camera.center = tuple(
        old if axis < first else world[axis - first]
        for axis, old in zip(dims.displayed, before, strict=True)
    )
