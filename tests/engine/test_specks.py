"""Finds too small to be objects: how small is learnt, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.evidence import REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.specks import least_size, small_parts


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


def test_a_quarter_of_the_smallest_object_is_the_least() -> None:
    assert least_size([plane(squares(20, 8, 12))]) == 16
    assert least_size([plane(squares(20)), plane(squares(12))]) == 36


def test_classes_are_objects_of_their_own() -> None:
    truth = squares(20)
    truth[4:24, 4:14] = 2
    assert least_size([plane(truth)]) == 50


def test_a_stray_dab_among_many_objects_does_not_count() -> None:
    assert least_size([plane(squares(*[12] * 20, 1))]) == 36
    assert least_size([plane(squares(12, 1))]) == 0


@pytest.mark.parametrize("cut", ["border", "unknown"])
def test_objects_that_are_not_seen_whole_do_not_count(cut: str) -> None:
    truth, seen = squares(20, 8), np.ones((40, 40), bool)
    if cut == "border":
        truth, seen = truth[:, :34], seen[:, :34]
    else:
        seen[4:12, 34:] = False
    assert least_size([plane(truth, seen)]) == 100


def test_where_nothing_is_seen_whole_nothing_is_left_out() -> None:
    assert least_size([]) == 0
    assert least_size([plane(np.zeros((8, 8), np.uint8))]) == 0
    assert least_size([plane(np.ones((8, 8), np.uint8))]) == 0
    assert least_size([plane(squares(8), np.zeros((40, 16), bool))]) == 0


@given(st.integers(0, 80))
def test_parts_below_the_size_are_small_and_no_others(size: int) -> None:
    mask = squares(8, 4, 2) > 0
    left = int((mask & ~small_parts(mask, size)).sum())
    assert left == sum(area for area in (64, 16, 4) if area >= size)


def test_parts_at_the_border_of_a_cut_plane_may_be_larger() -> None:
    mask = squares(8, 4)[:, :18] > 0
    assert small_parts(mask, 100).sum() == 64 + 8
    assert small_parts(mask, 100, cut=True).sum() == 64
    assert not small_parts(mask[:, 16:], 100, cut=True).any()


def test_parts_of_a_stack_are_counted_in_voxels() -> None:
    stack = np.stack([squares(4) > 0] * 3)
    assert small_parts(stack, 48).sum() == 0
    assert small_parts(stack, 49).sum() == 48
