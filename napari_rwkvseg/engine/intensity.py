"""Intensities: one window per image, the same arithmetic in training and in prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.errors import BadImageError

if TYPE_CHECKING:
    from napari_rwkvseg.engine.image import ImageData

SAMPLE_VALUES = 1_000_000
SWEEP_VALUES = 2**27  # more than this is not read twice: the window comes from evenly spread blocks
BLOCK_SIDE = 2048
FLOOR, CEILING = -1.0, 3.0  # normalised range that a network ever sees
HOT = 1000.0  # window widths beyond which a value is called an outlier
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601

Block = tuple[tuple[int, ...], slice, slice]


@dataclass(frozen=True)
class Window:
    """The intensities that become 0 and 1; `high` equals `low` for a constant image."""

    low: float
    high: float

    @property
    def constant(self) -> bool:
        """Whether there is nothing to tell apart."""
        return not self.high > self.low


def window_of(values: NDArray[np.generic], percentiles: tuple[float, float]) -> Window:
    """Measure the intensity window of values that are already in memory.

    Parameters
    ----------
    values : ndarray, any shape
        Intensities; non-finite ones are ignored.
    percentiles : tuple of float
        Lower and upper percentile, 0 to 100.

    Returns
    -------
    Window
        Taken from values that occur, so a single hot pixel never counts. If the percentiles
        coincide (few bright pixels on an empty ground): smallest to largest value.

    Raises
    ------
    ValueError
        If no value is finite.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(values, np.float32)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ValueError("no finite value")
    low = float(np.percentile(finite, percentiles[0], method="higher"))
    high = float(np.percentile(finite, percentiles[1], method="lower"))
    return Window(low, high) if high > low else Window(float(finite.min()), float(finite.max()))


