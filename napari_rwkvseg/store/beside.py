"""Two heads, or two images, side by side: scan, look and gates of each in one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.explain import Explanation
from napari_rwkvseg.engine.gates import GateTable, gate_table
from napari_rwkvseg.engine.heat import Heat
from napari_rwkvseg.store.colors import GLOBAL, LOCAL
from napari_rwkvseg.store.figures import (
    add_bar,
    draw_heat,
    draw_scan,
    layer_name,
    save,
    show_plane,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PICTURE, ROW = 4.6, 4.0, 0.26  # inches: width, height of a picture, of a row of gates
BAR = 0.8  # of a row: the bar of a head that has all of its layer's weight


@dataclass(frozen=True, eq=False)
class Side:
    """One column.

    Attributes
    ----------
    explanation : Explanation
        Of its image.
    layer, head : int
        Which head is drawn.
    heat : Heat or None
        What a pixel looked at, if one was asked about.
    """

    explanation: Explanation
    layer: int
    head: int
    heat: Heat | None = None


def save_beside(path: Path, sides: Sequence[Side]) -> None:
    """Write `draw_beside` as PNG or SVG.

    Raises
    ------
    ValueError
        If the file name has another ending.
    """
    save(draw_beside(sides), path)


def draw_beside(sides: Sequence[Side]) -> Figure:
    """Return a figure with a column per side: scan on the image, look, gates of all layers.

    The row of looks is left out where no side has one.
    """
    from matplotlib.figure import Figure

    layers = max(len(side.explanation.trace.layers) for side in sides)
    looks = any(side.heat is not None for side in sides)
    heights = [PICTURE, *([PICTURE] if looks else []), ROW * layers + 0.5]
    figure = Figure(figsize=(COLUMN * len(sides), sum(heights) + 0.6), layout="constrained")
    panels = figure.subplots(len(heights), len(sides), squeeze=False, height_ratios=heights)
    for column, side in zip(panels.T, sides, strict=True):
        _draw_side_scan(figure, column[0], side)
        if looks:
            _draw_side_look(figure, column[1], side)
        layer_gates = gate_table(side.explanation.image.name, side.explanation.trace.layers)
        draw_gates(column[-1], layer_gates)
    figure.supxlabel(f"{_model(sides)}\n{RESEARCH_ONLY}", fontsize=8)
    return figure


def _draw_side_scan(figure: Figure, axes: Axes, side: Side) -> None:
    found = side.explanation
    scan = found.path(side.layer, side.head)
    show_plane(axes, found)
    add_bar(figure, axes, draw_scan(axes, scan), "step of the visit")
    plane = f", plane {', '.join(map(str, found.index))}" if found.index else ""
    head = f"{layer_name(found, side.layer)}, head {side.head + 1}{plane}"
    axes.set_title(f"{head}\n{scan.scan.describe()}", fontsize=9)


def _draw_side_look(figure: Figure, axes: Axes, side: Side) -> None:
    show_plane(axes, side.explanation)
    if side.heat is None:
        axes.set_title("the pixel lies outside this image", fontsize=8)
        return
    add_bar(figure, axes, draw_heat(axes, side.explanation, side.heat), "weight")
    axes.set_title(side.heat.text, fontsize=8, wrap=True)


def draw_gates(axes: Axes, table: GateTable) -> None:
    """Draw a row per layer and a bar per head; the thin line is an even share."""
    for row, (weights, local) in enumerate(zip(table.weights, table.local, strict=True)):
        heads = len(weights)
        floor = [-row] * heads
        heights = [BAR * float(weight) / heads for weight in weights]
        colors = [LOCAL if near else GLOBAL for near in local]
        axes.bar(range(heads), heights, width=0.9, bottom=floor, color=colors)
        axes.hlines(BAR / heads - row, -0.5, heads - 0.5, colors="black", linewidth=0.4)
    names = [f"{p.part[:3].capitalize()}. {p.level + 1}.{p.block + 1}" for p in table.places]
    axes.set_yticks([-row for row in range(len(names))], names, fontsize=7)
    axes.set_xticks(
        range(len(table.weights[0])), [f"head {n + 1}" for n in range(len(table.weights[0]))]
    )
    axes.tick_params(length=0, labelsize=7)
    axes.set_frame_on(False)
    axes.set_title("weight of each head (teal: in windows; orange: whole grid)", fontsize=8)


def _model(sides: Sequence[Side]) -> str:
    titles = {side.explanation.card.title or side.explanation.card.name for side in sides}
    return " · ".join(sorted(titles))
