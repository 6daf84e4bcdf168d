from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction, PredictOptions
from tests.fakes import fake_model


def predicted(*rows: list[float]) -> Prediction:
    """Return a prediction of one line of pixels, a row of probabilities per class."""
    probability = np.array(rows, np.float16)[:, None]
    region = (slice(0, 1), slice(0, len(rows[0])))
    return Prediction(probability, region, (1, len(rows[0])), fake_model().card)


class TestClasses:
    def test_of_one_class_reach_the_threshold(self) -> None:
        found = predicted([0.0, 0.49, 0.5, 1.0]).classes(0.5)
        assert found.dtype == np.uint8
        assert found.tolist() == [[0, 0, 1, 1]]

    def test_follow_the_threshold(self) -> None:
        assert predicted([0.2, 0.6, 0.9]).classes(0.75).tolist() == [[0, 0, 1]]
        assert predicted([0.2, 0.6, 0.9]).classes(0.2).tolist() == [[1, 1, 1]]

    def test_of_several_take_the_likeliest_where_there_is_foreground(self) -> None:
        two = predicted([0.1, 0.4, 0.3, 0.9], [0.2, 0.2, 0.5, 0.0])
        assert two.classes().tolist() == [[0, 1, 2, 1]]


def test_foreground_is_the_sum_and_at_most_1() -> None:
    two = predicted([0.25, 0.75], [0.5, 0.5])
    assert two.foreground().tolist() == [[0.75, 1]]
    assert two.foreground().dtype == np.float16
    assert predicted([0.25]).foreground().tolist() == [[0.25]]


def test_uncertainty_is_largest_on_a_tie() -> None:
    assert predicted([0.0, 0.5, 1.0]).uncertainty().tolist() == [[0, 1, 0]]


def two_frames(axes: str, probability: np.ndarray, units: tuple[str, ...]) -> np.ndarray:
    """Objects of a probability with axes `axes`; slices lie 1 apart, pixels 1."""
    spacing = tuple(0.001 if unit == "mm" else 1.0 for unit in units)
    image = interpret(np.zeros(probability.shape, np.uint8), name="balls", axes=axes,
                      spacing=spacing, units=units)  # fmt: skip
    region = tuple(slice(0, side) for side in probability.shape)
    found = Prediction(
        probability[None].astype(np.float16), region, probability.shape, fake_model().card
    )
    return found.mask(image, MaskOptions(separate=True))


def balls(*middles: int) -> np.ndarray:
    """Balls of radius 4 above each other, (z, y, x)."""
    z, y, x = np.mgrid[: 12 * len(middles), :20, :20]
    return sum(
        ((z - middle) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 < 16).astype(float) for middle in middles
    )


def test_objects_continue_through_slices_wherever_their_axis_lies() -> None:
    frames = np.stack([balls(6), balls(6)])  # (t, z, y, x)
    units = ("s", "µm", "µm", "µm")
    found = two_frames("tzyx", frames, units)
    assert found.max() == 2
    swapped = two_frames("ztyx", frames.swapaxes(0, 1), ("µm", "s", "µm", "µm"))
    assert np.array_equal(swapped, found.swapaxes(0, 1))


def test_steps_in_different_units_do_not_say_how_far_apart_slices_are() -> None:
    pile = balls(6, 17, 28)
    alike = two_frames("zyx", pile, ("pixel",) * 3)
    assert alike.max() == 3
    assert np.array_equal(two_frames("zyx", pile, ("mm", "µm", "µm")), alike)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"tile": 31}, "tile must be at least 32 pixels, got 31"),
        ({"overlap": 257}, "overlap must be 0 to 256 pixels, got 257"),
        ({"overlap": -1}, "overlap must be 0 to 256 pixels, got -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PredictOptions(**wrong)


def test_what_the_window_needs_does_without_torch() -> None:
    modules = ("image", "intensity", "tiles", "uncertainty", "prediction", "source", "hints")
    imports = ", ".join(f"napari_rwkvseg.engine.{module}" for module in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("tile", "overlap"), [(512, 64), (256, 64), (128, 32), (1024, 64)])
def test_small_tiles_overlap_less(tile: int, overlap: int) -> None:
    options = PredictOptions.for_tile(tile, "cpu", 3, flips=True)
    assert options == PredictOptions(tile, overlap, device="cpu", threads=3, flips=True)
