"""Labels from probabilities: threshold, classes, holes, smallest object, frames and stacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from napari_rwkvseg.engine.objects import MaskOptions, enclosed, likeliest, make_mask
from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from tests.fakes import fake_model

OBJECTS = MaskOptions(separate=True)


def picture(*rows: str) -> NDArray[np.float16]:
    """Build the probability (1, H, W) of one class from digits: tenths."""
    return np.array([[[int(digit) / 10 for digit in row] for row in rows]], np.float16)


def labels_of(*rows: str) -> list[list[int]]:
    return [[int(digit) for digit in row] for row in rows]


RING = picture("00000", "09990", "09090", "09990", "00000")


class TestThreshold:
    def test_it_belongs_to_the_foreground(self) -> None:
        found = make_mask(picture("045", "569"), MaskOptions(threshold=0.5))
        assert found.dtype == np.uint8
        assert found.tolist() == labels_of("001", "111")

    def test_it_means_the_sum_over_the_classes(self) -> None:
        both = np.array([[[0.3, 0.2]], [[0.25, 0.25]]], np.float16)  # (2, 1, 2)
        assert make_mask(both, MaskOptions(threshold=0.5)).tolist() == [[1, 0]]
        assert make_mask(both, MaskOptions(threshold=0.45)).tolist() == [[1, 2]]

    def test_zero_takes_everything(self) -> None:
        assert make_mask(picture("00"), MaskOptions(threshold=0)).tolist() == [[1, 1]]

    @given(arrays(np.float16, (2, 3, 4), elements=st.floats(0, 0.5, width=16)))
    def test_a_higher_one_never_adds_a_pixel(self, both: NDArray[np.float16]) -> None:
        low, high = likeliest(both, 0.3), likeliest(both, 0.6)
        assert np.all((high == low) | (high == 0))

    def test_the_first_255_classes_have_a_label(self) -> None:
        many = np.zeros((255, 1, 2), np.float16)
        many[254] = 1
        assert make_mask(many, MaskOptions()).tolist() == [[255, 255]]


class TestHoles:
    def test_they_stay_unless_asked_for(self) -> None:
        assert make_mask(RING, MaskOptions())[2, 2] == 0
        assert make_mask(RING, MaskOptions(fill_holes=True))[2, 2] == 1

    def test_background_at_the_border_is_no_hole(self) -> None:
        filled = make_mask(RING[:, 1:4, 1:4][:, :, :2], MaskOptions(fill_holes=True))
        assert filled.tolist() == labels_of("11", "10", "11")

    def test_they_are_those_of_each_slice(self) -> None:
        stack = np.stack([RING, RING], axis=1)  # (1, 2, 5, 5)
        stack[:, 1, 2, 1] = 0
        filled = make_mask(stack, MaskOptions(fill_holes=True), stacked=True)
        assert filled[:, 2, 2].tolist() == [1, 0]

    def test_they_take_the_class_around_them(self) -> None:
        classes = np.zeros((2, 5, 8), np.float16)
        classes[0, :, 7] = 1
        classes[1, :, :5] = RING
        assert make_mask(classes, MaskOptions(fill_holes=True))[2, 2] == 2

    @given(arrays(bool, (6, 7)))
    def test_they_are_those_of_scipy(self, mask: NDArray[np.bool_]) -> None:
        expected = ndimage.binary_fill_holes(mask) & ~mask
        assert np.array_equal(enclosed(mask), expected)

    def test_objects_are_filled_too(self) -> None:
        filled = make_mask(RING, MaskOptions(separate=True, fill_holes=True))
        assert filled[2, 2] == 1


class TestSmallestObject:
    TWO = picture("990000", "990009", "000000")

    def test_smaller_parts_vanish_equal_ones_stay(self) -> None:
        def size(min_size: int) -> int:
            return int(make_mask(self.TWO, MaskOptions(min_size=min_size)).sum())

        assert [size(n) for n in (0, 1, 2, 4, 5)] == [5, 5, 4, 4, 0]

    def test_it_is_measured_per_class(self) -> None:
        classes = np.zeros((2, 1, 5), np.float16)
        classes[0, 0, :3] = 1
        classes[1, 0, 3:] = 1
        assert make_mask(classes, MaskOptions(min_size=3)).tolist() == [[1, 1, 1, 0, 0]]

    def test_in_a_stack_slices_count_together(self) -> None:
        column = np.zeros((1, 3, 4, 4), np.float16)
        column[:, :, 1, 1] = 1
        assert make_mask(column, MaskOptions(min_size=3), stacked=True).sum() == 3
        assert make_mask(column, MaskOptions(min_size=3), stacked=False).sum() == 0

    @pytest.mark.parametrize(("chosen", "expected"), [(None, 7), (0, 0), (3, 3)])
    def test_the_model_proposes_it_and_people_may_choose_another(
        self, chosen: int | None, expected: int
    ) -> None:
        options = MaskOptions(threshold=0.3, min_size=chosen, peak=0.5)
        resolved = options.for_model(replace(fake_model().card, min_size=7, peak=0.9))
        assert resolved == MaskOptions(threshold=0.3, min_size=expected, peak=0.5)
        assert make_mask(self.TWO, options).sum() == (4 if chosen else 5)

    def test_it_holds_for_separate_objects(self) -> None:
        found = make_mask(self.TWO, MaskOptions(separate=True, min_size=2))
        assert found.tolist() == labels_of("110000", "110000", "000000")


class TestPeak:
    TWO = picture("860000", "660005", "000000")

    def test_what_nowhere_reaches_it_vanishes(self) -> None:
        def size(**options: float) -> int:
            return int(make_mask(self.TWO, MaskOptions(**options)).sum())

        assert [size(peak=p) for p in (0, 0.5, 0.7, 0.85)] == [5, 5, 4, 0]
        # the border and the peak move together: at a quarter of the odds a quarter is enough
        assert size(threshold=0.2, peak=0.85) == 4
        assert size(threshold=0.2, peak=0.5) == 5

    def test_the_model_says_how_high_it_is_unless_people_want_all(self) -> None:
        card = replace(fake_model().card, peak=0.9)
        assert MaskOptions().for_model(card).peak == 0.9
        assert MaskOptions(peak=0).for_model(card).peak == 0

    @pytest.mark.parametrize("peak", [-0.1, 1.1])
    def test_it_is_a_probability(self, peak: float) -> None:
        with pytest.raises(ValueError, match="peak must be 0 to 1"):
            MaskOptions(peak=peak)


class TestObjects:
    def test_apart_ones_are_numbered_in_reading_order_as_int32(self) -> None:
        found = make_mask(picture("90009", "00000", "00900"), OBJECTS)
        assert found.dtype == np.int32
        assert found.tolist() == labels_of("10002", "00000", "00300")

    def test_touching_ones_of_two_classes_stay_apart(self) -> None:
        classes = np.zeros((2, 4, 8), np.float16)
        classes[0, :, :4] = 0.9
        classes[1, :, 4:] = 0.9
        found = make_mask(classes, OBJECTS)
        assert found[:, :4].tolist() == [[1] * 4] * 4
        assert found[:, 4:].tolist() == [[2] * 4] * 4

    def test_each_frame_has_its_own(self) -> None:
        frames = np.concatenate(
            [picture("9009"), picture("9000"), picture("0000"), picture("9000")]
        )
        found = make_mask(frames[np.newaxis], OBJECTS)
        assert found.tolist() == [
            labels_of("1002"),
            labels_of("3000"),
            [[0] * 4],
            labels_of("4000"),
        ]

    def test_in_a_stack_they_continue_from_slice_to_slice(self) -> None:
        slices = np.concatenate([picture("9009"), picture("9000"), picture("9000")])
        found = make_mask(slices[np.newaxis], OBJECTS, stacked=True)
        assert found.tolist() == [labels_of("1002"), labels_of("1000"), labels_of("1000")]

    def test_stacks_of_several_frames_stand_alone(self) -> None:
        frames = np.broadcast_to(picture("9000"), (2, 3, 1, 4))[np.newaxis]  # (1, T, Z, H, W)
        found = make_mask(frames, OBJECTS, stacked=True)
        assert found[0].max() == found[0].min(initial=1, where=found[0] > 0) == 1
        assert set(np.unique(found[1])) == {0, 2}


class TestErrors:
    def test_a_cancelled_token_stops(self) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            make_mask(RING, MaskOptions(), token=token)

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
    def test_thresholds_lie_between_0_and_1(self, threshold: float) -> None:
        with pytest.raises(ValueError, match="threshold must be 0 to 1"):
            MaskOptions(threshold=threshold)

    @pytest.mark.parametrize("name", ["min_size", "seed_distance"])
    def test_sizes_are_not_negative(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
            MaskOptions(**{name: -1})  # type: ignore[arg-type]

    @pytest.mark.parametrize("shape", [(3, 4), (0, 3, 4), (256, 3, 4)])
    def test_the_class_axis_is_needed(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="needs shape"):
            make_mask(np.zeros(shape, np.float16), MaskOptions())

    def test_a_stack_needs_slices(self) -> None:
        with pytest.raises(ValueError, match="needs shape"):
            make_mask(RING, MaskOptions(), stacked=True)

    def test_spacing_fits_the_axes(self) -> None:
        with pytest.raises(ValueError, match="spacing needs 2 steps, got 3"):
            make_mask(RING, MaskOptions(), spacing=(1, 1, 1))
