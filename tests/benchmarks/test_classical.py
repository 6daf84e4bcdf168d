"""Random forest and graph cut: they learn what is plain, and the cut is the cheapest mask."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import classical
from benchmarks.classical import SMOOTHNESS, Forest, GraphCut, cheapest_mask
from napari_rwkvseg.engine.train_options import TrainOptions
from tests.benchmarks.test_quality import squares


class Nearest:
    """Stands in for scikit-learn's forest: the class whose mean is nearer."""

    def __init__(self, *_: Any, **options: Any) -> None:
        self.options = options

    def fit(self, values: NDArray[np.float32], truths: NDArray[np.int64]) -> None:
        self.classes_ = np.unique(truths)
        self.means = [values[truths == k].mean(axis=0) for k in self.classes_]

    def predict_proba(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        near = [1 / (1e-6 + ((values - mean) ** 2).sum(axis=1)) for mean in self.means]
        shares: NDArray[np.float64] = (np.array(near) / np.sum(near, axis=0)).T
        return shares


@pytest.fixture(autouse=True)
def _no_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = SimpleNamespace(RandomForestClassifier=Nearest)
    monkeypatch.setattr(
        classical, "import_module", lambda name: {"sklearn.ensemble": ensemble}[name]
    )


@pytest.mark.parametrize("method", [Forest, GraphCut])
def test_bright_squares_are_found(method: type[Forest]) -> None:
    learner = method()
    learner.learn([squares(seed) for seed in range(4)], TrainOptions(seed=3))
    assert learner._trees.options["random_state"] == 3
    sample = squares(9)
    found = learner.segment(np.asarray(sample.image, np.float32))
    both = np.count_nonzero(found & (sample.truth > 0))
    assert 2 * both / (found.sum() + sample.truth.sum()) > 0.9


def test_without_foreground_nothing_is_found() -> None:
    blank = squares(0)
    blank.truth[:] = 0
    learner = Forest()
    learner.learn([blank], TrainOptions())
    assert not learner.segment(np.asarray(blank.image, np.float32)).any()


def energy(mask: NDArray[np.bool_], p: NDArray[np.float64], grey: NDArray[np.float64]) -> float:
    """The cost of a mask as the paper writes it."""
    cost = -np.log(np.where(mask, p, 1 - p)).sum()
    spread = 2 * np.mean(np.diff(grey, axis=0) ** 2) + 2 * np.mean(np.diff(grey, axis=1) ** 2)
    for axis in (0, 1):
        border = np.diff(mask.astype(int), axis=axis) != 0
        cost += (SMOOTHNESS * np.exp(-(np.diff(grey, axis=axis) ** 2) / spread))[border].sum()
    return float(cost)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_mask_is_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, grey = rng.uniform(0.02, 0.98, (3, 3)), rng.uniform(0, 1, (3, 3))
    masks = [np.array(bits, bool).reshape(3, 3) for bits in product((0, 1), repeat=9)]
    cheapest = min(energy(mask, p, grey) for mask in masks)
    assert energy(cheapest_mask(p, grey), p, grey) == pytest.approx(cheapest, abs=0.1)


def test_lone_pixels_are_smoothed_away_in_flat_places() -> None:
    p = np.full((9, 9), 0.1)
    p[4, 4] = 0.8
    assert not cheapest_mask(p, np.zeros((9, 9))).any()
