"""Scans and looks -> napari layer data, exactly over the pixels that the tokens stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.to_layers import Geometry, LayerTuple
from napari_rwkvseg.engine.heat import Heat, bright_weight
from napari_rwkvseg.engine.scan_path import ScanPath

PREFIX = "Scan explorer · "  # napari has no groups: a common beginning keeps ours together
ORDER, PATH, BLOCKS, HEAT = "order", "path", "blocks", "look"
KINDS = (ORDER, PATH, BLOCKS, HEAT)

# viridis at nine even steps: perceptual, and safe for colour-blind eyes
VISIT_COLORS = (
    "#440154", "#472c7a", "#3b518b", "#2c718e", "#21908d", "#27ad81", "#5cc863", "#aadc32",
    "#fde725",
)  # fmt: skip
VISITED = 0.995  # place of the last visited cell among the colours; the rest fades to nothing
ARROW_WIDTH, BORDER_WIDTH = 0.14, 0.09  # in cells
BORDER_COLOR, ARROW_OPACITY = "#ff5c8a", 0.9


@dataclass(frozen=True, eq=False)
class PlanePlace:
    """Where a plane of an image lies, for layers that belong to this plane alone.

    Attributes
    ----------
    geometry : Geometry
        Of the image layer.
    index : tuple of int
        Which plane, along the lead axes.
    """

    geometry: Geometry
    index: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Axes of the layers."""
        return len(self.geometry.transforms["scale"])

    def transforms(self, stride: int, origin: tuple[float, float]) -> dict[str, Any]:
        """Return napari's transforms for a grid of cells on this plane.

        Parameters
        ----------
        stride : int
            Pixels per cell.
        origin : tuple of float
            Row and column of the centre of the first cell, in pixels of the plane.
        """
        found = dict(self.geometry.transforms)
        start = np.array(self.geometry.place((*self.index, *origin)))
        moved = found["rotate"] @ found["shear"] @ (found["scale"] * start)
        found["translate"] = found["translate"] + moved
        factor = np.ones(self.ndim)
        factor[-2:] = stride
        found["scale"] = found["scale"] * factor
        return found

    def fit(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a view of values (rows, columns) with the axes of the layer."""
        return plane.reshape((1,) * (self.ndim - 2) + plane.shape)

    def fit_lines(self, start: NDArray[Any], way: NDArray[Any]) -> NDArray[np.float64]:
        """Return lines given by (row, column), each (N, 2), as napari's vectors (N, 2, ndim)."""
        vectors = np.zeros((len(start), 2, self.ndim))
        vectors[:, 0, -2:], vectors[:, 1, -2:] = start, way
        return vectors


def scan_layers(path: ScanPath, place: PlanePlace) -> tuple[LayerTuple, ...]:
    """Describe the layers that show what a head scanned.

    Parameters
    ----------
    path : ScanPath
        What it scanned.
    place : PlanePlace
        Where the plane lies.

    Returns
    -------
    tuple of (data, metadata, type)
        Visit ranks (image), arrows and block borders (vectors), bottom to top.
    """
    grid = place.transforms(path.cells.stride, path.cells.origin)
    return _rank(path, place, grid), _arrows(path, place, grid), _borders(path, place, grid)


def _rank(path: ScanPath, place: PlanePlace, grid: dict[str, Any]) -> LayerTuple:
    meta = {
        **_common(ORDER, grid),
        "colormap": visit_colormap(),
        "contrast_limits": visit_limits(path.steps - 1),
        "interpolation2d": "nearest",
        "blending": "translucent",
        "opacity": 0.55,
    }
    return place.fit(path.rank), meta, "image"


def _arrows(path: ScanPath, place: PlanePlace, grid: dict[str, Any]) -> LayerTuple:
    arrows = path.arrows()
    meta = {
        **_common(PATH, grid),
        "ndim": place.ndim,
        "features": {"step": arrows.step.astype(np.float64)},
        "edge_color": "white",
        "edge_width": ARROW_WIDTH,
        "vector_style": "arrow",
        "opacity": ARROW_OPACITY,
    }
    return place.fit_lines(arrows.start, arrows.way), meta, "vectors"


def _borders(path: ScanPath, place: PlanePlace, grid: dict[str, Any]) -> LayerTuple:
    lines = path.borders()
    meta = {
        **_common(BLOCKS, grid),
        "ndim": place.ndim,
        "edge_color": BORDER_COLOR,
        "edge_width": BORDER_WIDTH,
        "vector_style": "line",
        "opacity": 1.0,
    }
    return place.fit_lines(lines[:, 0], lines[:, 1]), meta, "vectors"


def heat_layer(heat: Heat, place: PlanePlace) -> LayerTuple:
    """Describe an image layer of what a pixel looked at, see-through where it did not look."""
    meta = {
        **_common(HEAT, place.transforms(heat.stride, heat.origin)),
        "colormap": "inferno",
        "contrast_limits": (0.0, bright_weight(heat)),
        "interpolation2d": "nearest",
        "blending": "additive",
        "opacity": 0.8,
    }
    return place.fit(heat.values), meta, "image"


def visit_colormap() -> dict[str, Any]:
    """Return the colours of visit ranks; see-through at the very top: not visited yet."""
    controls = [*np.linspace(0, VISITED, len(VISIT_COLORS)), 1.0]
    return {"name": "visit order", "colors": [*VISIT_COLORS, (0, 0, 0, 0)], "controls": controls}


def visit_limits(step: int) -> tuple[float, float]:
    """Return the contrast limits at which all cells visited up to a step are seen, no others."""
    return 0.0, max(step, 0.5) / VISITED


def _common(kind: str, transforms: dict[str, Any]) -> dict[str, Any]:
    """Return what all layers of the explorer share; the mark keeps them out of every choice."""
    mark = {"rwkvseg": {"explorer": kind}}
    return {"name": PREFIX + kind, **transforms, "metadata": mark}
