"""Dice and IoU: conventions, ranges, and what a set of images amounts to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from napari_rwkvseg.engine.metrics import (
    ImageScore,
    Overlap,
    Summary,
    dice,
    evaluate,
    iou,
    overlap,
    score_image,
    summarise,
)


def mask(*rows: str) -> NDArray[np.uint8]:
    """Build a mask from digits: ``mask("011", "020")``."""
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


HALF = mask("1100", "1100")  # 4 pixels
SHIFTED = mask("0110", "0110")  # 4 pixels, 2 shared


def one_score(value: float, name: str = "a") -> ImageScore:
    both = Overlap(value, value / 2)
    return ImageScore(name, both, (both,))


class TestOverlap:
    def test_half_shared_masks_have_a_dice_of_a_half_and_an_iou_of_a_third(self) -> None:
        assert dice(HALF, SHIFTED) == 0.5
        assert iou(HALF, SHIFTED) == pytest.approx(1 / 3)

    def test_two_empty_masks_agree(self) -> None:
        empty = np.zeros((2, 3), bool)
        assert (dice(empty, empty), iou(empty, empty)) == (1.0, 1.0)

    def test_something_against_nothing_is_zero(self) -> None:
        nothing = np.zeros_like(HALF)
        assert dice(HALF, nothing) == dice(nothing, HALF) == iou(HALF, nothing) == 0.0

    def test_any_label_counts_as_inside(self) -> None:
        assert dice(HALF * 7, HALF) == 1.0

    def test_other_shapes_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"one shape, got \(2, 4\) and \(2, 3\)"):
            dice(HALF, HALF[:, :3])

    @given(st.data())
    def test_dice_and_iou_are_symmetric_bounded_and_tied_to_each_other(
        self, data: st.DataObject
    ) -> None:
        shape = data.draw(array_shapes(max_dims=3, max_side=5))
        first, second = (data.draw(arrays(bool, shape)) for _ in range(2))
        found = overlap(first, second)
        assert found == overlap(second, first)
        assert 0 <= found.iou <= found.dice <= 1
        assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou))


class TestScoreOfAnImage:
    def test_instances_of_a_single_class_count_as_foreground(self) -> None:
        truth = mask("1203", "1203")
        score = score_image("a", (truth > 0).astype(np.uint8), truth, n_classes=1)
        assert score == ImageScore("a", Overlap(1.0, 1.0), (Overlap(1.0, 1.0),))

    def test_swapped_classes_agree_in_the_foreground_only(self) -> None:
        truth = mask("1122")
        score = score_image("a", mask("2211"), truth, n_classes=2)
        assert score.foreground == Overlap(1.0, 1.0)
        assert score.classes == (Overlap(0.0, 0.0), Overlap(0.0, 0.0))

    def test_each_class_is_compared_with_itself(self) -> None:
        score = score_image("a", mask("1120"), mask("1222"), n_classes=2)
        assert [c.dice for c in score.classes] == [pytest.approx(2 / 3), 0.5]
        assert score.foreground.dice == pytest.approx(6 / 7)

    def test_a_class_that_neither_mask_holds_counts_as_found(self) -> None:
        assert score_image("a", mask("10"), mask("10"), n_classes=2).classes[1].dice == 1.0

    def test_a_class_the_model_does_not_know_is_refused(self) -> None:
        with pytest.raises(ValueError, match="truth of a holds class 3 of 2"):
            score_image("a", mask("12"), mask("13"), n_classes=2)


class TestSummary:
    def test_means_are_over_images_and_deviations_those_of_a_sample(self) -> None:
        found = summarise([Overlap(0.5, 0.2), Overlap(0.7, 0.6), Overlap(0.9, 0.7)])
        assert found.n == 3
        assert found.dice_mean == pytest.approx(0.7)
        assert found.dice_sd == pytest.approx(0.2)
        assert found.iou_mean == pytest.approx(0.5)
        assert found.iou_sd == pytest.approx(0.07**0.5)

    def test_a_single_image_has_no_deviation(self) -> None:
        assert summarise([Overlap(0.5, 0.25)]) == Summary(1, 0.5, 0.0, 0.25, 0.0)

    def test_an_evaluation_holds_foreground_classes_and_images(self) -> None:
        images = [
            ImageScore("a", Overlap(1.0, 1.0), (Overlap(0.5, 0.25), Overlap(1.0, 1.0))),
            ImageScore("b", Overlap(0.0, 0.0), (Overlap(0.5, 0.25), Overlap(0.0, 0.0))),
        ]
        found = evaluate(images)
        assert found.foreground.dice_mean == 0.5
        assert [c.dice_mean for c in found.classes] == [0.5, 0.5]
        assert [c.dice_sd for c in found.classes] == [0.0, pytest.approx(0.5**0.5)]
        assert [image.name for image in found.images] == ["a", "b"]

    def test_every_image_weighs_the_same(self) -> None:
        assert evaluate([one_score(1.0), one_score(1.0), one_score(0.4)]).foreground == Summary(
            3,
            pytest.approx(0.8),
            pytest.approx(0.12**0.5),
            pytest.approx(0.4),
            pytest.approx(0.03**0.5),
        )

    def test_no_image_at_all_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no image"):
            evaluate([])
