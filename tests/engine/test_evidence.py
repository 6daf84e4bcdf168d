"""Three levels of evidence, found by comparing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_rwkvseg.engine.evidence import (
    CHANGED,
    REVIEWED,
    UNSEEN,
    EvidenceCount,
    count_levels,
    find_levels,
)
from tests.corrected import corrected

MASKS = arrays(np.uint8, (4, 5), elements=st.integers(0, 2))


def test_what_differs_was_changed_what_was_accepted_is_reviewed_the_rest_unseen() -> None:
    predicted = np.array([[0, 0, 1, 1]])
    mask = np.array([[0, 1, 1, 0]])
    levels = find_levels(mask, predicted, [(slice(None), slice(0, 2))])
    assert levels.tolist() == [[REVIEWED, CHANGED, UNSEEN, CHANGED]]


def test_without_a_region_only_changes_are_evidence() -> None:
    predicted = np.zeros((2, 2), int)
    mask = np.array([[0, 3], [0, 0]])
    assert find_levels(mask, predicted).tolist() == [[UNSEEN, CHANGED], [UNSEEN, UNSEEN]]


def test_a_slice_of_a_stack_is_accepted_alone() -> None:
    stack = np.zeros((3, 2, 2), np.uint8)
    levels = find_levels(stack, stack, [(slice(1, 2),)])
    assert levels.max(axis=(1, 2)).tolist() == [UNSEEN, REVIEWED, UNSEEN]


@given(MASKS, MASKS)
def test_a_change_taken_back_leaves_no_trace(mask: np.ndarray, predicted: np.ndarray) -> None:
    levels = find_levels(mask, predicted)
    assert ((levels == CHANGED) == (mask != predicted)).all()
    assert find_levels(predicted, predicted).max() == UNSEEN


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        find_levels(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_levels_are_counted() -> None:
    levels = np.array([[UNSEEN, REVIEWED, CHANGED], [UNSEEN, UNSEEN, REVIEWED]], np.uint8)
    assert count_levels(levels) == EvidenceCount(changed=1, reviewed=2, unseen=3)


def test_what_was_seen_is_what_counts() -> None:
    plane = corrected()
    levels = plane.levels.copy()
    levels[0] = UNSEEN
    assert not replace(plane, levels=levels).seen[0].any()
    assert replace(plane, levels=levels).seen[1:].all()


def test_arrays_that_do_not_fit_are_refused() -> None:
    plane = corrected()
    with pytest.raises(ValueError, match="must share rows and columns"):
        replace(plane, truth=plane.truth[1:])
    with pytest.raises(ValueError, match="levels must be below 3, got 3"):
        replace(plane, levels=np.full_like(plane.levels, 3))
    with pytest.raises(ValueError, match="must be finite"):
        replace(plane, image=np.full_like(plane.image, np.nan))
