"""How often each image is drawn in training: rare kinds more often than their share.

Data sets hold many images of a few common kinds and few of the rare ones, but every kind counts
when users bring their own. Images are grouped by how they look (brightness, contrast and colour
of the normalised image); a group is drawn in proportion to the square root of its size.
Where several data folders are learnt at once, each is grouped by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2, vq

from napari_rwkvseg.engine.dataset import Sample

MAX_KINDS = 16
STRIDE = 4  # pixels between those looked at


def drawing_chances(samples: Sequence[Sample], empty: float = 1.0) -> NDArray[np.float64]:
    """Return the chance of each sample, shape (n,), summing to 1; data folders share it evenly.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    empty : float
        How often a sample without foreground is drawn, relative to one with: most slices of a
        volume may lack what is sought, and a network that sees mostly those learns to find nothing.

    Returns
    -------
    ndarray, float64
        The same for equal samples in equal order.
    """
    looks = np.stack([_look(sample) for sample in samples])
    sources = np.array([sample.source for sample in samples])
    shown = np.array([1.0 if sample.truth.any() else empty for sample in samples])
    chances = np.zeros(len(samples))
    for source in dict.fromkeys(sources):
        own = sources == source
        weights = _chances_by_kind(looks[own]) * shown[own]
        chances[own] = weights / weights.sum()
    result: NDArray[np.float64] = chances / chances.sum()
    return result


def _chances_by_kind(looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return chances (n,) that sum to 1, for descriptors (n, d)."""
    kinds = group_kinds(looks)
    chances = 1 / np.sqrt(np.bincount(kinds)[kinds])
    result: NDArray[np.float64] = chances / chances.sum()
    return result


def group_kinds(looks: NDArray[np.float64]) -> NDArray[np.intp]:
    """Group descriptors (n, d) by k-means into at most `MAX_KINDS` kinds; return labels (n,)."""
    kinds = min(MAX_KINDS, max(1, math.isqrt(len(looks) // 2)))
    if kinds == 1:
        return np.zeros(len(looks), np.intp)
    spread = looks.std(axis=0)
    scaled = (looks - looks.mean(axis=0)) / np.where(spread > 0, spread, 1)
    start = scaled[_spread_out(scaled, kinds)]
    try:
        _, labels = kmeans2(scaled, start, minit="matrix", missing="raise")
    except ClusterError:  # a kind has dissolved: the nearest of the first guesses will do
        labels, _ = vq(scaled, start)
    return np.asarray(labels, np.intp)


def _spread_out(points: NDArray[np.float64], count: int) -> list[int]:
    """Choose points far from each other, each the farthest from those before: no chance in it."""
    chosen = [int(np.argmin((points**2).sum(axis=1)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        if not distance.any():  # no other points are left
            break
        chosen.append(int(np.argmax(distance)))
    return chosen


def _look(sample: Sample) -> NDArray[np.float64]:
    """Describe an image (H, W, C): mean and contrast, and means and contrasts of its channels."""
    image = np.asarray(sample.image[::STRIDE, ::STRIDE], np.float64)
    means, contrasts = image.mean(axis=(0, 1)), image.std(axis=(0, 1))
    colour = means - means.mean()
    skewness = np.mean((image - means) ** 3) / (image.std() ** 3 + 1e-6)
    return np.concatenate([[means.mean(), skewness], contrasts, 2 * colour])
