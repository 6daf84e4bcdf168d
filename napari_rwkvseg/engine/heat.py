"""What a pixel looked at, as values on cells of the image and one sentence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.cells import CellGrid
from napari_rwkvseg.engine.scan_path import round_figure
from napari_rwkvseg.engine.tiles import Tile
from napari_rwkvseg.network.layer_trace import LayerTrace, WordTrace
from napari_rwkvseg.network.receptive_field import ReceptiveField

Pixel = tuple[int, int]

HALF, MOST = 0.5, 0.95  # shares whose radii are told


@dataclass(frozen=True, eq=False)
class Heat:
    """Weights over a part of a plane.

    Attributes
    ----------
    values : ndarray, float32, shape (rows, columns)
        Not negative; the weight of each cell. Together with what lies in the padding and what
        is no cell (the sentence of a word) they sum to 1.
    stride : int
        Pixels per cell.
    origin : tuple of float
        Row and column of the centre of the first cell, in pixels of the plane.
    text : str
        What is shown, in words.
    """

    values: NDArray[np.float32]
    stride: int
    origin: tuple[float, float]
    text: str


def look_heat(
    layer: LayerTrace,
    head: int | None,
    tile: Tile,
    pixel: Pixel,
    spacing: float = 1.0,
    unit: str = "px",
) -> Heat:
    """Return how much the token of a pixel looks at each other token of its sequence.

    Parameters
    ----------
    layer : LayerTrace
        Which layer.
    head : int or None
        Which head; None for all, weighted by their gates.
    tile : Tile
        The part of the plane that was read.
    pixel : tuple of int
        Row and column in the plane.
    spacing : float
        Length of a pixel in `unit`.
    unit : str
        "px", or a unit of length.

    Raises
    ------
    ValueError
        If the pixel lies outside the tile.
    """
    cells = CellGrid(layer.grid, layer.stride, tile)
    token = cells.token_at(*pixel)
    weights = layer.look(head, token).cpu().numpy()
    values = cells.crop(weights).astype(np.float32)
    radius = round_figure(_spread(weights, cells, token) * spacing)
    text = f"itself {percent(weights[token])}, half of it within {radius} {unit}"
    outside = 1 - float(values.sum(dtype=np.float64))
    if outside >= 0.005:
        text += f"; {percent(outside)} on the padding beyond the image"
    return Heat(values, layer.stride, cells.origin, text)


def _spread(weights: NDArray[np.float64], cells: CellGrid, token: int) -> float:
    """Return how far from the token half of the weight lies, in pixels."""
    place = cells.positions(np.arange(weights.size))
    distance = np.hypot(*(place - place[token]).T)
    order = np.argsort(distance, kind="stable")
    held = np.cumsum(weights[order])
    radius = float(distance[order[int(np.searchsorted(held, HALF * held[-1]))]])
    return radius * cells.stride


def word_heat(words: WordTrace, tile: Tile, pixel: Pixel) -> Heat:
    """Return how much the word of a pixel looks at the words of its cell, and at its sentence.

    Parameters
    ----------
    words : WordTrace
        Which nested scan.
    tile : Tile
        The part of the plane that was read.
    pixel : tuple of int
        Row and column in the plane.
    """
    cells = CellGrid(words.grid, words.stride, tile)
    sentence = cells.token_at(*pixel)
    row, column = divmod(sentence, words.grid[1])
    top, left = tile.top + row * words.stride, tile.left + column * words.stride
    half = words.stride // 2
    word = 2 * ((pixel[0] - top) // half) + (pixel[1] - left) // half
    weights = words.weights(sentence)[1 + word].mean(dim=1).cpu().numpy()  # (5,)
    values = weights[1:].reshape(2, 2).astype(np.float32)
    text = (
        f"its sentence (the whole cell) {percent(weights[0])}, itself {percent(weights[1 + word])}"
    )
    return Heat(values, half, (top + (half - 1) / 2, left + (half - 1) / 2), text)


def field_heat(field: ReceptiveField, tile: Tile, spacing: float = 1.0, unit: str = "px") -> Heat:
    """Return a receptive field as a picture, smoothed, with the radii that hold most of it.

    Parameters
    ----------
    field : ReceptiveField
        Over `tile`.
    tile : Tile
        The part of the plane that was read.
    spacing : float
        Length of a pixel in `unit`.
    unit : str
        "px", or a unit of length.
    """
    half, most = (round_figure(field.radius(share) * spacing) for share in (HALF, MOST))
    text = f"50 % within {half} {unit}, 95 % within {most} {unit}"
    return Heat(field.smoothed(), 1, (float(tile.top), float(tile.left)), text)


def bright_weight(heat: Heat) -> float:
    """Return the weight to draw brightest, so that the token's own does not hide the others."""
    largest = float(heat.values.max(initial=0.0))
    common = float(np.percentile(heat.values, 99.5)) if heat.values.size > 4 else largest
    return common or largest or 1.0


def percent(share: float) -> str:
    """Return a share as "31 %", or "0.4 %" below one."""
    value = 100 * float(share)
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.1g} %"
