"""Finds that are doubted: how small and how unsure is learnt, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.doubt import (
    SUREST,
    SUREST_OF_PARTS,
    Limits,
    least_peak,
    least_size,
)
from napari_rwkvseg.engine.evidence import REVIEWED, UNSEEN, Evidence

HALF = 2.0**-11  # between neighbours in half precision, from 0.5 to 1


def plane(truth: np.ndarray, seen: np.ndarray | None = None) -> Evidence:
    known = np.ones(truth.shape, bool) if seen is None else seen
    levels = np.where(known, REVIEWED, UNSEEN).astype(np.uint8)
    return Evidence("image", 0, np.zeros((*truth.shape, 1), np.float32), truth, levels)


def squares(*sides: int, height: int = 40) -> np.ndarray:
    """Squares in a row, each four pixels from the next and from the border."""
    truth = np.zeros((height, 4 + sum(sides) + 4 * len(sides)), np.uint8)
    left = 4
    for side in sides:
        truth[4 : 4 + side, left : left + side] = 1
        left += side + 4
    return truth


@pytest.mark.parametrize(("count", "least"), [(1, 6), (2, 12), (3, 15), (10, 21), (200, 24)])
def test_a_quarter_of_the_smallest_object_is_the_least_and_less_of_few(
    count: int, least: int
) -> None:
    assert least_size([plane(squares(10))] * count) == least


def test_the_smallest_object_of_all_planes_counts() -> None:
    assert least_size([plane(squares(20, 8, 12))]) == int(64 * 0.25 ** (4 / 3))
    assert least_size([plane(squares(20)), plane(squares(12))]) == 18


def test_classes_are_objects_of_their_own() -> None:
    truth = squares(20)
    truth[4:24, 4:14] = 2
    assert least_size([plane(truth)]) == 25


def test_a_stray_dab_among_many_objects_does_not_count() -> None:
    assert least_size([plane(squares(*[12] * 20, 1))]) == 33
    assert least_size([plane(squares(12, 1))]) == 0


@pytest.mark.parametrize("cut", ["border", "unknown"])
def test_objects_that_are_not_seen_whole_do_not_count(cut: str) -> None:
    truth, seen = squares(20, 8), np.ones((40, 40), bool)
    if cut == "border":
        truth, seen = truth[:, :34], seen[:, :34]
    else:
        seen[4:12, 34:] = False
    assert least_size([plane(truth, seen)]) == 25


def test_where_nothing_is_seen_whole_nothing_is_left_out() -> None:
    assert least_size([]) == 0
    assert least_size([plane(np.zeros((8, 8), np.uint8))]) == 0
    assert least_size([plane(np.ones((8, 8), np.uint8))]) == 0
    assert least_size([plane(squares(8), np.zeros((40, 16), bool))]) == 0


def left_of(mask: np.ndarray, limits: Limits, sure: np.ndarray | None = None) -> int:
    """How many pixels of a mask are not doubted; without probabilities all are certain."""
    probability = mask.astype(np.float16) if sure is None else sure
    return int((mask & ~limits.doubted(mask, probability)).sum())


@given(st.integers(0, 80))
def test_parts_below_the_size_are_doubted_and_no_others(size: int) -> None:
    left = left_of(squares(8, 4, 2) > 0, Limits(min_size=size))
    assert left == sum(area for area in (64, 16, 4) if area >= size)


@given(st.floats(0, 1))
def test_parts_that_nowhere_reach_the_peak_are_doubted_and_no_others(peak: float) -> None:
    mask = squares(8, 4, 2) > 0
    sure = np.where(mask, 0.5, 0.0)
    sure[6, 6], sure[5, 17] = 0.75, 0.625
    left = left_of(mask, Limits(peak=peak), sure)
    assert left == sum(a for a, p in ((64, 0.75), (16, 0.625), (4, 0.5)) if p >= peak)


def test_parts_at_the_border_of_a_cut_plane_may_be_larger_and_surer() -> None:
    mask = squares(8, 4)[:, :18] > 0
    for limits in (Limits(min_size=100), Limits(peak=0.9)):
        sure = mask * 0.6
        assert limits.doubted(mask, sure).sum() == 64 + 8
        assert limits.doubted(mask, sure, cut=True).sum() == 64
        assert not limits.doubted(mask[:, 16:], sure[:, 16:], cut=True).any()


def test_parts_of_a_stack_are_counted_in_voxels() -> None:
    stack = np.stack([squares(4) > 0] * 3)
    assert left_of(stack, Limits(min_size=48)) == 48
    assert left_of(stack, Limits(min_size=49)) == 0


def test_the_peak_moves_with_the_border() -> None:
    limits = Limits(7, 0.9)
    assert limits.at(0.5).peak == pytest.approx(0.9)
    assert limits.at(0.1).peak == pytest.approx(0.5)
    assert limits.at(0.9).peak == pytest.approx(81 / 82)
    assert limits.at(0.1).min_size == 7
    assert limits.at(0) == limits.at(1) == limits
    assert Limits(7).at(0.3) == Limits(7)


def test_the_peak_is_that_of_the_object_of_which_it_is_least_sure() -> None:
    truth = squares(*[4] * 10)
    sure = np.stack([truth * np.linspace(0.6, 0.9, truth.shape[1])])
    assert least_peak([(plane(truth), sure)]) == pytest.approx(sure[0, 4, 7], abs=HALF)
    assert least_peak([(plane(truth[:, 40:]), sure[..., 40:]), (plane(truth), sure)]) == (
        pytest.approx(sure[0, 4, 7], abs=HALF)
    )


def test_no_more_than_the_surest_is_asked_for_and_nothing_without_objects() -> None:
    truth = squares(8)
    assert least_peak([(plane(truth), truth[None] * 1.0)]) == pytest.approx(SUREST, abs=HALF)
    assert least_peak([]) == 0
    assert least_peak([(plane(truth, np.zeros_like(truth, bool)), truth[None] * 1.0)]) == 0


@given(st.floats(0, 1, width=32))
def test_an_object_is_as_sure_in_half_precision_as_the_peak_asks_for(probability: float) -> None:
    truth = squares(8)
    sure = np.float32(probability) * truth[None]
    peak = least_peak([(plane(truth), sure)])
    assert np.float16(probability) >= peak
    assert probability >= peak
    assert min(SUREST, probability) - HALF <= peak <= SUREST


def test_a_sliver_does_not_make_it_low() -> None:
    truth = squares(20, 2)
    sure = np.where(np.arange(truth.shape[1]) < 26, 0.9, 0.6) * truth
    assert least_peak([(plane(truth), sure[None])]) == pytest.approx(0.9, abs=HALF)


def test_parts_of_cut_objects_do_not_make_it_low_where_there_are_whole_ones() -> None:
    truth = np.zeros((16, 32), np.uint8)
    truth[4:12, 4:12] = truth[4:12, 24:] = 1
    sure = (truth * np.where(np.arange(32) < 16, 0.9, 0.3))[None]
    assert least_peak([(plane(truth), sure)]) == pytest.approx(0.9, abs=HALF)
    assert least_peak([(plane(truth[:, 16:]), sure[..., 16:])]) == pytest.approx(0.3, abs=HALF)
    unseen = np.broadcast_to(np.arange(32)[None] >= 8, truth.shape)
    assert least_peak([(plane(truth, unseen), sure)]) == pytest.approx(0.3, abs=HALF)


def test_of_cut_objects_the_piece_counts_that_shows_them_best() -> None:
    truth = np.zeros((16, 32), np.uint8)
    truth[4:12, 12:20] = 1
    sure = (truth * np.where(np.arange(32) < 16, 0.8, 0.3))[None]
    halves = [(plane(truth[:, cut]), sure[..., cut]) for cut in (slice(16), slice(16, 32))]
    assert least_peak(halves) == pytest.approx(0.8, abs=HALF)
    other = replace(halves[1][0], image_id="other")
    assert least_peak([halves[0], (other, halves[1][1])]) == pytest.approx(0.3, abs=HALF)


def test_less_is_asked_for_where_no_object_is_whole_in_any_image() -> None:
    truth = squares(8)
    lattice = np.zeros_like(truth)
    lattice[:, 7] = 1
    sure = [(plane(one), one[None] * 1.0) for one in (truth, lattice)]
    assert least_peak(sure[1:]) == pytest.approx(SUREST_OF_PARTS, abs=HALF)
    dab = lattice.copy()
    dab[2, 2] = 1  # whole, but a sliver beside what most of the foreground is
    assert least_peak([(plane(dab), dab[None] * 1.0)]) == pytest.approx(SUREST_OF_PARTS, abs=HALF)
    other = replace(sure[1][0], image_id="other")
    assert least_peak([sure[0], (other, sure[1][1])]) == pytest.approx(SUREST, abs=HALF)


def test_each_class_has_its_own_probabilities() -> None:
    truth = squares(8, 8)
    truth[:, 16:] *= 2
    found = np.stack([(truth == 1) * 0.7, (truth == 2) * 0.6])
    assert least_peak([(plane(truth), found)]) == pytest.approx(0.6, abs=HALF)
