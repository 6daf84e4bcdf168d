"""Pictures of scans for papers and cards: PNG or SVG, with colour bar and caption.

Drawn with matplotlib's Agg, which needs no display; it is imported only when something is drawn.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.explain import Explanation
from napari_rwkvseg.engine.heat import Heat, bright_weight
from napari_rwkvseg.engine.scan_path import ScanPath
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.atomic import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
DPI = 150
LINE_LIMIT = 1600  # cells beyond which a path drawn on a small panel is a blot
PANEL = 2.1  # inches, side of a panel of the overview
OVER_IMAGE = 0.6  # opacity of colours on the image


def save_scan(path: Path, explanation: Explanation, layer: int, head: int) -> None:
    """Draw the scan of one head over its image.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` or ``.svg``.
    explanation : Explanation
        What the model did.
    layer, head : int
        Which layer, which head.

    Raises
    ------
    RwkvSegError
        If the file name has another ending.
    """
    scan = explanation.path(layer, head)
    caption = f"{layer_name(explanation, layer)}, head {head + 1}: {scan.scan.describe()}"
    reach = scan.reach.describe(scan.cells.stride, *explanation.pixel_length)
    figure, axes = _single(explanation)
    drawn = draw_scan(axes, scan)
    add_bar(figure, axes, drawn, "step of the visit")
    _caption(figure, explanation, f"{caption}\n{reach}")
    save(figure, path)


def save_heat(path: Path, explanation: Explanation, heat: Heat, title: str) -> None:
    """Draw what a pixel looked at over its image; parameters as `save_scan`."""
    figure, axes = _single(explanation)
    add_bar(figure, axes, draw_heat(axes, explanation, heat), "weight")
    _caption(figure, explanation, f"{title}\n{heat.text}")
    save(figure, path)


def draw_heat(axes: Axes, explanation: Explanation, heat: Heat) -> Any:
    """Draw what a pixel looked at in pixels of the plane; return the image of weights."""
    rows, columns = heat.values.shape
    extent = _extent(heat.origin, heat.stride, rows, columns)
    drawn = axes.imshow(
        heat.values,
        cmap="inferno",
        vmin=0,
        vmax=bright_weight(heat),
        extent=extent,
        alpha=OVER_IMAGE,
        interpolation="nearest",
    )
    _keep_view(axes, explanation)
    return drawn


def save_overview(path: Path, explanation: Explanation) -> None:
    """Draw the scans of all levels and heads of a model in one figure; see `draw_overview`."""
    save(draw_overview(explanation), path)


def draw_overview(explanation: Explanation) -> Figure:
    """Return the scans of all levels and heads of a model as one figure.

    One row per level and part, of its first block; the title of each panel gives order, grid and
    the weight of the head for this image.
    """
    from matplotlib.figure import Figure

    rows = overview_rows(explanation)
    heads = len(explanation.trace.layers[0].heads)
    figure = Figure(figsize=(PANEL * heads + 0.7, (PANEL + 0.42) * len(rows) + 0.6))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(len(rows), heads, squeeze=False)
    for axes_row, layer in zip(panels, rows, strict=True):
        for head, axes in enumerate(axes_row):
            _overview_panel(axes, explanation, layer, head)
        axes_row[0].set_ylabel(layer_name(explanation, layer, block=False), fontsize=8)
    _caption(figure, explanation, "Scan orders, dark first, bright last; × weight of the head")
    return figure


def overview_rows(explanation: Explanation) -> tuple[int, ...]:
    """Return the layers of an overview: the first block of each level of each part."""
    layers = explanation.trace.layers
    return tuple(number for number, layer in enumerate(layers) if layer.place.block == 0)


def _overview_panel(axes: Axes, explanation: Explanation, layer: int, head: int) -> None:
    scan, traced = explanation.path(layer, head), explanation.trace.layers[layer]
    show_plane(axes, explanation)
    draw_scan(axes, scan)
    rows, columns = traced.grid
    pooled = f", pooled {traced.pooled}×" if traced.pooled > 1 else ""
    axes.set_title(
        f"{scan.scan.describe().replace(', global', '')}\n"
        f"{columns}×{rows} cells{pooled} · ×{float(traced.gate[0, head]):.2f}",
        fontsize=6.5,
    )


def draw_scan(axes: Axes, scan: ScanPath) -> Any:
    """Draw ranks, path and borders of a scan in pixels of the plane; return the image of ranks."""
    rows, columns = scan.rank.shape
    stride, origin = scan.cells.stride, scan.cells.origin
    left, right, bottom, top = axes.get_xlim() + axes.get_ylim()
    drawn = axes.imshow(
        scan.rank,
        cmap="viridis",
        extent=_extent(origin, stride, rows, columns),
        alpha=OVER_IMAGE,
        interpolation="nearest",
    )
    if scan.rank.size <= LINE_LIMIT:
        _draw_path(axes, scan)
    lines = scan.borders()
    ends = np.stack((lines[:, 0], lines[:, 0] + lines[:, 1]), axis=1) * stride + origin
    for line in ends:
        axes.plot(line[:, 1], line[:, 0], color="#ff5c8a", linewidth=0.8)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return drawn


def _draw_path(axes: Axes, scan: ScanPath) -> None:
    """Draw the steps of a path as thin lines."""
    from matplotlib.collections import LineCollection

    arrows = scan.arrows()
    ends = np.stack((arrows.start, arrows.start + arrows.way), axis=1)
    points = ends * scan.cells.stride + scan.cells.origin
    axes.add_collection(LineCollection(list(points[..., ::-1]), colors="white", linewidths=0.6))


def _single(explanation: Explanation) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.6), layout="constrained")
    axes = figure.subplots()
    show_plane(axes, explanation)
    return figure, axes


def show_plane(axes: Axes, explanation: Explanation) -> None:
    """Show the part of the image that the network read, in grey, with the pixels of the plane."""
    tile = explanation.tile
    grey: NDArray[np.float32] = np.clip(explanation.plane.mean(axis=-1), 0, 1)
    extent = _extent((tile.top, tile.left), 1, tile.height, tile.width)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    _keep_view(axes, explanation)


def _keep_view(axes: Axes, explanation: Explanation) -> None:
    """Clip to what was read: cells may reach into the padding."""
    tile = explanation.tile
    axes.set_xlim(tile.left - 0.5, tile.left + tile.width - 0.5)
    axes.set_ylim(tile.top + tile.height - 0.5, tile.top - 0.5)


def _extent(
    origin: tuple[float, float], stride: int, rows: int, columns: int
) -> tuple[float, float, float, float]:
    """Return left, right, bottom, top of cells whose first centre is `origin` (row, column)."""
    top, left = origin[0] - stride / 2, origin[1] - stride / 2
    return left, left + columns * stride, top + rows * stride, top


def add_bar(figure: Figure, axes: Axes, drawn: Any, label: str) -> None:
    """Add a colour bar for what was drawn."""
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)


def _caption(figure: Figure, explanation: Explanation, text: str) -> None:
    """Write what is shown and by which model below the picture; names of images may be private."""
    tile = "" if explanation.tiles == 1 else f", one of {explanation.tiles} tiles"
    plane = f", plane {', '.join(map(str, explanation.index))}" if explanation.index else ""
    source = f"{explanation.card.title}{plane}{tile}"
    lines = [line for line in (text, source, RESEARCH_ONLY) if line]
    figure.supxlabel("\n".join(lines), fontsize=8)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending of the name chooses the format.

    Raises
    ------
    RwkvSegError
        If it is neither PNG nor SVG.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise RwkvSegError(f"{path.name}: a picture is saved as .png or .svg. Choose such a name.")
    write_atomic(path, render(figure, ending))


def render(figure: Figure, ending: str = ".png") -> bytes:
    """Return a figure as the bytes of a file; `ending` is one of `FORMATS`."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none"}):  # text stays text, to be searched and edited
        figure.savefig(buffer, format=ending[1:], dpi=DPI)
    return buffer.getvalue()


def layer_name(explanation: Explanation, layer: int, block: bool = True) -> str:
    """Return like "encoder level 1, block 2"."""
    place = explanation.trace.layers[layer].place
    name = f"{place.part} level {place.level + 1}"
    return f"{name}, block {place.block + 1}" if block and place.part == "encoder" else name
