"""Which finds are too small to be objects, learnt from the objects that people corrected.

A network that has seen three lesions finds a few more in noise, most of them far smaller than any
that it was shown. What is much smaller than all corrected objects is left out, unless people ask
for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import Evidence

SHARE = 0.25  # of the size of a small object: half of its width
SMALL = 0.05  # quantile of the sizes: a stray dab of the brush is no object


def least_size(pieces: Sequence[Evidence]) -> int:
    """Return the least number of pixels that an object should have, by those in corrected images.

    Parameters
    ----------
    pieces : sequence of Evidence
        Corrections to learn from.

    Returns
    -------
    int
        A quarter of the size of the smallest objects; 0, where nothing is left out, if no object
        is seen whole: one that a border or pixels without evidence cut may be of any size.
    """
    sizes = np.concatenate([[], *map(_whole_sizes, pieces)])
    return int(SHARE * np.quantile(sizes, SMALL, method="lower")) if len(sizes) else 0


def _whole_sizes(piece: Evidence) -> NDArray[np.intp]:
    """Return the pixels of each object of a plane that is seen whole."""
    sizes = []
    for k in np.unique(piece.truth[piece.seen & (piece.truth > 0)]):
        parts, count = scipy.ndimage.label(np.where(piece.seen, piece.truth == k, False))
        whole = np.ones(1 + count, bool)
        whole[parts[_beside_unknown(piece.seen)]] = False
        whole[0] = False
        sizes.append(np.bincount(parts.ravel(), minlength=1 + count)[whole])
    return np.concatenate(sizes) if sizes else np.zeros(0, np.intp)


def _beside_unknown(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) with a neighbour of which nothing is known, the border's too."""
    beside: NDArray[np.bool_] = ~scipy.ndimage.binary_erosion(seen)
    return beside


def small_parts(mask: NDArray[np.bool_], min_size: int, cut: bool = False) -> NDArray[np.bool_]:
    """Return the connected parts of a mask that have fewer pixels than `min_size`.

    Parameters
    ----------
    mask : ndarray, bool, shape (H, W) or (D, H, W)
        Of one class.
    min_size : int
        Pixels, or voxels.
    cut : bool
        Whether a plane goes on beyond its borders: parts that touch them may be larger, and are
        not small.
    """
    parts, count = scipy.ndimage.label(mask)
    small = np.bincount(parts.ravel(), minlength=1 + count) < min_size
    small[0] = False
    if cut:
        small[parts[_beside_unknown(np.ones_like(mask))]] = False
    inside: NDArray[np.bool_] = small[parts]
    return inside
