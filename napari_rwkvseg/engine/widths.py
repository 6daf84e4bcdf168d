"""How wide objects are: lines, discs and blobs by one measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
from numpy.typing import NDArray

# In a disc the mean distance to the border is a sixth of its width; in a line a quarter.
WIDTH_PER_DISTANCE = 6.0


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
    distances = np.concatenate([scipy.ndimage.distance_transform_edt(mask)[mask] for mask in shown])
    return WIDTH_PER_DISTANCE * float(distances.mean())


def median_width(images: Sequence[Sequence[NDArray[np.integer]]]) -> float:
    """Return the median of `object_width` over the images that show an object; 0 if none does."""
    widths = [width for truths in images if (width := object_width(truths))]
    return float(np.median(widths)) if widths else 0.0
