"""At which scale a network should read images: objects as wide as those that it has learnt.

A network that knows nuclei of 20 pixels meets lesions of 100: in a view it sees a piece of one, and
a minute is too short to learn otherwise. Shown at a quarter of the size they are as wide as nuclei,
and a view costs a sixteenth. The scale is a power of two, and part of the network; corrections are
brought to it once, before it learns from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import skimage  # its parts load at first use: in a worker, and only where something is shrunk
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.engine.widths import median_width
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import SegmentationNetwork, rebuilt

MOST_SHRUNK = 8
UP = 0.3  # rounds 1.7 to 2: a scene too large by half costs vessels 0.4 points, one too small 1.9
COARSER = 0.25  # powers of two: half the size costs a quarter, and a view shows more around
LEAST_SIDE = 80  # pixels that an image keeps when it is shrunk
MOST_MEASURED = 64  # pieces: more change nothing
SLIVER = 0.1  # of the usual foreground: an image with less has lost its objects to the judge
MEASURED_SIDE = 512  # pixels of a piece that are measured, each way: seconds count


def frame_side(shape: Sequence[int]) -> float:
    """Return how large a frame of some rows and columns is: the root of its area, in pixels."""
    return math.sqrt(math.prod(shape))


def at_frame(model: Model, side: float) -> Model:
    """Return a model that reads frames of some size as it has learnt them.

    The same scene fills many more pixels for one camera than for another, and a network finds what
    it knows where this is about as large as it was when it learnt.

    Parameters
    ----------
    model : Model
        Not changed.
    side : float
        From `frame_side`.

    Returns
    -------
    Model
        The same weights with another `shrink`, and a card whose widths, sides and sizes are in
        pixels of such frames; `model` itself where the frames are hardly larger or it has not
        learnt frames. Smaller ones stay as they are: they may be parts of a frame.
    """
    config, card = model.network.config, model.card
    if not card.frame_side or config.enlarge > 1:
        return model
    shrink = max(config.shrink, int(config.shrink * side / card.frame_side + UP))
    if shrink == config.shrink:
        return model
    grown = shrink / config.shrink
    card = replace(
        card,
        frame_side=grown * card.frame_side,
        object_width=grown * card.object_width,
        min_size=-(-card.min_size * shrink**2 // config.shrink**2),
    )
    return replace(model, network=with_shrink(model.network, shrink), card=card)


def size_before(size: int, shrink: int, before: int) -> int:
    """Return how many pixels an object has at the scale of the frames that a model has learnt.

    Parameters
    ----------
    size : int
        In pixels of frames that the model reads at `shrink`.
    shrink, before : int
        From `at_frame`, and of the model itself.

    Returns
    -------
    int
        Rounded down, as `at_frame` rounds up: there and back is the same.
    """
    return size * before**2 // shrink**2


def evidence_width(pieces: Sequence[Evidence], token: CancelToken | None = None) -> float:
    """Return the median width of the objects in corrected images; what nobody saw is background.

    Parameters
    ----------
    pieces : sequence of Evidence
        Of all images. Of many some are measured, of large ones the part around an object.
    token : CancelToken, optional
        Polled at every piece.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {}
    for piece in pieces[:: 1 + len(pieces) // MOST_MEASURED]:
        if token is not None:
            token.raise_if_cancelled()
        images.setdefault(piece.image_id, []).append(_around_object(piece))
    return median_width(_without_slivers(list(images.values())))


def _without_slivers(images: list[list[NDArray[np.uint8]]]) -> list[list[NDArray[np.uint8]]]:
    """Return the images that show more of their objects than edges that were not held out."""
    sizes = np.array([sum(map(np.count_nonzero, truths)) for truths in images])
    if not sizes.any():
        return []
    usual = np.median(sizes[sizes > 0])
    return [truths for truths, size in zip(images, sizes, strict=True) if size >= SLIVER * usual]


def _around_object(piece: Evidence) -> NDArray[np.uint8]:
    """Return the truth where it was seen, of a large piece a square around its middle object."""
    part = piece.around_object(MEASURED_SIDE)
    return np.where(part.seen, part.truth, 0)


def fitting_shrink(config: NetworkConfig, learnt: float, wanted: float, side: int) -> int:
    """Return the `shrink` at which objects look to a network as wide as those it has learnt.

    Parameters
    ----------
    config : NetworkConfig
        Of the network.
    learnt, wanted : float
        Width of the objects that it has learnt, and of those that it is to learn, pixels; 0 where
        that is not known, and nothing changes.
    side : int
        Short side of the images.

    Returns
    -------
    int
        A power of two: the present one where it is the nearest to the right one, else, of two that
        are about as near, the coarser. A network that enlarges its images stays as it is.
    """
    if not learnt or not wanted or config.enlarge > 1:
        return config.shrink
    most = max(config.shrink, min(MOST_SHRUNK, side // LEAST_SIDE))
    octaves = math.log2(wanted / learnt)
    if not round(octaves):
        return config.shrink
    right = config.shrink * 2.0 ** round(octaves + COARSER)
    while right > most:
        right /= 2
    return max(1, int(right))


def with_shrink(network: SegmentationNetwork, shrink: int) -> SegmentationNetwork:
    """Return a network with the same weights at some scale: itself, or a copy if it has another."""
    if shrink == network.config.shrink:
        return network
    return rebuilt(network, replace(network.config, shrink=shrink))


def shrunk(piece: Evidence, shrink: int) -> Evidence:
    """Return a piece of evidence as a network sees it that shrinks its images.

    Learning from such pieces at scale 1 is learning the same weights, without drawing and scoring
    pixels that the network averages away: a view of an image at a quarter of its size costs a
    sixteenth.

    Parameters
    ----------
    piece : Evidence
        In pixels of the image, (H, W).
    shrink : int
        Side of the blocks that become one pixel.

    Returns
    -------
    Evidence
        Rows and columns divided by `shrink`, rounded up; a last block that is not full goes on as
        its edge. A block counts if any pixel of it does, as the class that most of these have.
    """
    if shrink == 1:
        return piece
    return replace(
        piece,
        image=_averaged(piece.image, shrink),
        truth=_majority(piece.truth, piece.seen, shrink).astype(np.uint8),
        levels=_reduced(piece.levels, shrink, np.max),
    )


def shrunk_sample(sample: Sample, shrink: int) -> Sample:
    """Return an image to train on as a network sees it that shrinks its images; see `shrunk`."""
    if shrink == 1:
        return sample
    everywhere = np.ones(sample.truth.shape, bool)
    return replace(
        sample,
        image=_averaged(sample.image, shrink),
        truth=_majority(sample.truth, everywhere, shrink),
    )


def _averaged(image: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Return the means of the blocks of an image (H, W, C); the last ones go on as its edge."""
    missing = [(0, -length % side) for length in image.shape[:2]]
    padded = np.pad(image.astype(np.float32), [*missing, (0, 0)], mode="edge")
    means: NDArray[np.floating] = _reduced(padded, side, np.mean).astype(image.dtype)
    return means


def _majority(
    truth: NDArray[np.integer], counted: NDArray[np.bool_], side: int
) -> NDArray[np.integer]:
    """Return the class that most counted pixels of each block have; the first of equals."""
    numbers = np.unique(truth)
    votes = [_reduced(counted & (truth == k), side, np.sum) for k in numbers]
    most: NDArray[np.integer] = numbers[np.argmax(votes, axis=0)]
    return most


def _reduced(pixels: NDArray[Any], side: int, combine: Callable[..., Any]) -> NDArray[Any]:
    """Combine blocks of (H, W) or (H, W, C), the last ones filled with zeros, into one value."""
    block = (side, side, 1)[: pixels.ndim]
    reduce = skimage.measure.block_reduce
    combined: NDArray[Any] = reduce(pixels, block, combine)  # type: ignore[no-untyped-call]
    return combined
