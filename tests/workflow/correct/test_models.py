"""From corrections to a model, and back."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.library import data_folder
from napari_rwkvseg.workflow import masks
from napari_rwkvseg.workflow.correct import BACKGROUND, Part
from napari_rwkvseg.workflow.jobs import labels_of, unpredicted
from tests.corrected import LEARNING, QUICK, discs, model, unproven
from tests.workflow.correct.bench import CorrectBench


def project(name: str = "small") -> Corrections:
    return Corrections(data_folder() / "corrections" / name)


CORNER = np.zeros((64, 64), bool)
CORNER[48:, 48:] = True


def accept_most(it: CorrectBench) -> None:
    """Accept all but the lower right corner."""
    for corners in ([[0, 0], [47, 63]], [[48, 0], [63, 47]]):
        it.viewer.layers["discs"].corner_pixels = np.array(corners)
        it.correcting.accept(Part.VISIBLE)


def mostly_corrected(it: CorrectBench) -> tuple[Any, np.ndarray]:
    """Correct and accept all but the lower right corner; return the mask and the truth."""
    image, truth = discs()
    mask = it.open(image)
    wrong = (mask.data != truth) & ~CORNER
    it.paint(wrong, truth[wrong])
    accept_most(it)
    return mask, truth


def test_a_better_model_comes_into_use_and_the_rest_of_the_mask_follows(it: CorrectBench) -> None:
    mask, truth = mostly_corrected(it)
    before = mask.data.copy()
    it.retrain()
    report = it.state.report
    assert report is not None
    assert report.verdict.answer == "better"
    assert it.active() == report.sha256 != it.start.sha256
    assert it.workflow.state.card is not None
    assert it.workflow.state.card.parent == it.start.sha256
    np.testing.assert_array_equal(mask.data[~CORNER], before[~CORNER])  # never touched
    assert np.count_nonzero(mask.data != truth) < np.count_nonzero(before != truth)
    assert "Ctrl-Z brings them back" in it.text
    corrected = it.state.count.changed
    mask.undo()
    np.testing.assert_array_equal(mask.data, before)
    assert it.state.count.changed == corrected == changed(it)


def changed(it: CorrectBench) -> int:
    """Count the changes by hand."""
    subject = it.correcting.subjects.current
    assert subject is not None
    return int(np.count_nonzero(subject.layer.data != subject.link.written()))


def test_curves_hold_loss_and_dice_and_the_text_tells_the_time_left(it: CorrectBench) -> None:
    it.corrected()
    it.correcting.models.retraining.start()
    texts = []
    for _ in range(40):
        it.learning.step()
        texts.append(it.state.progress.text)
        if len(it.state.curves.loss) == 4:
            break
    assert it.state.running
    assert [step for step, _ in it.state.curves.loss] == [1, 2, 3, 4]
    assert [step for step, _ in it.state.curves.dice] == [2, 4]
    assert it.state.curves.planned == 24
    assert texts[-1].startswith("Step 4 of 24 · ")
    assert texts[-1].endswith(" left")
    assert texts[0] == "Loading the model"


def test_cancel_leaves_models_and_layers_as_they_were(it: CorrectBench) -> None:
    mask = it.corrected()
    before = mask.data.copy()
    it.correcting.models.retraining.start()
    for _ in range(8):
        it.learning.step()
    it.correcting.models.retraining.cancel()
    assert not it.state.running
    assert it.learning.token.cancelled
    assert it.text == "Stopped. The model is as it was."
    assert it.state.report is None
    assert [v.sha256 for v in it.library.versions("small")] == [it.start.sha256]
    np.testing.assert_array_equal(mask.data, before)


def step_until(it: CorrectBench, text: str) -> None:
    """Let the work go on until it says what it does."""
    for _ in range(400):
        if it.state.progress.text.startswith(text):
            return
        it.learning.step()
    raise AssertionError(it.state.progress.text)


def test_a_result_nobody_has_heard_of_yet_is_not_kept_after_cancel(it: CorrectBench) -> None:
    it.corrected()
    it.correcting.models.retraining.start()
    assert it.learning._job is not None
    for _ in it.learning._job:  # it ends in its thread; the window has not been told
        pass
    it.correcting.models.retraining.cancel()
    assert it.text == "Stopped. The model is as it was."
    assert [v.sha256 for v in it.library.versions("small")] == [it.start.sha256]


def test_a_version_that_is_being_kept_is_not_given_up(it: CorrectBench) -> None:
    it.corrected()
    it.correcting.models.retraining.start()
    step_until(it, "Keeping the version")
    it.correcting.models.retraining.cancel()
    assert it.text.startswith("It is too late to stop")
    assert it.state.running
    it.learning.finish()
    assert it.state.report is not None
    assert it.active() == it.state.report.sha256
    assert len(it.state.versions) == 2


def other_version(it: CorrectBench) -> str:
    """Add a version that finds other pixels, and list it."""
    made = it.library.install(model(border=0.5, parent=it.start.sha256), activate=False)
    it.correcting.models.versions.read()
    return made.sha256


def test_cancel_while_the_mask_follows_another_version_is_about_the_mask(it: CorrectBench) -> None:
    other = other_version(it)
    mask = it.open(discs()[0])
    before = mask.data.copy()
    it.correcting.models.activate("small", other)
    it.correcting.models.retraining.cancel()
    assert it.text == "Stopped. The mask is as it was."
    assert it.active() == other
    np.testing.assert_array_equal(mask.data, before)


@pytest.mark.parametrize("changes", [{"threshold": 0.9}, {"separate": True}])
def test_options_changed_while_the_mask_is_predicted_anew_are_followed(
    it: CorrectBench, changes: dict[str, Any]
) -> None:
    other = other_version(it)
    it.open(discs()[0])
    it.correcting.models.activate("small", other)
    it.learning.step()
    it.workflow.set_options(replace(it.workflow.state.options, **changes))
    it.learning.finish()
    run, options = it.workflow.results.run, it.workflow.state.options
    assert run is not None
    assert run.options == options
    assert run.link.objects == options.separate
    assert run.outcome.prediction.card.parent == it.start.sha256
    wanted = labels_of(run.outcome.prediction, run.image, options, None, CancelToken()).labels
    np.testing.assert_array_equal(it.mask.data, wanted)


def test_a_second_click_starts_nothing(it: CorrectBench) -> None:
    it.corrected()
    it.correcting.models.retraining.start()
    it.correcting.models.retraining.start()
    assert it.learning.started == 1


def test_nothing_to_learn_from_is_said_at_once(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.correcting.models.retraining.start()
    assert it.text.startswith("Nothing to learn from yet")
    assert not it.learning.busy


def test_too_little_evidence_is_a_sentence(it: CorrectBench) -> None:
    it.open(discs()[0])
    it.paint(it.spots(1), 1)
    it.retrain()
    assert it.text.startswith("Too few corrections")
    assert not it.state.running


def set_aside(it: CorrectBench) -> str:
    """Keep a model that is right, as an earlier retrain would have that could not prove it."""
    return it.library.install(unproven(it.start.sha256), activate=False).sha256


def test_a_model_kept_aside_that_corrections_prove_since_comes_into_use(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, tuning=lambda: QUICK)
    aside = set_aside(it)
    mostly_corrected(it)
    it.retrain()
    report = it.state.report
    assert report is not None
    assert (report.verdict.answer, report.earlier) == ("better", True)
    assert it.active() == report.sha256 == aside
    assert it.text.startswith("A model kept aside before has proven better")
    assert [version.card.parent for version in it.library.versions("small")][2] == aside
    it.correcting.models.go_back()
    assert it.active() == it.start.sha256


def test_a_model_kept_aside_whose_file_is_damaged_is_passed_over(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path)
    set_aside(it)
    damaged = it.library.versions("small")[1].path
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    mostly_corrected(it)
    it.retrain()
    assert it.state.report is not None
    assert (it.state.report.verdict.answer, it.state.report.earlier) == ("better", False)
    assert it.active() == it.state.report.sha256


def test_a_model_that_is_not_better_is_kept_aside_and_can_be_tried_and_used(
    tmp_path: Path,
) -> None:
    it = CorrectBench(tmp_path, model(border=0.5))
    mask = it.open(discs()[0])
    right = mask.data.copy()
    it.paint(np.ones((64, 64), bool), 1)
    it.paint((np.arange(64) % 3 == 0)[:, None] & np.ones((64, 64), bool), 0)
    it.correcting.accept(Part.IMAGE)
    with mock.patch("napari_rwkvseg.engine.retrain.judge", wraps=None) as judged:
        from napari_rwkvseg.engine.judge import judge

        def worse(*args: Any, **keywords: Any) -> Any:
            return replace(judge(*args, **keywords), answer="cannot tell")

        judged.side_effect = worse
        it.retrain()
    report = it.state.report
    assert report is not None
    assert it.active() == it.start.sha256
    assert "kept aside" in it.text
    assert it.state.difference is not None
    corrected = mask.data.copy()
    it.correcting.models.try_it()
    it.learning.finish()
    assert it.viewer.layers[-1].name == "discs · mask (tried)"
    assert it.mask is mask
    np.testing.assert_array_equal(mask.data, corrected)
    it.correcting.models.use_anyway()
    it.learning.finish()
    assert it.active() == report.sha256
    np.testing.assert_array_equal(mask.data, corrected)
    it.correcting.models.go_back()
    it.learning.finish()
    assert it.active() == it.start.sha256
    it.correcting.reset()
    np.testing.assert_array_equal(mask.data, right)


def test_going_back_is_bit_for_bit_and_the_mask_follows(it: CorrectBench) -> None:
    before = it.library.path("small").read_bytes()
    mask, _ = mostly_corrected(it)
    corrected = mask.data.copy()
    it.retrain()
    assert it.library.path("small").read_bytes() != before
    it.correcting.models.go_back()
    it.learning.finish()
    assert it.library.path("small").read_bytes() == before
    np.testing.assert_array_equal(mask.data, corrected)
    assert [version.active for version in it.state.versions] == [False, True]
    it.workflow.segment()  # the old model, not one kept in memory
    it.segmenting.finish()
    assert it.mask is not mask
    np.testing.assert_array_equal(it.mask.data[CORNER], corrected[CORNER])


def test_any_version_of_the_list_can_be_used(it: CorrectBench) -> None:
    it.corrected()
    it.retrain()
    latest, first = it.state.versions
    it.correcting.models.activate(first.name, first.sha256)
    it.learning.finish()
    assert it.active() == it.start.sha256
    it.correcting.models.activate(latest.name, latest.sha256)
    it.learning.finish()
    assert it.active() == latest.sha256


def test_another_programs_versions_appear_when_the_list_is_read(it: CorrectBench) -> None:
    it.library.install(model(border=0.3), activate=False)
    it.correcting.models.versions.read()
    assert len(it.state.versions) == 2


def test_what_another_window_activated_is_what_segment_uses(it: CorrectBench) -> None:
    made = it.library.install(model(border=0.3, metrics={"n": 5}))
    it.correcting.models.versions.read()
    assert it.workflow.state.card == it.library.card(made.name)
    assert it.workflow.load(made.name).card.metrics == {"n": 5}


def test_a_version_that_is_gone_is_a_sentence(it: CorrectBench) -> None:
    it.correcting.models.activate("small", "f" * 64)
    assert it.text.startswith("Model 'small' has no single version")


def test_several_images_teach_together_open_or_closed(it: CorrectBench) -> None:
    it.corrected(0, width=7)
    it.viewer.layers.clear()
    it.corrected(1, width=7)
    assert it.state.images == 2
    it.retrain()
    assert len(project().images()) == 2
    assert it.state.images == 1
    report = it.state.report
    assert report is not None
    assert report.verdict.fresh.n == 9


def test_no_search_for_garbage_stops_the_window_while_it_learns(
    it: CorrectBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    collects, install = [], it.library.install

    def watched(*arguments: Any, **named: Any) -> Any:
        collects.append(gc.isenabled())
        return install(*arguments, **named)

    monkeypatch.setattr(it.library, "install", watched)
    it.corrected()
    assert gc.isenabled()
    it.retrain()
    assert collects == [False]
    assert gc.isenabled()


def test_what_is_taken_back_is_no_longer_learnt_from(it: CorrectBench) -> None:
    it.corrected(0)
    it.retrain()
    (first,) = project().images()
    it.correcting.reset()
    it.corrected(1)
    it.retrain()
    assert len(project().images()) == 1
    assert first not in project().images()


def test_a_new_class_gets_a_row_of_its_own(it: CorrectBench) -> None:
    image, truth = discs()
    two = truth.copy()
    two[:, 32:] *= 2  # discs on the right are of another class
    it.open(image)
    it.correcting.classes.add("right")
    it.paint_truth(two)
    it.correcting.accept(Part.IMAGE)
    assert it.state.target == "small"
    it.retrain()
    report = it.state.report
    assert report is not None
    assert [score.name for score in report.verdict.fresh.classes] == ["disc", "right"]
    fresh = it.library.versions("small")[-1]
    assert fresh.card.class_names == ("disc", "right")


def scribbled(it: CorrectBench, name: str) -> None:
    """Draw examples of a class of another name into an empty mask."""
    image, truth = discs()
    it.viewer.add_image(image, name="discs")
    it.correcting.start_empty()
    it.correcting.classes.rename(1, name)
    scribbles = np.zeros((64, 64), bool)
    scribbles[::3] = True
    it.paint(scribbles & (truth > 0), 1)
    it.paint(scribbles & (truth == 0), BACKGROUND)


def test_what_is_learnt_keeps_its_name_while_another_image_is_in_sight(it: CorrectBench) -> None:
    scribbled(it, "Bacteria")
    it.workflow.selection.choose(it.viewer.add_image(discs(3)[0], name="no mask yet"))
    assert (it.state.subject, it.state.target) == ("", "bacteria")
    it.segment()  # nothing is corrected in this one
    assert (it.state.class_names, it.state.target) == (("disc",), "bacteria")
    it.retrain()
    report = it.state.report
    assert report is not None
    assert (report.name, report.base) == ("bacteria", "small")
    assert it.library.card("small").class_names == ("disc",)
    assert it.active() == it.start.sha256


def test_corrections_of_other_classes_do_not_teach_and_wait_for_their_turn(
    it: CorrectBench,
) -> None:
    it.corrected(0)
    it.correcting.classes.rename(1, "bacteria")
    it.viewer.layers.clear()
    it.corrected(1)
    assert (it.state.images, it.state.target) == (1, "small")
    it.retrain()
    assert len(project().images()) == 1
    assert [one.class_names for one in it.correcting.subjects.closed] == [("bacteria",)]
    it.viewer.layers.clear()
    assert it.state.images == 1


def test_a_mask_of_other_classes_does_not_follow(it: CorrectBench) -> None:
    mask = it.open(discs(5)[0], "other")
    it.correcting.classes.rename(1, "bacteria")
    before = mask.data.copy()
    it.corrected()
    it.retrain()
    np.testing.assert_array_equal(mask.data, before)
    it.viewer.layers.selection.active = mask
    it.correcting.models.try_it()
    it.learning.finish()
    assert it.text.startswith("The new model knows none of the classes of this mask")


def test_of_two_masks_of_an_image_the_open_one_has_the_last_word(it: CorrectBench) -> None:
    it.viewer.layers.remove(it.corrected())
    it.segment()
    it.correcting.accept(Part.IMAGE)
    it.retrain()
    (image,) = project().images()
    assert project().count([image], ("disc",)).changed == 0


def test_a_restored_mask_teaches_but_is_never_written_into(it: CorrectBench) -> None:
    image, truth = discs()
    layer = it.viewer.add_image(image, name="discs")
    card, read = it.library.card("small"), interpret(image, name="discs", axes="yx")
    strokes = truth * ~CORNER
    strokes[50:60, 5:60] = 1
    outcome = unpredicted(strokes.copy(), card, it.workflow.state.options)
    upper = (slice(0, 48), slice(0, 64))
    it.workflow.results.restore(layer, read, read, outcome, (upper,), lambda link: None)
    it.correcting.subjects.edited.emit()
    it.retrain()
    report = it.state.report
    assert report is not None
    assert report.verdict.answer == "better"
    np.testing.assert_array_equal(it.mask.data, strokes)
    it.correcting.models.activate("small", it.start.sha256)
    it.learning.finish()
    assert it.active() == it.start.sha256
    np.testing.assert_array_equal(it.mask.data, strokes)
    assert it.state.before is None  # what the model had found is still not known
    it.correcting.models.try_it()
    it.learning.finish()
    assert it.viewer.layers[-1].name == "discs · restored mask (tried)"


def test_a_first_model_from_scribbles_alone_gets_a_name_of_its_own(it: CorrectBench) -> None:
    scribbled(it, "Round Thing")
    assert it.state.target == "round-thing"
    it.retrain()
    report = it.state.report
    assert report is not None
    assert (report.name, report.base) == ("round-thing", "small")
    assert it.active() == it.start.sha256
    card = it.library.card("round-thing")
    assert card.class_names == ("Round Thing",)
    assert card.title == "Round Thing (own model, from small)"
    assert project("round-thing").images()


def test_a_class_with_the_name_of_another_model_does_not_take_that_over(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, tuning=lambda: QUICK)
    other = it.library.install(model(name="lesions", class_names=("lesion",)))
    it.workflow.reload_models(choose="small")
    scribbled(it, "Lesions")
    for _ in range(2):  # the second time it is a line of its own
        assert it.state.target == "lesions-2"
        it.retrain()
        report = it.state.report
        assert report is not None
        assert report.name == "lesions-2"
    assert [one.sha256 for one in it.library.versions("lesions")] == [other.sha256]
    assert set(it.library.names()) == {"lesions", "lesions-2", "small"}
    assert project("lesions-2").images()
    assert not project("lesions").root.exists()


def test_a_name_that_another_program_took_meanwhile_is_not_taken_over(it: CorrectBench) -> None:
    scribbled(it, "Lesions")
    assert it.state.target == "lesions"
    it.library.install(model(name="lesions", class_names=("lesion",)))
    it.retrain()
    report = it.state.report
    assert report is not None
    assert report.name == "lesions-2"
    assert it.state.target == "lesions-2"


def test_what_an_earlier_session_could_not_tell_teaches_in_the_next_one(tmp_path: Path) -> None:
    quiet = replace(LEARNING, steps=1, head_rate=1e-9, rate=1e-9, encoder_rate=1e-9)
    it = CorrectBench(tmp_path, tuning=lambda: quiet)
    for seed in range(2):
        it.corrected(seed)
    it.retrain()
    assert it.text.startswith("Whether the new model is better cannot be told yet")
    again = CorrectBench(tmp_path, it.library.load("small"), tuning=lambda: QUICK)
    again.corrected(7)
    again.retrain()
    report = again.state.report
    assert report is not None
    cards = {version.sha256: version.card for version in again.library.versions("small")}
    assert set(project().learnt(cards[report.sha256])) == set(project().images())
    assert len(project().images()) == 3


def test_removing_the_image_while_learning_keeps_the_model(it: CorrectBench) -> None:
    it.corrected()
    it.correcting.models.retraining.start()
    for _ in range(6):
        it.learning.step()
    it.viewer.layers.clear()
    it.learning.finish()
    report = it.state.report
    assert report is not None
    assert it.active() == report.sha256
    assert not it.state.running


def test_painting_while_the_mask_is_predicted_anew_is_never_overwritten(it: CorrectBench) -> None:
    mask, _ = mostly_corrected(it)
    it.correcting.models.retraining.start()
    for _ in range(200):
        it.learning.step()
        if it.state.report is not None:
            break
    assert it.state.running
    lower = tuple(axis[-9:] for axis in np.nonzero((mask.data == 0) & CORNER))
    it.paint(lower, 1)
    it.learning.finish()
    assert (mask.data[lower] == 1).all()
    assert it.state.count.changed == changed(it)


def test_too_many_changes_to_undo_go_to_a_new_layer_with_all_corrections(
    it: CorrectBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, truth = mostly_corrected(it)
    before, levels = mask.data.copy(), it.state.count
    monkeypatch.setattr(masks, "UNDOABLE_LIMIT", 3)
    it.retrain()
    assert "new layer" in it.text
    assert it.mask is not mask
    np.testing.assert_array_equal(mask.data, before)
    assert not mask.visible
    np.testing.assert_array_equal(it.mask.data[~CORNER], truth[~CORNER])
    assert it.state.count == levels
    assert it.state.accepted == 2


def test_objects_that_people_touched_are_kept_whole(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, model(border=0.9, objects=True))
    image, truth = discs()
    mask = it.open(image)
    it.paint((mask.data > 0) & (truth == 0) & ~CORNER, 0)
    it.paint((mask.data == 0) & (truth > 0) & ~CORNER, 500)
    accept_most(it)
    before = mask.data.copy()
    it.retrain()
    assert "px of the mask followed" in it.text
    np.testing.assert_array_equal(mask.data[~CORNER], before[~CORNER])
    kept = np.isin(before, np.unique(before[~CORNER])) & (before > 0)
    np.testing.assert_array_equal(mask.data[kept], before[kept])
    mask.undo()
    np.testing.assert_array_equal(mask.data, before)


def test_going_back_does_not_turn_the_difference_round(it: CorrectBench) -> None:
    it.corrected()
    it.retrain()
    before = it.state.difference
    assert before is not None
    it.correcting.models.go_back()
    it.learning.finish()
    it.learning.finish()
    assert it.active() == it.start.sha256
    assert it.state.difference is before


def test_the_difference_is_a_picture_and_a_layer(it: CorrectBench) -> None:
    it.corrected()
    it.retrain()
    difference = it.state.difference
    assert difference is not None
    assert difference.picture.shape == (64, 64, 3)
    assert difference.compared == 64 * 64
    it.correcting.models.set_comparing(True)
    layer = it.viewer.layers["Old and new model"]
    assert np.count_nonzero(layer.data) == difference.changed > 0
    it.correcting.models.set_comparing(False)
    assert "Old and new model" not in it.viewer.layers


def test_a_disk_that_refuses_is_a_sentence_and_changes_nothing(
    it: CorrectBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = it.corrected()
    before = mask.data.copy()

    def refuse(*args: object, **keywords: object) -> None:
        raise RwkvSegError("The disk is full. Free some space.")

    monkeypatch.setattr(it.library, "install", refuse)
    it.retrain()
    assert it.text == "The disk is full. Free some space."
    assert not it.state.running
    assert it.active() == it.start.sha256
    np.testing.assert_array_equal(mask.data, before)


@dataclass(frozen=True)
class Spot:
    """A suggestion."""

    index: tuple[int, ...]
    area: tuple[slice, slice]
    score: float = 1.0


def test_next_goes_to_what_is_suggested(tmp_path: Path) -> None:
    asked: list[Any] = []

    def suggest(probability: Any, planes: Any, levels: Any) -> Spot:
        asked.append((probability.shape, planes((2,)).shape, int(levels.sum())))
        return Spot((2,), (slice(8, 24), slice(32, 48)))

    it = CorrectBench(tmp_path, suggest=suggest)
    image = np.stack([discs(seed)[0] for seed in range(3)])
    it.open(image, axis_labels=("z", "y", "x"), scale=(4, 2, 2))
    it.correcting.next_place()
    assert asked == [((1, 3, 64, 64), (64, 64, 1), 0)]
    assert it.viewer.dims.current_step[0] == 2
    assert it.viewer.scene.camera.center[-2:] == (2 * 15.5, 2 * 39.5)
    assert it.viewer.scene.camera.zoom == pytest.approx(350 / 32)


def test_next_says_when_everything_was_seen(tmp_path: Path) -> None:
    it = CorrectBench(tmp_path, suggest=lambda probability, planes, levels: None)
    it.open(discs()[0])
    it.correcting.next_place()
    assert it.text == "Everything was looked at."


def test_only_the_segmented_part_is_offered_to_next(tmp_path: Path) -> None:
    def suggest(probability: Any, planes: Any, levels: Any) -> Spot:
        assert planes(()).shape == (*levels.shape, 1) == (16, 32, 1)
        return Spot((), (slice(0, 4), slice(0, 4)))

    it = CorrectBench(tmp_path, suggest=suggest)
    layer = it.viewer.add_image(discs()[0], name="discs")
    layer.corner_pixels = np.array([[16, 32], [31, 63]])
    from napari_rwkvseg.workflow import Region

    it.workflow.set_region(Region.VISIBLE)
    it.segment()
    it.correcting.next_place()
    assert it.viewer.scene.camera.center[-2:] == (17.5, 33.5)


def test_learning_is_done_with_the_wanted_options(it: CorrectBench) -> None:
    it.corrected()
    it.retrain()
    card = it.library.card("small")
    assert card.command == f"napari-rwkvseg finetune --steps {LEARNING.steps} --seed 0"
