"""What a model does with a plane of an image: the same reading as for a prediction, but recorded.

A small plane is read whole. A large one is read in tiles; then the tile in question is the one that
decides most about the pixel of interest: that whose middle is nearest.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.cells import CellGrid
from napari_rwkvseg.engine.device import limited_threads
from napari_rwkvseg.engine.heat import Heat, field_heat, look_heat, word_heat
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import (
    Window,
    check_channels,
    measure_window,
    normalise,
    to_channels,
)
from napari_rwkvseg.engine.predict import DEFAULTS, ONE_TILE, PredictOptions, as_read
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.scan_path import ScanPath, scan_path
from napari_rwkvseg.engine.tiles import Tile, plan_tiles
from napari_rwkvseg.engine.units import is_length
from napari_rwkvseg.network.model import SegmentationNetwork
from napari_rwkvseg.network.receptive_field import ReceptiveField, receptive_field
from napari_rwkvseg.network.trace import NetworkTrace, record

Pixel = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Explanation:
    """One forward pass over one plane, with all that was scanned on the way.

    Attributes
    ----------
    image : ImageData
        What was read.
    index : tuple of int
        Which plane.
    tile : Tile
        Which part of it.
    tiles : int
        Tiles of the plane in all.
    window : Window
        The intensities that became 0 and 1.
    card : ModelCard
        Of the model.
    plane : ndarray, float32, shape (h, w, C)
        What the network was given.
    trace : NetworkTrace
        What it did.
    network : SegmentationNetwork
        A frozen copy, for gradients.
    """

    image: ImageData
    index: tuple[int, ...]
    tile: Tile
    tiles: int
    window: Window
    card: ModelCard
    plane: NDArray[np.float32]
    trace: NetworkTrace
    network: SegmentationNetwork

    @property
    def pixel_length(self) -> tuple[float, str]:
        """Length of a pixel along the rows, with its unit: (0.65, "µm"), or (1, "px")."""
        step, unit = self.image.spacing[-1], self.image.units[-1]
        return (step, unit) if is_length(unit) else (1.0, "px")

    def covers(self, pixel: Pixel) -> bool:
        """Return whether the part of the plane that was read holds a pixel."""
        down, across = pixel[0] - self.tile.top, pixel[1] - self.tile.left
        return 0 <= down < self.tile.height and 0 <= across < self.tile.width

    def cells(self, layer: int) -> CellGrid:
        """Return where the tokens of a layer lie."""
        traced = self.trace.layers[layer]
        return CellGrid(traced.grid, traced.stride, self.tile)

    def path(self, layer: int, head: int) -> ScanPath:
        """Return what a head of a layer scanned."""
        return scan_path(self.trace.layers[layer], head, self.tile)

    def look(self, layer: int, head: int | None, pixel: Pixel) -> Heat:
        """Return what the token of a pixel looks at; `head` None is all heads by their gates."""
        return look_heat(self.trace.layers[layer], head, self.tile, pixel, *self.pixel_length)

    def words(self, number: int, pixel: Pixel) -> Heat:
        """Return what the word of a pixel looks at inside its cell, in a step of the decoder."""
        return word_heat(self.trace.words[number], self.tile, pixel)

    def field(self, pixel: Pixel, label: int | None = None) -> ReceptiveField:
        """Return what the class of a pixel depends on, over `tile`; by default the likeliest."""
        row, column = pixel[0] - self.tile.top, pixel[1] - self.tile.left
        chosen = self.label(pixel) if label is None else label
        with limited_threads():
            return receptive_field(self.network, _as_tensor(self.plane), row, column, chosen)

    def field_heat(self, pixel: Pixel, label: int | None = None) -> Heat:
        """Return `field` as a picture, with its radii in words."""
        return field_heat(self.field(pixel, label), self.tile, *self.pixel_length)

    def probabilities(self, pixel: Pixel) -> NDArray[np.float32]:
        """Return the probability of each class at a pixel, background first."""
        logits = self.trace.logits[0, :, pixel[0] - self.tile.top, pixel[1] - self.tile.left]
        found: NDArray[np.float32] = logits.softmax(0).cpu().numpy()
        return found

    def label(self, pixel: Pixel) -> int:
        """Return the likeliest class at a pixel, 0 is the background."""
        return int(self.probabilities(pixel).argmax())


def explain(
    model: Model,
    image: ImageData,
    index: tuple[int, ...] = (),
    focus: Pixel | None = None,
    options: PredictOptions = DEFAULTS,
    window: Window | None = None,
    token: CancelToken | None = None,
) -> Job[Explanation]:
    """Run a model over a plane and record what it scanned; always on the processor.

    Parameters
    ----------
    model : Model
        Copied; it may be used elsewhere meanwhile.
    image : ImageData
        Of one channel or as many as the model reads; intensities are measured over all of it.
    index : tuple of int
        Which plane, along the lead axes.
    focus : tuple of int, optional
        Row and column of interest, in a plane that is read in tiles; its middle by default.
    options : PredictOptions
        How the prediction is computed; only its tiles count here.
    window : Window, optional
        Of this image, if it is known already.
    token : CancelToken, optional
        Polled between the steps.

    Raises
    ------
    BadImageError
        If the image does not fit the model or cannot be read.
    Cancelled
        If the token asks to stop.
    """
    token = token or CancelToken()
    check_channels(image, model.network.config.in_channels, model.card.name)
    fitted, options = as_read(model, image, options)
    yield Progress(0, 2, "Reading intensities")
    if window is None:
        window, _ = measure_window(image, model.card.percentiles, token)
    tile, count = part_read(image.plane_shape, focus, options)
    values = normalise(image.region(index, *tile.to_slices()), window)
    plane = to_channels(values, model.network.config.in_channels, image.name)
    token.raise_if_cancelled()
    yield Progress(1, 2, "Following the scan")
    network = copy.deepcopy(fitted.network).cpu().eval().requires_grad_(False)
    with limited_threads():
        seen = record(network, _as_tensor(plane))
    token.raise_if_cancelled()
    return Explanation(image, index, tile, count, window, model.card, plane, seen, network)


def part_read(
    shape: tuple[int, int], focus: Pixel | None, options: PredictOptions
) -> tuple[Tile, int]:
    """Return the tile of a plane that decides most about a pixel, and how many there are.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    focus : tuple of int or None
        Row and column; None is the middle.
    options : PredictOptions
        Its tiles count.
    """
    if max(shape) <= ONE_TILE * options.tile:
        return Tile(0, 0, *shape), 1
    tiles = plan_tiles(shape, options.tile, min(options.overlap, options.tile // 2))
    row, column = focus or (shape[0] // 2, shape[1] // 2)

    def distance(tile: Tile) -> float:
        down, across = tile.top + tile.height / 2 - row, tile.left + tile.width / 2 - column
        return max(abs(down), abs(across))

    return min(tiles, key=distance), len(tiles)


def as_one_channel(image: ImageData, channel: int | None) -> ImageData:
    """Return the chosen channel of an image that has several; RGB and grey stay."""
    return image if channel is None else replace(image.select_channel(channel), name=image.name)


def _as_tensor(plane: NDArray[np.float32]) -> Tensor:
    """Return a plane (h, w, C) as the network reads it, (1, C, h, w)."""
    return torch.from_numpy(plane).permute(2, 0, 1)[None]
