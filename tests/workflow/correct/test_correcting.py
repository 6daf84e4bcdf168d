"""Evidence in the window: what is counted, accepted, taken back, reset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.workflow import masks
from napari_rwkvseg.workflow.choices import Region, Tone
from napari_rwkvseg.workflow.correct import BACKGROUND, Part
from napari_rwkvseg.workflow.correct.material import divided, find
from napari_rwkvseg.workflow.jobs import unpredicted
from tests.corrected import discs, model
from tests.workflow.correct.bench import CorrectBench


def stack() -> np.ndarray:
    return np.stack([discs(seed)[0] for seed in (0, 1, 2)])


def test_without_an_image_or_a_mask_the_tab_says_what_to_do(it: CorrectBench) -> None:
    assert it.state.hint == "Open an image first, and segment it."
    it.viewer.add_image(discs()[0], name="discs")
    assert it.state.hint.startswith("Segment the image first")
    it.segment()
    assert (it.state.hint, it.state.subject) == ("", "discs · mask")


def test_changes_are_found_by_comparison_whatever_made_them(it: CorrectBench) -> None:
    mask = it.open(discs()[0])
    it.paint(it.spots(2), 1)
    assert it.state.count == EvidenceCount(2, 0, 64 * 64 - 2)
    mask.undo()
    assert it.state.count.changed == 0
    mask.data[5, 5] = 1 - mask.data[5, 5]  # in place: no event, found with the next one
    mask.refresh()
    it.paint(it.spots(1), 1)
    assert it.state.count.changed == 2


def test_accepting_nothing_painted_is_evidence_too(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.correcting.accept(Part.SLICE)
    assert it.state.count == EvidenceCount(0, 64 * 64, 0)
    assert (it.state.accepted, it.state.images) == (1, 1)
    assert it.text == "Accepted: rows 0–63, columns 0–63, 4,096 px."
    it.correcting.take_back()
    assert it.state.count == EvidenceCount(0, 0, 64 * 64)
    assert (it.state.accepted, it.state.images) == (0, 0)
    it.correcting.take_back()
    assert it.text == "Nothing of this mask is accepted."


def test_accepting_twice_counts_once(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.correcting.accept()
    it.correcting.accept()
    assert it.state.accepted == 1


def test_a_slice_is_the_one_in_sight_and_visible_is_what_the_canvas_shows(
    it: CorrectBench,
) -> None:
    it.open(stack(), axis_labels=("z", "y", "x"))
    it.viewer.dims.set_current_step(0, 1)
    it.correcting.accept(Part.SLICE)
    assert it.text == "Accepted: slice 1, 4,096 px."
    it.viewer.layers["discs"].corner_pixels = np.array([[2, 8, 16], [2, 15, 31]])
    it.viewer.dims.set_current_step(0, 2)
    it.correcting.accept(Part.VISIBLE)
    assert it.text == "Accepted: slice 2, rows 8–15, columns 16–31, 128 px."
    assert it.state.count.reviewed == 4096 + 128
    it.correcting.accept(Part.IMAGE)
    assert it.text == "Accepted: all slices, 12,288 px."
    assert it.state.count.unseen == 0
    assert not it.state.flat


@pytest.mark.parametrize(("order", "ndisplay"), [((2, 0, 1), 2), ((0, 1, 2), 3)])
def test_a_slice_that_is_not_in_sight_cannot_be_accepted(
    it: CorrectBench, order: tuple[int, ...], ndisplay: int
) -> None:
    it.open(stack(), axis_labels=("z", "y", "x"))
    it.viewer.dims.order, it.viewer.dims.ndisplay = order, ndisplay
    for part in (Part.SLICE, Part.VISIBLE):
        it.correcting.accept(part)
        assert it.text.startswith("The canvas does not show rows and columns of one slice")
    assert (it.state.accepted, it.state.count.reviewed) == (0, 0)
    it.correcting.accept(Part.IMAGE)
    assert it.state.count.unseen == 0


def test_accepting_without_a_mask_says_what_is_missing(it: CorrectBench) -> None:
    it.correcting.accept()
    assert it.workflow.state.message.tone is Tone.ERROR
    assert "Open an image" in it.text


def test_a_channel_axis_in_the_middle_does_not_confuse_slices(it: CorrectBench) -> None:
    image = np.stack([stack(), stack()], axis=1)  # z, c, y, x
    it.viewer.add_image(image, name="discs", axis_labels=("z", "c", "y", "x"))
    mask = it.segment()
    assert mask.data.shape == (3, 1, 64, 64)
    it.viewer.dims.set_current_step(0, 1)
    it.correcting.accept()
    it.paint(tuple(axis[-1:] for axis in np.nonzero(mask.data == 0)), 1)
    assert it.state.count == EvidenceCount(1, 4096, 2 * 4096 - 1)
    it.correcting.reset()
    assert it.state.count.changed == 0


def test_reset_goes_back_and_undo_brings_strokes_and_acceptance_back(it: CorrectBench) -> None:
    mask = it.open(discs()[0])
    it.paint(it.spots(2), 1)
    it.correcting.accept()
    painted = mask.data.copy()
    it.correcting.reset()
    assert it.text == "Reset 2 px to the prediction. Ctrl-Z brings it back."
    assert it.state.count == EvidenceCount(0, 0, 4096)
    mask.undo()
    np.testing.assert_array_equal(mask.data, painted)
    assert it.state.count == EvidenceCount(2, 4094, 0)
    mask.redo()
    assert it.state.count == EvidenceCount(0, 0, 4096)
    it.correcting.reset()
    assert it.text == "The mask is as the model wrote it."


def test_reset_where_nothing_was_painted_leaves_what_was_accepted(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.correcting.accept()
    it.correcting.reset()
    assert it.text.startswith("The mask is as the model wrote it. What was accepted stays so")
    assert it.state.count.reviewed == 4096


def test_too_many_changes_to_undo_are_reset_in_a_new_layer(
    it: CorrectBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "UNDOABLE_LIMIT", 1)
    mask = it.open(discs()[0])
    before = mask.data.copy()
    it.paint(it.spots(2), 1)
    painted = mask.data.copy()
    it.correcting.reset()
    assert "new layer" in it.text
    np.testing.assert_array_equal(mask.data, painted)
    assert not mask.visible
    np.testing.assert_array_equal(it.mask.data, before)
    assert it.state.count.changed == 0


def test_segmenting_again_does_not_write_over_what_was_accepted(it: CorrectBench) -> None:
    mask = it.open(discs()[0])
    it.correcting.accept()
    before = mask.data.copy()
    it.library.install(model(border=0.2))
    it.workflow.reload_models()
    fresh = it.segment()
    assert fresh is not mask
    np.testing.assert_array_equal(mask.data, before)
    assert it.state.images == 1  # the accepted mask goes on to count
    it.viewer.layers.selection.active = mask
    assert it.state.count.reviewed == 4096


def test_the_mask_that_is_clicked_is_the_one_that_is_corrected(it: CorrectBench) -> None:
    first = it.open(discs(0)[0], "one")
    second = it.open(discs(1)[0], "two")
    assert it.mask is second
    it.viewer.layers.selection.active = first
    assert it.state.subject == "one · mask"
    first.name = "mine"
    assert it.state.subject == "mine"
    it.viewer.layers.selection.active = it.viewer.layers["two"]
    assert it.mask is second


def test_a_removed_mask_is_no_longer_corrected(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.viewer.layers.remove(it.mask)
    assert it.state.subject == ""
    it.correcting.reset()
    it.correcting.take_back()
    it.correcting.classes.paint_with(1)


def test_what_was_accepted_of_a_closed_image_still_counts(it: CorrectBench) -> None:
    it.corrected(0)
    it.viewer.layers.clear()
    assert it.state.images == 1
    it.open(discs(1)[0], "two")
    it.viewer.layers.clear()  # nothing was accepted here
    assert it.state.images == 1


@pytest.mark.parametrize(("gone", "closed"), [("old", 1), ("image", 1), ("new", 0)])
def test_accepted_evidence_outlives_a_second_mask_of_its_image(
    it: CorrectBench, gone: str, closed: int
) -> None:
    it.clock.now = 5
    old = it.corrected()
    it.workflow.set_options(replace(it.workflow.state.options, threshold=0.6))
    new = it.mask
    assert new is not old
    layers = {"old": old, "new": new, "image": it.viewer.layers["discs 0"]}
    it.viewer.layers.remove(layers[gone])
    assert it.state.images == 1
    assert len(it.correcting.subjects.closed) == closed
    assert len(it.state.seconds) == 1
    it.correcting.models.retraining.start()
    assert it.state.running
    it.viewer.layers.clear()  # whatever goes later, it is kept once
    assert (it.state.images, len(it.correcting.subjects.closed)) == (1, 1)


def test_where_the_newest_mask_goes_the_one_before_is_corrected(it: CorrectBench) -> None:
    old = it.corrected()
    it.workflow.set_options(replace(it.workflow.state.options, threshold=0.6))
    it.viewer.layers.remove(it.mask)
    assert it.mask is old
    assert it.state.count.unseen == 0


def test_an_unnamed_label_is_asked_about_until_it_has_a_name(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.paint(it.spots(1), 2)
    assert it.state.hint.startswith("Label 2 was painted on discs · mask, but it has no name")
    it.correcting.classes.add("debris")
    assert it.state.hint == ""
    assert it.state.class_names == ("disc", "debris")
    assert list(it.mask.features["class"]) == ["background", "disc", "debris"]
    assert it.mask.selected_label == 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("disc", "There are two classes named disc"), (" ", "needs a name"), ("x" * 65, "at most 64")],
)
def test_impossible_class_names_are_refused(it: CorrectBench, name: str, sentence: str) -> None:
    it.open(discs()[0])
    it.correcting.classes.add(name)
    assert sentence in it.text
    assert it.state.class_names == ("disc",)


def test_classes_cannot_be_named_where_labels_are_objects(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, model(border=0.5, objects=True))
    it.open(discs()[0])
    assert not it.state.editable
    it.correcting.classes.add("debris")
    assert "Show the mask as Classes" in it.text


def test_another_number_of_an_object_is_no_change_of_class(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, model(border=0.5, objects=True))
    mask = it.open(discs()[0])
    it.paint(mask.data == 1, 900)
    assert it.state.count.changed == 0
    it.paint(mask.data == 900, 0)
    assert it.state.count.changed > 10


def test_an_empty_mask_takes_scribbles_of_classes_and_background(it: CorrectBench) -> None:
    it.viewer.add_image(discs()[0], name="discs")
    it.correcting.start_empty()
    assert it.state.blank
    assert not it.mask.data.any()
    it.paint((np.array([1, 2, 3]), np.array([1, 1, 1])), 1)
    it.correcting.classes.paint_with(BACKGROUND)
    assert it.mask.selected_label == BACKGROUND
    it.paint((np.array([9, 9]), np.array([1, 2])), BACKGROUND)
    assert it.state.count == EvidenceCount(5, 0, 4096 - 5)
    assert it.state.before is None


def test_an_empty_mask_needs_an_image(it: CorrectBench) -> None:
    it.correcting.start_empty()
    assert "no image" in it.text
    assert len(it.viewer.layers) == 0


def test_the_score_before_correction_is_that_of_accepted_regions(it: CorrectBench) -> None:
    mask = it.open(discs()[0])
    predicted = mask.data.astype(bool)
    truth = discs()[1].astype(bool)
    it.paint_truth(discs()[1])
    assert it.state.before is None
    it.correcting.accept(Part.IMAGE)
    assert it.state.before is not None
    wanted = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    assert it.state.before.dice == pytest.approx(wanted)
    assert it.state.before.images == 1


def test_of_a_restored_mask_only_what_is_accepted_counts(it: CorrectBench) -> None:
    image, truth = discs()
    layer = it.viewer.add_image(image, name="discs")
    card = it.library.card("small")
    read = interpret(image, name="discs", axes="yx")
    outcome = unpredicted(truth, card, it.workflow.state.options)
    it.workflow.results.restore(layer, read, read, outcome, (), lambda link: None)
    assert it.state.images == 0
    it.correcting.accept(Part.IMAGE)
    assert (it.state.images, it.state.count.changed) == (1, 0)
    assert it.state.count.reviewed == truth.size
    assert it.state.before is None  # what the model had found is not known


def test_time_is_counted_between_actions_and_pauses_are_not(it: CorrectBench) -> None:
    it.open(discs()[0])
    for now in (10, 25, 125):  # 100 s without any action
        it.clock.now = now
        it.paint(it.spots(1), 1)
    it.clock.now = 130
    it.correcting.accept()
    assert it.state.seconds == (30.0,)
    assert "this took 30 s per image" in it.correcting.methods_text()
    assert "biased" in it.correcting.methods_text()


def test_changes_are_shown_as_a_layer_that_is_nobodys_choice(it: CorrectBench) -> None:
    it.open(discs()[0])
    selected = set(it.viewer.layers.selection)
    it.correcting.accept()
    spot = it.spots(1)
    it.paint(spot, 1)
    it.correcting.set_overlay(True)
    overlay = it.viewer.layers["Corrections"]
    assert np.argwhere(overlay.data == 2).tolist() == np.transpose(spot).tolist()
    assert np.count_nonzero(overlay.data == 1) == 4095
    assert set(it.viewer.layers.selection) == selected
    assert overlay not in it.workflow.state.images
    it.mask.undo()
    assert (overlay.data == 1).all()
    it.correcting.set_overlay(False)
    assert "Corrections" not in it.viewer.layers


def test_closing_takes_our_layers_away(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.correcting.set_overlay(True)
    it.workflow.close()
    assert [layer.name for layer in it.viewer.layers] == ["discs", "discs · mask"]
    assert not it.state.overlay


def segment_corner(it: CorrectBench) -> None:
    """Segment the upper left corner; then look at all of the image."""
    layer = it.viewer.add_image(discs()[0], name="discs")
    layer.corner_pixels = np.array([[0, 0], [31, 31]])
    it.workflow.set_region(Region.VISIBLE)
    it.segment()
    layer.corner_pixels = np.array([[0, 0], [63, 63]])


def test_where_no_model_looked_nothing_is_accepted(it: CorrectBench) -> None:
    segment_corner(it)
    it.correcting.accept(Part.IMAGE)
    assert it.text == "Accepted: the segmented part of rows 0–63, columns 0–63, 1,024 px."
    assert it.state.count.reviewed == 32 * 32
    it.viewer.layers["discs"].corner_pixels = np.array([[40, 40], [63, 63]])
    it.correcting.accept(Part.VISIBLE)
    assert it.text.startswith("No model has looked at this part.")
    assert it.state.accepted == 1


def test_parts_that_were_segmented_one_by_one_can_all_be_accepted(it: CorrectBench) -> None:
    segment_corner(it)
    it.viewer.layers["discs"].corner_pixels = np.array([[0, 32], [31, 63]])
    it.segment()
    it.viewer.layers["discs"].corner_pixels = np.array([[0, 16], [31, 47]])
    it.correcting.accept(Part.VISIBLE)
    assert it.text == "Accepted: rows 0–31, columns 16–47, 1,024 px."
    it.correcting.accept(Part.IMAGE)
    assert it.text == "Accepted: the segmented part of rows 0–63, columns 0–63, 2,048 px."
    assert it.state.count.reviewed == 2048


def two_as_one(it: CorrectBench) -> None:
    """Segment two cells that touch, and a third one."""
    image = np.full((64, 64), 0.1, np.float32)
    image[20:30, 10:50] = image[45:55, 10:20] = 0.9
    it.open(image)


def test_dividing_an_object_teaches_a_gap(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, model(border=0.5, objects=True))
    two_as_one(it)
    it.paint(tuple(np.mgrid[20:30, 30:50]), int(it.mask.data.max()) + 1)
    shown = it.mask.data.copy()
    assert it.state.count == EvidenceCount(20, 0, 4096 - 20)
    it.correcting.accept(Part.IMAGE)
    subject = it.correcting.subjects.current
    assert subject is not None
    material = subject.material()
    assert material is not None
    found = find(material)
    assert np.argwhere((found.truth == 0) & (found.predicted == 1)).tolist() == [
        [row, column] for row in range(20, 30) for column in (29, 30)
    ]
    np.testing.assert_array_equal(it.mask.data, shown)
    it.mask.undo()
    assert it.state.count.changed == 0


def test_lines_are_found_in_planes_and_only_inside_of_what_was_one_object() -> None:
    written = np.zeros((3, 6, 6), np.int32)
    written[:, 1:3, 1:5] = 1
    written[:, 3:5, 1:5] = 2  # touches the first, and is told apart
    mask = written.copy()
    mask[1, 1:3, 3:5] = 3
    mask[2, 1:3, 5:] = 3  # beyond the object: nothing of it is divided
    found = divided(mask, written)
    assert np.argwhere(found).tolist() == [[1, 1, 2], [1, 1, 3], [1, 2, 2], [1, 2, 3]]
    np.testing.assert_array_equal(divided(mask[1], written[1]), found[1])
    np.testing.assert_array_equal(divided(mask[1].T, written[1].T), found[1].T)
    assert not divided(written, written).any()