def normalise(plane: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Map the window to 0..1, linearly.

    Parameters
    ----------
    plane : ndarray, float32, any shape
        Intensities, non-finite ones allowed.
    window : Window
        From `measure_window` or `window_of`.

    Returns
    -------
    ndarray, float32, same shape
        Clipped to -1..3; 0 where the input is not finite, and everywhere if the window is constant.
    """
    if window.constant:
        return np.zeros(plane.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (plane - np.float32(window.low)) / np.float32(window.high - window.low)
    np.clip(scaled, FLOOR, CEILING, out=scaled)
    scaled[~np.isfinite(plane)] = 0
    return scaled


def check_channels(image: ImageData, n: int, model: str = "") -> None:
    """Refuse an image of several channels that are no colours, whatever their number.

    Three of them would otherwise be taken for red, green and blue.

    Parameters
    ----------
    image : ImageData
        What is to be read.
    n : int
        Channels of the model.
    model : str
        Its name, for the message; empty if it has none yet.

    Raises
    ------
    BadImageError
        If that is so.
    """
    if image.n_channels > 1 and not image.is_rgb:
        raise wrong_channels(image.name, image.n_channels, n, model)


def to_channels(plane: NDArray[np.float32], n: int, name: str = "image") -> NDArray[np.float32]:
    """Fit a plane to the channels that a model reads.

    Parameters
    ----------
    plane : ndarray, float32, shape (H, W, C)
        Grey (C = 1), RGB (C = 3) or as many channels as wanted.
    n : int
        Channels of the model.
    name : str
        Layer or file name, for the message.

    Returns
    -------
    ndarray, float32, shape (H, W, n)
        Grey is repeated, RGB becomes one channel by luminance, anything equal stays.

    Raises
    ------
    BadImageError
        For any other combination.
    """
    channels = plane.shape[-1]
    if channels == n:
        return plane
    if channels == 1:
        # np.repeat would hold the interpreter, and with it the window
        return np.broadcast_to(plane, (*plane.shape[:-1], n)).copy()
    if channels == 3 and n == 1:
        weights = np.array(LUMINANCE, np.float32)
        grey: NDArray[np.float32] = (plane * weights).sum(axis=-1, keepdims=True)
        return grey
    raise wrong_channels(name, channels, n)


def wrong_channels(name: str, channels: int, n: int, model: str = "") -> BadImageError:
    """Return the error for an image whose channels do not fit the model."""
    who = f'model "{model}"' if model else "the model"
    reads = {1: "1 channel", 3: "1 channel or RGB"}.get(n, f"{n} channels")
    reason = f"{who} reads {reads}, the image has {channels} channels"
    return BadImageError(name, reason, "Pick one channel under Axes")


def measure_window(
    image: ImageData, percentiles: tuple[float, float], token: CancelToken | None = None
) -> tuple[Window, tuple[str, ...]]:
    """Measure one intensity window over all planes and channels of an image.

    Parameters
    ----------
    image : ImageData
        Read block by block, never whole; at most about a million values are kept.
    percentiles : tuple of float
        Lower and upper percentile, 0 to 100.
    token : CancelToken, optional
        Polled at every block.

    Returns
    -------
    window : Window
        Constant if all finite values are equal.
    notes : tuple of str
        What the user should know: masked pixels, outliers, a constant image.

    Raises
    ------
    BadImageError
        If no pixel is finite, or a value exceeds float32.
    Cancelled
        If the token asks to stop.
    """
    values = math.prod(image.spatial_shape) * image.n_channels
    sweep = _Sweep(image, token, skip=max(1, math.ceil(values / SWEEP_VALUES)))
    if sweep.constant and not sweep.complete:  # the blocks read may have missed all that matters
        sweep = _Sweep(image, token, skip=1)
    if sweep.smallest > sweep.largest:
        raise BadImageError(image.name, "no finite pixel", "Check how the image was exported")
    window = sweep.window(percentiles)
    return window, tuple(sweep.notes(window))


class _Sweep:
    """Read an image once, block by block: a thinned sample, the extremes, the gaps.

    Parameters
    ----------
    image : ImageData
        What to read.
    token : CancelToken or None
        Polled at every block.
    skip : int
        Every how many blocks one is read; 1 reads them all.
    """

    def __init__(self, image: ImageData, token: CancelToken | None, skip: int) -> None:
        self.smallest, self.largest, self.masked = math.inf, -math.inf, 0
        self.complete = skip == 1
        values = math.prod(image.spatial_shape) * image.n_channels / skip
        self._stride = max(1, math.ceil(math.sqrt(values / SAMPLE_VALUES)))
        samples = []
        for block in list(_blocks(image))[::skip]:
            if token is not None:
                token.raise_if_cancelled()
            samples.append(self._read(image.region(*block)))
        self._sample = np.concatenate(samples)

    @property
    def constant(self) -> bool:
        """Whether no two finite values differ, or there are none."""
        return not self.largest > self.smallest

    def window(self, percentiles: tuple[float, float]) -> Window:
        """Return the window of the sample, or of all values where the sample shows nothing."""
        if self._sample.size:
            window = window_of(self._sample, percentiles)
            if not window.constant:
                return window
        return Window(self.smallest, self.largest)

    def _read(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a block (H, W, C) into account; return its thinned finite values."""
        finite = np.isfinite(block)
        if not finite.all():
            self.masked += int(np.count_nonzero(~finite.all(axis=-1)))
        if finite.any():
            self.smallest = min(self.smallest, float(block.min(where=finite, initial=np.inf)))
            self.largest = max(self.largest, float(block.max(where=finite, initial=-np.inf)))
        thin = slice(None, None, self._stride)
        return block[thin, thin][finite[thin, thin]]

    def notes(self, window: Window) -> Iterator[str]:
        """Yield what the user should know, a sentence each."""
        if self.masked:
            about = "" if self.complete else "at least "
            yield f"{about}{self.masked} non-finite pixel{'s' * (self.masked > 1)} masked."
        if window.constant:
            yield "constant image: the mask is empty."
            return
        reach = HOT * (window.high - window.low)
        if self.largest > window.high + reach or self.smallest < window.low - reach:
            extreme = max(self.smallest, self.largest, key=abs)
            yield f"outliers up to {extreme:.3g} ignored in the intensity range."


def _blocks(image: ImageData) -> Iterator[Block]:
    """Yield places that cover all planes, at most `BLOCK_SIDE` squared each."""
    height, width = image.plane_shape
    for index in image.planes():
        for top in range(0, height, BLOCK_SIDE):
            for left in range(0, width, BLOCK_SIDE):
                rows = slice(top, min(top + BLOCK_SIDE, height))
                yield index, rows, slice(left, min(left + BLOCK_SIDE, width))
