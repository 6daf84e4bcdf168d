"""Segmentation without a network: a random forest on pixel features, and a graph cut on top of it.

Features are those of scikit-image (`multiscale_basic_features`): intensity, edges and texture at
several scales. The graph cut minimises, over all masks, the cost of the forest's probabilities plus
the cost of every border between neighbours, less where the image changes (Boykov & Jolly 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from skimage.feature import multiscale_basic_features

from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.sampling import drawing_chances
from napari_rwkvseg.engine.train_options import TrainOptions

IMAGES, PIXELS = 60, 400  # looked at for training: images at most, and pixels of each
TREES, LEAF = 60, 5
SMOOTHNESS = 1.5  # cost of a border where the image is flat, in nats
UNITS = 100  # capacities are whole numbers: hundredths of a nat
SURE = 1e-3  # probabilities are kept this far from 0 and 1


class Forest:
    """A random forest on features of single pixels; needs scikit-learn."""

    def __init__(self) -> None:
        self._trees: Any = None

    def learn(self, samples: Sequence[Sample], options: TrainOptions) -> None:
        """Learn from random pixels of some of the images, drawn as often as a network sees them."""
        forest = import_module("sklearn.ensemble").RandomForestClassifier
        rng = np.random.default_rng(options.seed)
        chances = drawing_chances(samples, options.empty)
        count = min(IMAGES, len(samples))
        drawn = rng.choice(len(samples), count, replace=False, p=chances)
        pairs = [_some_pixels(samples[int(number)], rng) for number in drawn]
        features, truths = (np.concatenate(part) for part in zip(*pairs, strict=True))
        self._trees = forest(
            TREES, min_samples_leaf=LEAF, random_state=options.seed, class_weight="balanced"
        )
        self._trees.fit(features, truths)

    def probability(self, image: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of foreground (H, W) in an image (H, W, 3)."""
        values = features_of(image)
        known = list(self._trees.classes_)
        found = self._trees.predict_proba(values.reshape(-1, values.shape[-1]))
        column = found[:, known.index(1)] if 1 in known else np.zeros(len(found))
        return np.asarray(column, np.float64).reshape(image.shape[:2])

    def segment(self, image: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return where foreground is likelier than not."""
        found: NDArray[np.bool_] = self.probability(image) > 0.5
        return found


class GraphCut(Forest):
    """The cheapest mask, given the forest's probabilities and the contrast of the image."""

    def segment(self, image: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the foreground (H, W) of an image (H, W, 3)."""
        return cheapest_mask(self.probability(image), image.mean(axis=2))


def features_of(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features (H, W, F) of the pixels of an image (H, W, C)."""
    found: NDArray[np.float32] = multiscale_basic_features(
        image, sigma_min=1, sigma_max=8, channel_axis=-1
    )
    return found


def _some_pixels(
    sample: Sample, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features (n, F) and classes (n,) of random pixels."""
    values = features_of(np.asarray(sample.image, np.float32))
    chosen = rng.integers(0, sample.truth.size, PIXELS)
    flat = values.reshape(-1, values.shape[-1])[chosen]
    return flat, (sample.truth.reshape(-1)[chosen] > 0).astype(np.int64)


def cheapest_mask(
    probability: NDArray[np.float64], grey: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return the mask (H, W) of least cost, by maximum flow.

    Parameters
    ----------
    probability : ndarray, shape (H, W)
        Of foreground, 0 to 1.
    grey : ndarray, shape (H, W)
        Intensities; a border costs less where they differ.
    """
    sure = np.clip(probability, SURE, 1 - SURE)
    pixels = np.arange(sure.size).reshape(sure.shape)
    source, sink = sure.size, sure.size + 1
    heads, tails, costs = [], [], []

    def connect(start: Any, end: Any, cost: NDArray[np.floating]) -> None:
        start, end = np.broadcast_arrays(start, end)
        heads.append(start.ravel())
        tails.append(end.ravel())
        costs.append(np.rint(cost * UNITS).astype(np.int32).ravel())

    connect(source, pixels, -np.log(1 - sure))  # cut where a pixel becomes background
    connect(pixels, sink, -np.log(sure))
    spread = 2 * np.mean(np.diff(grey, axis=0) ** 2) + 2 * np.mean(np.diff(grey, axis=1) ** 2)
    for near, far in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        border = SMOOTHNESS * np.exp(-((grey[near] - grey[far]) ** 2) / max(float(spread), 1e-12))
        connect(pixels[near], pixels[far], border)
        connect(pixels[far], pixels[near], border)
    places = np.concatenate(heads), np.concatenate(tails)
    size = sure.size + 2
    graph = csr_array((np.concatenate(costs), places), shape=(size, size), dtype=np.int32)
    rest = graph - maximum_flow(graph, source, sink).flow
    rest.eliminate_zeros()
    mask = np.zeros(size, bool)
    mask[breadth_first_order(rest, source, return_predecessors=False)] = True
    return mask[: sure.size].reshape(sure.shape)
