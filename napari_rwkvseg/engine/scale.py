"""At which scale a network should read images: objects as wide as those that it has learnt.

A network that knows nuclei of 20 pixels meets lesions of 100: in a view it sees a piece of one, and
a minute is too short to learn otherwise. Shown at a quarter of the size they are as wide as nuclei,
and a view costs a sixteenth. The scale is a power of two, and part of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import SegmentationNetwork, rebuilt

# In a disc the mean distance to the border is a sixth of its width; in a line a quarter.
WIDTH_PER_DISTANCE = 6.0
MOST_SHRUNK = 8
LEAST_SIDE = 80  # pixels that an image keeps when it is shrunk
MOST_MEASURED = 64  # pieces: more change nothing


def object_width(truths: Sequence[NDArray[np.integer]]) -> float:
    """Return how wide the objects in an image are, in pixels: the width of a disc as thick as they.

    Parameters
    ----------
    truths : sequence of ndarray, shape (H, W)
        Class per pixel in parts of one image, 0 is background. Beyond the edges objects go on.

    Returns
    -------
    float
        Mean over all foreground pixels, so that specks count little; 0 without a border to measure
        from.
    """
    shown = [truth > 0 for truth in truths if truth.any() and not truth.all()]
    if not shown:
        return 0.0
    distances = np.concatenate([ndimage.distance_transform_edt(mask)[mask] for mask in shown])
    return WIDTH_PER_DISTANCE * float(distances.mean())


def median_width(images: Sequence[Sequence[NDArray[np.integer]]]) -> float:
    """Return the median of `object_width` over the images that show an object; 0 if none does."""
    widths = [width for truths in images if (width := object_width(truths))]
    return float(np.median(widths)) if widths else 0.0


def evidence_width(pieces: Sequence[Evidence]) -> float:
    """Return the median width of the objects in corrected images; what nobody saw is background."""
    images: dict[str, list[NDArray[np.uint8]]] = {}
    for piece in pieces[:: 1 + len(pieces) // MOST_MEASURED]:
        images.setdefault(piece.image_id, []).append(np.where(piece.seen, piece.truth, 0))
    return median_width(list(images.values()))


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
        The power of two next to the right one. A network that enlarges its images stays as it is.
    """
    if not learnt or not wanted or config.enlarge > 1:
        return config.shrink
    most = max(config.shrink, min(MOST_SHRUNK, side // LEAST_SIDE))
    right = config.shrink * 2.0 ** round(math.log2(wanted / learnt))
    while right > most:
        right /= 2
    return max(1, int(right))


def with_shrink(network: SegmentationNetwork, shrink: int) -> SegmentationNetwork:
    """Return a copy of a network that reads its images at another scale, with the same weights."""
    return rebuilt(network, replace(network.config, shrink=shrink))
