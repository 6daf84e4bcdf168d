"""From a data folder to a version in the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.comparison import HeldOut
from napari_rwkvseg.engine.dataset import DatasetError
from napari_rwkvseg.engine.evidence import REVIEWED, Evidence
from napari_rwkvseg.engine.holdout import witnesses
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Job, Progress, finish
from napari_rwkvseg.engine.retrain import Candidate, Lesson, compare, retrain
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.accepting import Corrected, accept
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.ledger import read_ledger
from napari_rwkvseg.store.lesson import gather, waiting
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import read_model
from napari_rwkvseg.store.retraining import (
    Pair,
    Retrained,
    RetrainOptions,
    keep,
    retrain_folder,
    retrain_model,
)
from napari_rwkvseg.store.second_chance import _test as second_chance_test
from tests.corrected import LEARNING, QUICK, discs, model

START = model().card  # of the model that most learning begins at
SLIM = 7  # pixels: blocks would not cut such discs, so that images are dealt by blocks


def pair(seed: int = 0, mask: np.ndarray | None = None) -> Pair:
    image, truth = discs(seed, width=SLIM)
    image[0, :2] = [0, 1]  # the whole range, so that the intensity window changes nothing
    data = interpret(image, name="DOE^JANE", axes="yx")
    return data, truth if mask is None else mask


def options(tmp_path: Path, **changes: object) -> RetrainOptions:
    made = RetrainOptions(
        tuning=LEARNING, corrections=tmp_path / "corrections", device="cpu", threads=1
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def retrained(
    tmp_path: Path, pairs: list[Pair], start: Model | None = None, **changes: object
) -> Retrained:
    start = start or model(border=0.9)
    found = finish(retrain_model(start, pairs, options(tmp_path, **changes)))
    found.remember()
    return found


def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "own", tmp_path / "none bundled")


def test_a_better_model_carries_its_lineage(tmp_path: Path) -> None:
    found = retrained(tmp_path, [pair()])
    card = found.model.card
    assert found.verdict.answer == "better"
    assert (card.name, card.parent, card.class_names) == ("small", "a" * 64, ("disc",))
    assert (card.data, card.data_licence) == ("corrections", "corrections: not stated")
    assert card.command == "napari-rwkvseg finetune --steps 24 --seed 0"
    assert card.metrics["held_out_dice"] == found.verdict.fresh.new_dice
    assert card.metrics["held_out_dice_before"] == found.verdict.fresh.old_dice
    assert card.metrics["blocks"] == 5
    assert card.metrics["changed_pixels"] + card.metrics["reviewed_pixels"] == 64 * 64
    assert card.metrics["changed_pixels"] > 100
    assert card.metrics["share_of_the_way"] == 1
    assert "replay_dice" not in card.metrics


def test_a_second_generation_knows_both(tmp_path: Path) -> None:
    first = retrained(tmp_path, [pair(0)]).model
    second = retrained(tmp_path, [pair(1)], replace(first, sha256="b" * 64))
    assert second.model.card.parent == "b" * 64
    assert second.model.card.data == "corrections"
    assert second.verdict.replay is not None
    assert (second.verdict.replay.n, second.verdict.fresh.n) == (5, 4)
    assert second.model.card.metrics["replay_dice_before"] > 0.9


def test_what_is_not_better_stays_aside_and_what_is_becomes_active(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    start = keep(Retrained(model(border=0.9), _verdict(tmp_path, "better")), None, shelf)
    better = keep(retrained(tmp_path, [pair()], start), None, shelf)
    assert shelf.load("small").sha256 == better.sha256
    worse = Retrained(model(border=0.3), _verdict(tmp_path, "worse"))
    aside = keep(worse, None, shelf)
    assert shelf.load("small").sha256 == better.sha256
    assert aside.sha256 in {version.sha256 for version in shelf.versions("small")}
    assert shelf.rollback("small").sha256 == start.sha256
    back = shelf.load("small").network.state_dict()
    assert all(torch.equal(value, back[name]) for name, value in start.network.state_dict().items())


def _verdict(tmp_path: Path, answer: str):  # type: ignore[no-untyped-def]
    made = retrained(tmp_path / "other", [pair(9)]).verdict
    return replace(made, answer=answer)


def test_a_candidate_is_written_with_the_checksum_it_has_in_the_library(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    kept = keep(retrained(tmp_path, [pair()]), out, None)
    assert read_model(out).sha256 == kept.sha256
    assert library(tmp_path).install(out).sha256 == kept.sha256


def test_poisoned_corrections_never_become_active_once_good_ones_were_learnt(
    tmp_path: Path,
) -> None:
    start = retrained(tmp_path, [pair(0)]).model
    for seed, poison in enumerate((lambda m: 1 - m, np.zeros_like, np.ones_like), start=1):
        bad = pair(seed, poison(discs(seed, width=SLIM)[1]))
        found = retrained(tmp_path, [bad], start)
        assert found.verdict.answer != "better"
        assert len(Corrections(tmp_path / "corrections").learnt(start.card)) == 1


def test_what_made_a_model_worse_is_not_learnt_along(tmp_path: Path) -> None:
    start = retrained(tmp_path, [pair(0)]).model
    inverted = retrained(tmp_path, [pair(1, 1 - discs(1, width=SLIM)[1])], start)
    assert inverted.verdict.answer == "worse"
    good = retrained(tmp_path, [pair(7)], start)
    assert good.verdict.answer != "worse"
    assert len(good.taught) == 1


def taking_part(monkeypatch: pytest.MonkeyPatch) -> list[Lesson]:
    """Return the list into which the lessons of all runs come."""
    lessons: list[Lesson] = []

    def noted(start: Model, lesson: Lesson, *rest: Any) -> Job[Candidate]:
        lessons.append(lesson)
        return retrain(start, lesson, *rest)

    monkeypatch.setattr("napari_rwkvseg.store.retraining.retrain", noted)
    return lessons


def ids(pieces: Sequence[Evidence]) -> set[str]:
    return {piece.image_id for piece in pieces}


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_was_accepted_earlier_and_not_learnt_teaches_with_what_is_at_hand(
    cancelled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = retrained(tmp_path, [pair(0)]).model
    project = Corrections(tmp_path / "corrections")
    (first,) = project.learnt(start.card)
    if cancelled:
        earlier = finish(accept(project, start, reviewed(1), ["disc"]))  # and never dealt
    else:
        earlier = dealt(project, 1, None)
        project.note_made(model(border=0.4).card, start.card, [earlier])  # could not be told
    lessons = taking_part(monkeypatch)
    found = retrained(tmp_path, [pair(2)], start, tuning=QUICK)
    third = set(project.dealt()) - {first, earlier}
    assert ids(lessons[0].fresh) == third | {earlier}
    assert ids(lessons[0].replay) == {first}
    assert set(found.taught) == third | {earlier}
    assert found.model.card.metrics["reviewed_pixels"] > 64 * 64


def test_who_goes_back_learns_again_what_the_newer_version_had(tmp_path: Path) -> None:
    project, learnt = known(tmp_path, 5)
    new = dealt(project, 9, None)
    assert waiting(project, [new], START) == []
    assert waiting(project, [new], model(border=0.9, seed=1).card) == learnt


def test_of_very_many_that_wait_some_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_rwkvseg.store.lesson.MOST_WAITING", 3)
    project = Corrections(tmp_path / "corrections")
    images = [dealt(project, seed, None) for seed in range(7)]
    assert waiting(project, images[:1], START) == [images[1], images[3], images[6]]


def test_what_only_made_a_model_worse_waits_until_it_is_at_hand(tmp_path: Path) -> None:
    project = Corrections(tmp_path / "corrections")
    wrong, right = (dealt(project, seed, None) for seed in range(2))
    project.note_made(model(metrics={"proven_worse": 1.0}).card, None, [wrong, right])
    assert waiting(project, [], START) == []
    project.note_made(model(metrics={"proven_better": 1.0}).card, None, [right])
    assert waiting(project, [], START) == [right]


def test_corrections_of_other_classes_are_not_noted_as_learnt(tmp_path: Path) -> None:
    project = Corrections(tmp_path / "corrections")
    other = finish(accept(project, model(), reviewed(1), ["ring"]))
    found = retrained(tmp_path, [pair(0)], tuning=QUICK)
    assert other not in found.taught
    assert len(found.taught) == 1


def known(tmp_path: Path, count: int, wide: bool = False) -> tuple[Corrections, list[str]]:
    """A project in which so many images were learnt; their ids in the order of the deal."""
    project = Corrections(tmp_path / "corrections")
    for seed in range(count):
        project.note_made(START, START, [dealt(project, seed, lesion() if wide else None)])
    return project, list(project.learnt(START))


def dealt(project: Corrections, seed: int, mask: np.ndarray | None) -> str:
    """Accept an image as a whole and deal it; return its id."""
    image_id = finish(accept(project, model(), reviewed(seed, mask), ["disc"]))
    project.deal([image_id])
    return image_id


def reviewed(seed: int, mask: np.ndarray | None = None) -> Corrected:
    image, truth = pair(seed, mask)
    return Corrected(image, truth, np.full(truth.shape, REVIEWED, np.uint8))


def lesion() -> np.ndarray:
    """A mask of one object that several blocks would cut."""
    mask = np.zeros((64, 64), np.uint8)
    mask[10:40, 20:50] = 1
    return mask


@pytest.mark.parametrize(("share", "count"), [(0.25, 0), (0.5, 1)])
def test_what_was_learnt_by_a_short_step_does_not_judge_later_ones(
    share: float, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shortened(*arguments: Any) -> Job[Candidate]:
        found = yield from retrain(*arguments)
        return replace(found, share=share)

    monkeypatch.setattr("napari_rwkvseg.store.retraining.retrain", shortened)
    found = retrained(tmp_path, [pair()])
    assert found.verdict.answer == "better"
    assert found.model.card.metrics["share_of_the_way"] == share
    project = Corrections(tmp_path / "corrections")
    assert len(project.learnt(found.model.card)) == count
    assert len(waiting(project, [], START)) == count  # nor does it teach unless it is at hand


def test_witnesses_judge_and_do_not_teach(tmp_path: Path) -> None:
    project, ids = known(tmp_path, 4)
    lesson = gather(project, [], ["disc"], START)
    silent = witnesses(ids)
    assert len(silent) == 1
    assert {piece.image_id for piece in lesson.replay} == set(ids) - set(silent)
    assert {held.evidence.image_id for held in lesson.held_out} == set(ids)
    assert all(held.replay for held in lesson.held_out)


def test_where_whole_images_judge_all_others_are_replayed(tmp_path: Path) -> None:
    project, ids = known(tmp_path, 5, wide=True)
    lesson = gather(project, [], ["disc"], START)
    assert {piece.image_id for piece in lesson.replay} == set(ids[:4])
    # the other half of a lesson's lesion is found by heart, and judges no more
    assert {held.evidence.image_id for held in lesson.held_out} == {ids[4]}
    assert [piece.truth.shape for piece in project.to_learn(ids[1], ["disc"])] == [(64, 64)]
    assert [project.only_judges(image_id) for image_id in ids] == [False, False, False, False, True]


def test_a_whole_image_that_teaches_is_judged_by_others_where_nothing_was_learnt(
    tmp_path: Path,
) -> None:
    project = Corrections(tmp_path / "corrections")
    ids = [dealt(project, seed, lesion()) for seed in range(2)]
    lesson = gather(project, ids[1:], ["disc"], START)
    assert [piece.image_id for piece in lesson.fresh] == ids[1:]
    assert [held.evidence.image_id for held in lesson.held_out] == ids[:1]
    assert not lesson.held_out[0].replay
    assert not lesson.by_heart
    project.note_made(START, None, ids[:1])  # by heart: what falls there is not lost
    again = gather(project, ids[1:], ["disc"], START)
    assert [(held.evidence.image_id, held.replay) for held in again.held_out] == [(ids[0], False)]
    assert again.by_heart


def test_blocks_of_an_image_judge_unless_most_objects_are_wider(tmp_path: Path) -> None:
    project, ids = known(tmp_path, 2)
    assert project.by_heart() == frozenset()
    ids += [dealt(project, seed, lesion()) for seed in (5, 6)]
    assert project.by_heart() == frozenset()  # half of them
    ids.append(dealt(project, 7, lesion()))
    assert project.by_heart() == set(ids[:2])


def test_what_is_known_by_heart_does_not_keep_a_better_model_aside(tmp_path: Path) -> None:
    project, ids = known(tmp_path, 1, wide=True)
    forgot = model(border=0.5, sha256="c" * 64, peak=0.5)
    project.note_made(forgot.card)
    later = dealt(project, 1, lesion())
    found = {
        held.evidence.image_id
        for held in second_chance_test(project, [later], ["disc"], model(), forgot)
    }
    assert found == {later}
    assert ids[0] in project.learnt(START)


def test_what_was_learnt_first_is_still_looked_at_when_there_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_rwkvseg.store.lesson.MOST_REPLAYED", 3)
    project, ids = known(tmp_path, 6)
    lesson = gather(project, [], ["disc"], START)
    assert {held.evidence.image_id for held in lesson.held_out} == {ids[0], ids[2], ids[5]}


def test_the_same_seed_and_steps_give_the_same_model_in_any_project(tmp_path: Path) -> None:
    states = [
        retrained(
            tmp_path / name, [pair()], tuning=replace(QUICK, seed=seed)
        ).model.network.state_dict()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    same = [all(torch.equal(states[0][k], other[k]) for k in states[0]) for other in states[1:]]
    assert same == [True, False]


def test_a_cancelled_run_keeps_corrections_and_changes_nothing_else(tmp_path: Path) -> None:
    token, threads = CancelToken(), torch.get_num_threads()
    events: list[Progress] = []

    def stop_in_training(event: Progress) -> None:
        events.append(event)
        if event.message == "Retraining":
            token.cancel()

    job = retrain_model(model(border=0.9), [pair()], options(tmp_path), token)
    with pytest.raises(Cancelled):
        finish(job, stop_in_training)
    assert events[-1].done == 1
    assert torch.get_num_threads() == threads
    project = Corrections(tmp_path / "corrections")
    assert not read_ledger(project.root).made
    assert len(read_ledger(project.root).entries) == 1


def test_a_new_class_becomes_part_of_the_model(tmp_path: Path) -> None:
    image, mask = pair()
    found = retrained(tmp_path, [(image, mask * 2)], class_names=("disc", "ring"), tuning=QUICK)
    assert found.model.card.class_names == ("disc", "ring")
    assert found.model.network.config.n_classes == 3
    with pytest.raises(DatasetError, match="label 3 in the mask, but 2 classes are named"):
        retrained(tmp_path, [(image, mask * 3)], class_names=("disc", "ring"))


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    image, mask = pair()
    with pytest.raises(DatasetError, match=r"the mask has shape \(63, 64\)"):
        retrained(tmp_path, [(image, mask[1:])])


def test_a_stack_is_one_image_of_many_planes(tmp_path: Path) -> None:
    stack, masks = (np.stack(parts) for parts in zip(*map(discs, (0, 1)), strict=True))
    image = interpret(stack, name="stack", axes="zyx")
    found = retrained(tmp_path, [(image, masks)], tuning=QUICK)
    project = Corrections(tmp_path / "corrections")
    (entry,) = read_ledger(project.root).entries.values()
    assert sum(entry.deal.blocks.values()) == 5
    fresh = found.verdict.fresh
    assert (fresh.n, fresh.pixels) == (5, 5 * 2 * 16 * 16)  # each through both planes


def test_nothing_kept_names_an_image(tmp_path: Path) -> None:
    found = retrained(tmp_path, [pair()])
    keep(found, tmp_path / "out.safetensors", library(tmp_path))
    for path in tmp_path.rglob("*"):
        assert "DOE" not in path.name
        assert path.is_dir() or b"DOE" not in path.read_bytes()


def test_a_folder_is_read_as_its_index_says(tmp_path: Path) -> None:
    lines = ["name,image,mask,split"]
    for seed, split in enumerate(("train", "val")):
        image, mask = discs(seed)
        tifffile.imwrite(tmp_path / f"{seed}.tif", image)
        tifffile.imwrite(tmp_path / f"{seed}m.tif", mask)
        lines.append(f"d{seed},{seed}.tif,{seed}m.tif,{split}")
    (tmp_path / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    finish(retrain_folder(model(border=0.9), tmp_path, options(tmp_path, tuning=QUICK)))
    assert len(read_ledger(tmp_path / "corrections").entries) == 1


@pytest.mark.parametrize("name", ["/tmp/elsewhere", "../../elsewhere", "a/b", "", "."])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path / "data"))
    start = model(name=name)
    with pytest.raises(ModelFileError, match="is no valid model name"):
        finish(retrain_folder(start, tmp_path / "nothing here", RetrainOptions()))
    with pytest.raises(ModelFileError, match="is no valid model name"):
        finish(retrain_model(start, [pair()], RetrainOptions()))
    assert not list(tmp_path.iterdir())


def second_chance(
    tmp_path: Path, aside: Model, later: Pair, tuning: FinetuneOptions = LEARNING
) -> tuple[Retrained, Corrections]:
    """Correct an image that came after a model was kept aside, and retrain the one in use."""
    made = options(tmp_path, tuning=tuning)
    found = finish(retrain_model(model(border=0.9), [later], made, aside=aside))
    found.remember()
    return found, Corrections(tmp_path / "corrections")


def kept_aside(tmp_path: Path, sha256: str = "c" * 64) -> Model:
    """What was learnt from a first image, as if nothing could be told of it then."""
    return replace(retrained(tmp_path, [pair(0)]).model, sha256=sha256)


def test_a_model_kept_aside_is_proven_by_what_was_corrected_since(tmp_path: Path) -> None:
    aside = kept_aside(tmp_path)
    found, project = second_chance(tmp_path, aside, pair(1), QUICK)  # too short to learn more
    first, second = project.dealt()
    assert found.model is aside
    assert found.verdict.answer == "better"
    assert found.verdict.fresh.n == 16  # the whole of the second image, for neither has seen it
    assert found.verdict.fresh.new_dice > found.verdict.fresh.old_dice + 0.3
    assert found.candidate is not None
    assert found.candidate.card.parent == aside.sha256
    assert project.learnt(aside.card) == (first,)
    assert second in project.learnt(found.candidate.card)


def test_what_is_better_than_a_model_that_has_proven_itself_comes_from_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = _verdict(tmp_path, "better")
    aside, compared = kept_aside(tmp_path), []

    def convinced(start: Model, *arguments: Any) -> Job[Candidate]:
        compared.append(start)
        found = yield from retrain(start, *arguments)
        return replace(found, verdict=better)

    monkeypatch.setattr("napari_rwkvseg.store.retraining.retrain", convinced)
    found, project = second_chance(tmp_path, aside, pair(1))
    assert (found.candidate, found.verdict) == (None, better)
    assert found.model.card.parent == compared[0].sha256 == aside.sha256
    assert set(project.learnt(found.model.card)) == set(project.dealt())


def test_a_run_that_is_cancelled_after_the_proof_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(start: Model, lesson: Lesson, *_: Any) -> Job[Candidate]:
        assert start is aside
        assert len({piece.image_id for piece in lesson.replay}) == 1
        raise Cancelled
        yield

    aside = kept_aside(tmp_path)
    monkeypatch.setattr("napari_rwkvseg.store.retraining.retrain", stopped)
    with pytest.raises(Cancelled):
        second_chance(tmp_path, aside, pair(1))
    assert len(read_ledger(tmp_path / "corrections").made) == 1  # that of the one kept aside


def test_a_model_kept_aside_that_is_worse_stays_there(tmp_path: Path) -> None:
    aside = replace(kept_aside(tmp_path), network=model(border=0.97).network)
    found, project = second_chance(tmp_path, aside, pair(1))
    assert found.candidate is None
    assert found.model.card.parent == "a" * 64
    assert project.dealt()[0] in found.taught  # what it had learnt is learnt anew


def test_what_it_may_have_learnt_from_does_not_prove_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Job[Any]:
        raise AssertionError("compared")
        yield

    aside = kept_aside(tmp_path)
    unknown = replace(aside, card=replace(aside.card, seed=99))  # made in another project
    monkeypatch.setattr("napari_rwkvseg.store.second_chance.compare", never)
    assert second_chance(tmp_path, unknown, pair(1))[0].candidate is None
    assert second_chance(tmp_path / "two", aside, pair(1))[0].candidate is None
    aside = kept_aside(tmp_path / "three")
    assert second_chance(tmp_path / "three", aside, pair(0))[0].candidate is None


def test_a_model_that_was_taught_no_object_is_not_proven_by_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = kept_aside(tmp_path)
    taught_none = replace(aside, card=replace(aside.card, peak=0.0))
    Corrections(tmp_path / "corrections").note_made(taught_none.card)
    found, _ = second_chance(tmp_path, taught_none, pair(1))
    assert found.candidate is None


def test_a_model_that_forgets_is_not_proven_by_what_came_since(tmp_path: Path) -> None:
    """It fits the last image, on which all is said to be background; the one before is lost."""
    project, _ = known(tmp_path, 1)
    blind = model(border=2.0, sha256="c" * 64, peak=0.5)
    project.note_made(blind.card)
    empty = pair(1, np.zeros((64, 64), np.uint8))
    found, _ = second_chance(tmp_path, blind, empty, QUICK)
    assert found.model is not blind
    assert len(project.dealt()) == 2


@pytest.mark.parametrize(
    ("most", "planes", "blocks"), [(10**6, 8, 16), (64 * 64 * 4, 4, 16), (64 * 64 // 2, 2, 4)]
)
def test_a_test_takes_some_planes_and_some_blocks_of_large_ones(
    most: int, planes: int, blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, tested = kept_aside(tmp_path), []

    def noted(old: Model, new: Model, held_out: list[HeldOut], *rest: Any) -> Job[Any]:
        tested.extend(held_out)
        return compare(old, new, held_out, *rest)

    monkeypatch.setattr("napari_rwkvseg.store.second_chance.compare", noted)
    monkeypatch.setattr("napari_rwkvseg.store.second_chance.TESTED_PIXELS", most)
    later = [pair(seed) for seed in range(1, 11)]
    made = options(tmp_path, tuning=QUICK)
    finish(retrain_model(model(border=0.9), later, made, aside=aside))
    assert [len(held.blocks) for held in tested] == [blocks] * planes
    if blocks == 4:  # spread over the image, not a column of it
        rows, columns = ({block[axis].start for block in tested[0].blocks} for axis in (0, 1))
        assert (len(rows), len(columns)) == (4, 4)


def test_keeping_a_proven_model_makes_it_active_and_keeps_what_was_learnt_since(
    tmp_path: Path,
) -> None:
    shelf = library(tmp_path)
    start = keep(Retrained(model(border=0.9), _verdict(tmp_path, "better")), None, shelf)
    aside = keep(Retrained(kept_aside(tmp_path), _verdict(tmp_path, "worse")), None, shelf)
    assert shelf.load("small").sha256 == start.sha256
    since = model(border=0.6, parent=aside.sha256)
    out = tmp_path / "out.safetensors"
    kept = keep(Retrained(aside, _verdict(tmp_path, "better"), since), out, shelf)
    assert shelf.load("small").sha256 == kept.sha256 == aside.sha256
    assert [version.card.parent for version in shelf.versions("small")][-1] == aside.sha256
    assert read_model(out).card == aside.card


def test_what_a_model_learnt_counts_only_once_the_model_is_kept(tmp_path: Path) -> None:
    start, made = model(border=0.9), options(tmp_path)
    found = finish(retrain_model(start, [pair()], made))
    project = Corrections(tmp_path / "corrections")
    with pytest.raises(ModelFileError, match="cannot be saved"):
        keep(found, tmp_path / "nowhere" / "out.safetensors", None)
    assert (project.learnt(found.model.card), len(project.dealt())) == ((), 1)
    assert project.before_and_since(found.model.card) == (project.dealt(), ())
    keep(found, tmp_path / "out.safetensors", None)
    assert project.learnt(found.model.card) == project.dealt()


def test_who_starts_again_at_an_older_model_learns_everything_again(tmp_path: Path) -> None:
    """After going back a version, or where a better model was never put to use."""
    first = retrained(tmp_path, [pair()]).verdict
    again = retrained(tmp_path, [pair()]).verdict
    assert again == first
    assert (again.answer, again.replay) == ("better", None)


def test_the_verdict_stands_on_the_card(tmp_path: Path) -> None:
    assert retrained(tmp_path, [pair(0)]).model.card.metrics["proven_better"] == 1
    again = retrained(tmp_path, [pair(1)], model(border=0.5))
    assert again.model.card.metrics["proven_better"] == 0


def test_a_project_knows_which_images_came_after_a_model(tmp_path: Path) -> None:
    project, ids = known(tmp_path, 2)
    card = model().card
    assert project.before_and_since(card) == (tuple(ids), ())  # nothing is noted: from all
    project.note_made(card)
    later = dealt(project, 7, None)
    assert project.before_and_since(card) == (tuple(ids), (later,))
    renamed = replace(card, name="another")
    assert project.before_and_since(renamed) == (tuple(ids), (later,))
    assert project.before_and_since(replace(card, seed=1)) == ((*ids, later), ())
