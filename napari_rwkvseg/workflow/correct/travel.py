"""Move a viewer to a place in an image."""

from __future__ import annotations

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
    world = layer.data_to_world(geometry.place((*place.index, *middle)))
    ndim = viewer.dims.ndim
    viewer.dims.set_point(list(range(ndim - len(world), ndim)), list(world))
    camera = viewer.scene.camera
    camera.center = tuple(world[axis - ndim] for axis in viewer.dims.displayed)
    sides = (rows.stop - rows.start, columns.stop - columns.start)
    steps = (abs(float(step)) for step in layer.scale[-2:])
    size = max(side * step for side, step in zip(sides, steps, strict=True))
    camera.zoom = ON_SCREEN / size
