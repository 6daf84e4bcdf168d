from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.workflow import masks
from napari_rwkvseg.workflow.masks import MaskLink

WHOLE = (slice(0, 4), slice(0, 4))
TOP = (slice(0, 2), slice(0, 4))


def filled(value: int, shape: tuple[int, ...] = (4, 4)) -> Any:
    return np.full(shape, value, np.uint8)


class Setup:
    """A link to a layer that shows all 1."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_labels(np.zeros((1, 1), np.uint8), name="mask")
        self.edits = 0
        self.link = MaskLink(self.viewer, self.layer, Geometry({}), False, self.edited)
        self.link.fill(filled(1))

    def edited(self) -> None:
        self.edits += 1


@pytest.fixture
def it() -> Setup:
    return Setup()


def test_a_placeholder_is_filled_with_the_result(it: Setup) -> None:
    assert np.array_equal(it.layer.data, filled(1))
    assert it.link.pristine


def test_nothing_can_be_read_before_it_is_filled() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((1, 1), np.uint8))
    assert MaskLink(viewer, layer, Geometry({}), False, lambda: None).current() is None


def test_a_placeholder_that_was_removed_is_not_filled() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((1, 1), np.uint8))
    link = MaskLink(viewer, layer, Geometry({}), False, lambda: None)
    viewer.layers.clear()
    assert not link.fill(filled(1))


def test_an_untouched_mask_is_replaced_without_history(it: Setup) -> None:
    assert it.link.write(filled(2), WHOLE)
    it.layer.undo()
    assert np.array_equal(it.layer.data, filled(2))
    assert it.edits == 0


def test_a_painted_mask_is_left_alone(it: Setup) -> None:
    it.layer.paint((1, 1), 3)
    before = it.layer.data.copy()
    assert not it.link.write(filled(2), WHOLE)
    assert np.array_equal(it.layer.data, before)
    assert it.edits > 0


def test_a_mask_changed_in_place_is_left_alone(it: Setup) -> None:
    it.layer.data[0, 0] = 3
    assert not it.link.write(filled(2), WHOLE)
    assert it.layer.data[0, 0] == 3


def test_a_mask_whose_array_was_exchanged_is_left_alone(it: Setup) -> None:
    it.layer.data = filled(5, (6, 6))
    assert not it.link.write(filled(2), WHOLE)
    assert it.link.current() is None


def test_a_stroke_painted_back_is_a_decision_too(it: Setup) -> None:
    for label in (3, 1):
        it.layer.data_setitem((np.array([0]), np.array([0])), label)
    assert np.array_equal(it.layer.data, filled(1))
    assert not it.link.write(filled(2), WHOLE)


def test_redo_cannot_mix_an_old_stroke_into_a_new_part(it: Setup) -> None:
    it.layer.data_setitem((np.array([3]), np.array([3])), 3)
    it.layer.undo()
    it.link.write(filled(2), TOP)
    it.layer.redo()
    assert it.layer.data.tolist() == [[2] * 4, [2] * 4, [1] * 4, [1] * 4]


def test_too_many_changes_on_top_of_a_history_need_a_new_layer(
    it: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "UNDOABLE_LIMIT", 7)
    it.layer.data_setitem((np.array([3]), np.array([3])), 3)
    before = it.layer.data.copy()
    assert not it.link.write(filled(2), TOP)
    assert np.array_equal(it.layer.data, before)


def test_masks_too_large_to_compare_are_kept_whole(
    it: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "DIFF_LIMIT", 15)
    it.layer.data_setitem((np.array([3]), np.array([3])), 3)
    assert not it.link.write(filled(2), TOP)


def test_part_of_an_edited_mask_is_written_where_nobody_painted(it: Setup) -> None:
    it.layer.data_setitem((np.array([3]), np.array([3])), 7)
    new = filled(2)
    assert it.link.write(new, TOP)
    assert it.layer.data.tolist() == [[2] * 4, [2] * 4, [1] * 4, [1, 1, 1, 7]]
    assert it.link.edited_in(WHOLE)
    it.layer.undo()
    assert it.layer.data.tolist() == [[1] * 4, [1] * 4, [1] * 4, [1, 1, 1, 7]]


def test_a_part_with_a_painted_pixel_is_left_alone(it: Setup) -> None:
    it.layer.data_setitem((np.array([1]), np.array([0])), 7)
    assert not it.link.write(filled(2), TOP)


def test_nothing_but_people_writes_into_a_mask_that_is_theirs(it: Setup) -> None:
    it.link.keep_all()
    spot = (np.array([0]), np.array([0]))
    assert it.link.refresh(spot, np.array([2])) == 0
    it.layer.data_setitem(spot, 3)
    it.link.reset()  # a person's wish: back to what is theirs as well
    assert not it.link.write(filled(2), WHOLE)
    assert it.link.edited_in(TOP)
    assert np.array_equal(it.layer.data, filled(1))


@pytest.mark.parametrize("other", [np.zeros((5, 5), np.uint8), np.zeros((4, 4), np.int32)])
def test_another_shape_or_type_needs_a_new_layer(it: Setup, other: Any) -> None:
    assert not it.link.write(other, WHOLE)


def test_undo_of_a_stroke_is_announced(it: Setup) -> None:
    it.layer.data_setitem((np.array([0]), np.array([0])), 3)
    it.edits = 0
    it.layer.undo()
    assert it.edits > 0


def test_a_removed_mask_is_found_gone(it: Setup) -> None:
    it.viewer.layers.remove(it.layer)
    assert it.link.layer is None
    assert not it.link.pristine
    assert not it.link.write(filled(2), WHOLE)


def test_a_stretched_channel_axis_is_hidden_from_callers() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros((1, 1, 1, 1), np.uint8))
    link = MaskLink(viewer, layer, Geometry({}, stretched=1), False, lambda: None)
    link.fill(filled(1, (3, 4, 4)))
    assert layer.data.shape == (3, 1, 4, 4)
    current = link.current()
    assert current is not None
    assert current.shape == (3, 4, 4)
    assert link.write(filled(2, (3, 4, 4)), (slice(1, 2), *WHOLE))
