from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.uncertainty import background, entropy, margin


def classes(*shares: float) -> np.ndarray:
    """Return one pixel of foreground probabilities, as they are stored."""
    return np.array(shares, np.float16).reshape(len(shares), 1)


@pytest.mark.parametrize("measure", [entropy, margin])
@pytest.mark.parametrize(
    ("shares", "unsure"),
    [
        ((0,), 0),
        ((1,), 0),
        ((0.5,), 1),
        ((0, 1, 0), 0),
        ((0.25, 0.25, 0.25), 1),
        ((1 / 3, 1 / 3), 1),
    ],
)
def test_extremes(measure: object, shares: tuple[float, ...], unsure: float) -> None:
    assert callable(measure)
    assert measure(classes(*shares)).item() == pytest.approx(unsure, abs=2e-3)


def test_entropy_of_one_class() -> None:
    p = 0.125
    expected = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    assert entropy(classes(p)).item() == pytest.approx(expected, abs=1e-5)


def test_margin_is_the_lead_of_the_winner() -> None:
    assert margin(classes(0.125, 0.625)).item() == pytest.approx(1 - (0.625 - 0.25))
    assert margin(classes(0.625, 0.125)).item() == pytest.approx(1 - (0.625 - 0.25))


def test_background_is_what_is_left_and_never_negative() -> None:
    assert background(classes(0.25, 0.5)).item() == 0.25
    assert background(classes(0.75, 0.75)).item() == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_both_stay_between_0_and_1(shares: list[float]) -> None:
    stored = classes(*(np.array(shares) / max(1, sum(shares))))
    for found in (entropy(stored), margin(stored)):
        assert found.dtype == np.float32
        assert 0 <= found.item() <= 1


def test_the_shape_of_the_image_is_kept() -> None:
    probability = np.zeros((2, 3, 4, 5), np.float16)
    assert entropy(probability).shape == margin(probability).shape == (3, 4, 5)
