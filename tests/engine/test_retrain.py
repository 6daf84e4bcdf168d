"""One retrain from end to end in memory: a better model is told from a worse one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.comparison import Counts, HeldOut, count_pixels, probabilities
from napari_rwkvseg.engine.doubt import SUREST, Limits, least_peak, least_size
from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.finetune import Finetuned
from napari_rwkvseg.engine.holdout import Deal, block_areas, deal_blocks, training_pieces
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.predict import PredictOptions, as_read
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Job, Progress, finish
from napari_rwkvseg.engine.retrain import Candidate, Lesson, compare, retrain
from napari_rwkvseg.engine.scale import evidence_width, with_shrink
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.network.model import SegmentationNetwork
from tests.corrected import CPU, LEARNING, QUICK, SLOPE, corrected, model, network

Poison = Callable[[np.ndarray], np.ndarray]


def lesson(
    fresh: Sequence[Evidence], replay: Sequence[Evidence] = (), names: tuple[str, ...] = ("disc",)
) -> Lesson:
    pieces: dict[bool, list[Evidence]] = {False: [], True: []}
    held_out = []
    for again, planes in ((False, fresh), (True, replay)):
        for plane in planes:
            deal = deal_blocks(Deal(plane.truth.shape), plane.image_id, [plane])  # type: ignore[arg-type]
            areas = block_areas(deal.shape).items()
            blocks = tuple(area for block, area in areas if deal.held_out(block))
            pieces[again] += training_pieces(plane, deal)
            held_out.append(HeldOut(plane, blocks, again))
    return Lesson(tuple(pieces[False]), tuple(pieces[True]), tuple(held_out), names)


def retrained(start: Model, what: Lesson) -> Candidate:
    return finish(retrain(start, what, LEARNING, CPU))


def test_good_corrections_make_a_better_model() -> None:
    found = retrained(model(border=0.9), lesson([corrected(0)]))
    assert found.verdict.answer == "better"
    assert found.verdict.fresh.old_dice < 0.8
    assert found.verdict.fresh.new_dice > 0.95


def test_a_model_that_is_right_already_is_not_replaced() -> None:
    found = retrained(model(border=0.5), lesson([corrected(0)]))
    assert found.verdict.answer == "cannot tell"


@pytest.mark.parametrize(
    "poison",
    [
        lambda truth: 1 - truth,
        np.zeros_like,
        np.ones_like,
        lambda truth: np.roll(truth, 20, axis=1),
        lambda truth: np.random.default_rng(0).integers(0, 2, truth.shape, np.uint8),
    ],
    ids=["inverted", "empty", "full", "shifted", "noise"],
)
def test_poisoned_labels_are_not_accepted(poison: Poison) -> None:
    bad = corrected(1)
    bad = replace(bad, truth=poison(bad.truth))
    found = retrained(model(border=0.5), lesson([bad], replay=[corrected(0)]))
    assert found.verdict.answer != "better"


def test_images_that_only_judge_teach_nothing() -> None:
    judging = replace(lesson([corrected(0)]), fresh=())
    with pytest.raises(ValueError, match="Correct another image"):
        retrained(model(border=0.9), judging)


def with_clutter(seed: int, clutter: float, columns: int) -> Evidence:
    """Discs as bright as can be, and some of the ground as bright as `clutter`."""
    plane = corrected(seed)
    ground = np.where(np.indices((64, 64))[1] % 16 < columns, clutter, 0.1)
    return replace(plane, image=np.where(plane.truth > 0, 1.0, ground)[..., None])


@pytest.mark.parametrize(
    ("clutter", "columns", "share", "answer"),
    [
        (0.1, 1, 1.0, "better"),
        (0.4, 1, 0.5, "better"),
        (0.85, 1, 1.0, "worse"),
        (0.4, 8, 1.0, "worse"),  # so much is lost that half of the way is not even tried
    ],
)
def test_the_way_is_shortened_until_nothing_is_forgotten(
    clutter: float, columns: int, share: float, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The border falls from 0.9 to 0.2: on the way the discs are found, in the end the clutter."""

    def learn(*arguments: object) -> Job[Finetuned]:
        yield Progress(1, 1)
        return Finetuned(network(border=0.2), 1, 1)

    monkeypatch.setattr("napari_rwkvseg.engine.retrain.finetune", learn)
    what = lesson([corrected(0)], replay=[with_clutter(seed, clutter, columns) for seed in (1, 2)])
    found = retrained(model(border=0.9), what)
    assert (found.share, found.verdict.answer) == (share, answer)
    assert found.verdict.forgets == (answer == "worse")
    border = found.tuned.network.decoder.classify.bias[1].detach() / -SLOPE
    assert float(border) == pytest.approx(0.9 - 0.7 * share)


@pytest.mark.parametrize(("by_heart", "answer"), [(False, "worse"), (True, "cannot tell")])
def test_who_loses_what_the_old_model_knows_by_heart_is_not_called_worse(
    by_heart: bool, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(*arguments: object) -> Job[Finetuned]:
        yield Progress(1, 1)
        return Finetuned(network(border=1.5), 1, 1)

    monkeypatch.setattr("napari_rwkvseg.engine.retrain.finetune", learn)
    what = replace(lesson([corrected(0), corrected(1)]), by_heart=by_heart)
    found = retrained(model(border=0.5), what)
    assert found.verdict.answer == answer
    assert found.verdict.reason.startswith("The old model knows by heart") == by_heart
    assert "after on" in found.verdict.reason


def test_a_new_class_is_learnt_and_the_old_one_kept() -> None:
    plane = corrected(0)
    dim = corrected(5)
    image = np.where(dim.truth[..., None] > plane.truth[..., None], 0.5, plane.image)
    truth = np.where(plane.truth > 0, 1, dim.truth * 2).astype(np.uint8)
    both = replace(plane, image=image, truth=truth)
    start = replace(model(), network=network(border=0.7, slope=6))
    options = replace(LEARNING, steps=150, head_rate=5e-2, rate=5e-2)
    found = finish(retrain(start, lesson([both], names=("disc", "dim")), options, CPU))
    old, new = found.verdict.fresh.classes
    assert (new.name, new.old.dice) == ("dim", 0)
    assert new.new.dice > 0.5
    assert old.new.dice > 0.9
    assert found.tuned.network.config.n_classes == 3
    assert found.verdict.answer == "better"


@pytest.mark.parametrize("learning", [False, True], ids=["comparing", "learning"])
def test_too_little_memory_names_the_model_and_a_remedy(
    learning: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SegmentationNetwork.forward

    def full(self: SegmentationNetwork, image: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() == learning:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return plain(self, image)

    monkeypatch.setattr(SegmentationNetwork, "forward", full)
    with pytest.raises(RwkvSegError, match=r"^small: not enough memory to retrain.*Close other"):
        retrained(model(), lesson([corrected(0)]))


def test_a_cancelled_retrain_leaves_the_model_as_it_was() -> None:
    start = model()
    before = {name: value.clone() for name, value in start.network.state_dict().items()}
    token = CancelToken()
    job = retrain(start, lesson([corrected(0)]), QUICK, CPU, token)
    events = [next(job), next(job)]
    token.cancel()
    with pytest.raises(Cancelled):
        next(job)
    assert [event.message for event in events] == [
        "Comparing on held-out corrections",
        "Retraining",
    ]
    after = start.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not start.network.training


def test_without_anything_held_out_there_is_no_retrain() -> None:
    nothing = Lesson((corrected(0),), (), (), ("disc",))
    with pytest.raises(ValueError, match="some must be held out to judge by"):
        retrained(model(), nothing)


def test_learning_gets_what_the_comparison_leaves_but_at_least_half() -> None:
    given: list[float] = []

    def seconds(spent: float) -> float:
        clock = iter([0.0, 3.0, 3.0 + spent])  # to measure the objects it takes three

        def first_three() -> float:
            return next(clock)

        what = lesson([corrected(0)])
        job = retrain(model(), what, QUICK, CPU, None, first_three)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("napari_rwkvseg.engine.retrain.finetune", _note(given))
            with pytest.raises(NotedError):
                finish(job)
        return given[-1]

    # the old model, the new one, three between, and all of these but the old on what was taught
    taught = sum(piece.truth.size for piece in lesson([corrected(0)]).fresh) / 64**2
    assert seconds(spent=1.0) == pytest.approx(QUICK.seconds - 3 - 5.5 - 4 * taught)
    assert seconds(spent=40.0) == QUICK.seconds / 2


class NotedError(Exception):
    """Ends a run once its options are known."""


def _note(given: list[float]) -> Callable[..., object]:
    def stop(*arguments: object) -> object:
        given.append(arguments[5].seconds)  # type: ignore[attr-defined]
        raise NotedError

    return stop


@pytest.mark.parametrize(
    ("learnt", "shrink", "distillation"), [(11.0, 1, 1.0), (2.0, 2, 0.0), (0.0, 1, 1.0)]
)
def test_the_scale_follows_the_objects(
    learnt: float, shrink: int, distillation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def learn(start: SegmentationNetwork, *arguments: object) -> Job[Finetuned]:
        options = next(part for part in arguments if isinstance(part, FinetuneOptions))
        seen.extend([start.config.shrink, options.distillation])
        yield Progress(1, 1)
        return Finetuned(start, 1, 1)

    monkeypatch.setattr("napari_rwkvseg.engine.retrain.finetune", learn)
    found = retrained(model(object_width=learnt), lesson([corrected(0, size=160)]))
    assert seen == [shrink, distillation]
    assert found.tuned.network.config.shrink == shrink
    width = evidence_width(lesson([corrected(0, size=160)]).fresh)
    assert found.object_width == (learnt if shrink == 1 else width)


@pytest.mark.parametrize(
    ("side", "border", "learnt", "taught", "kept"),
    [
        (160.0, 0.5, 11.0, 1, (160.0, 1)),
        (40.0, 0.5, 2.75, 4, (40.0, 1)),
        (40.0, 0.5, 20.0, 1, (0.0, 1)),
        (40.0, 1.2, 2.75, 4, (0.0, 4)),
        (160.0, 1.2, 11.0, 1, (0.0, 1)),
        (0.0, 0.5, 11.0, 1, (0.0, 1)),
    ],
    ids=[
        "as learnt",
        "larger frames",
        "other objects",
        "larger frames of objects it does not know",
        "objects it does not know",
        "no frames",
    ],
)
def test_frames_are_learnt_at_the_size_at_which_they_are_read(
    side: float,
    border: float,
    learnt: float,
    taught: int,
    kept: tuple[float, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []

    def counted(network: SegmentationNetwork, *others: Any) -> Job[Counts]:
        read.append(network.config.shrink)
        return count_pixels(network, *others)

    monkeypatch.setattr("napari_rwkvseg.engine.retrain.count_pixels", counted)
    start = model(border=border, object_width=learnt, frame_side=side)
    found = retrained(start, lesson([corrected(0, size=160)]))
    assert read[0] == (160 / side if side else 1)  # the old model is judged as it predicts
    assert read[1] == taught
    assert (found.frame_side, found.tuned.network.config.shrink) == kept


def kept_of_larger_frames(start: Model, size: int) -> Candidate:
    """What a retrain on frames of a size gives if it changes no weight."""

    def learn(network: SegmentationNetwork, *arguments: object) -> Job[Finetuned]:
        yield Progress(1, 1)
        return Finetuned(network, 1, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_rwkvseg.engine.retrain.finetune", learn)
        return retrained(start, lesson([corrected(0, size=size)]))


@pytest.mark.parametrize("size", [40, 160])
def test_the_size_of_the_frames_that_teach_does_not_change_how_others_are_read(size: int) -> None:
    start = model(object_width=11 * 40 / size, frame_side=40.0)
    found = kept_of_larger_frames(start, size)
    card = replace(start.card, object_width=found.object_width, frame_side=found.frame_side)
    assert card == start.card
    kept, options = Model(found.tuned.network, card), PredictOptions()
    for side in (40, 160):
        image = interpret(np.zeros((side, side), np.uint8), name="frame")
        was, read = (as_read(one, image, options) for one in (start, kept))
        assert read[0].network.config == was[0].network.config
        assert read[1] == was[1]


def test_the_smallest_object_of_larger_frames_is_kept_in_pixels_of_those_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = model(object_width=2.75, frame_side=40.0, min_size=3)
    what = lesson([corrected(0, size=160)])
    assert kept_of_larger_frames(start, 160).limits.min_size == least_size(what.fresh) // 16 > 0
    monkeypatch.setattr("napari_rwkvseg.engine.retrain.least_size", lambda pieces: 0)
    assert kept_of_larger_frames(start, 160).limits.min_size == 3


@pytest.mark.parametrize(("border", "pieces"), [(0.5, False), (1.2, True)])
def test_larger_frames_are_judged_in_one_piece_where_they_are_predicted_so(
    border: float, pieces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.WHOLE", 64)
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.CONTEXT", 4)
    read: list[tuple[int, ...]] = []

    def noted(network: SegmentationNetwork, image: np.ndarray, *others: Any) -> np.ndarray:
        read.append(image.shape[:2])
        return probabilities(network, image, *others)

    monkeypatch.setattr("napari_rwkvseg.engine.comparison.probabilities", noted)
    start = model(border=border, object_width=2.75, frame_side=40.0)
    held_out = lesson([corrected(0, size=160)]).held_out
    finish(compare(start, start, held_out, ("disc",), 0, CPU))
    assert read == [(160, 160)] * 2
    kept_of_larger_frames(start, 160)
    assert read[2] == (160, 160)  # the old model; a new one of no frames gets tiles as usual
    assert (max(max(shape) for shape in read[3:]) < 160) == pieces


def test_finished_models_are_compared_at_the_size_of_the_frames() -> None:
    held_out = lesson([corrected(0, size=160)]).held_out
    old = model(border=0.9, frame_side=40.0)
    as_predicted = replace(old, network=with_shrink(old.network, 4))
    as_predicted = replace(as_predicted, card=replace(old.card, frame_side=0.0))
    verdicts = [
        finish(compare(one, model(border=0.5), held_out, ("disc",), 0, CPU))
        for one in (old, as_predicted)
    ]
    assert verdicts[0] == verdicts[1]


def test_a_candidate_leaves_out_what_is_unlike_corrected_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Limits] = []

    def counted(*arguments: Any) -> Job[Counts]:
        seen.append(arguments[5])
        return count_pixels(*arguments)

    monkeypatch.setattr("napari_rwkvseg.engine.retrain.count_pixels", counted)
    taught = lesson([corrected(0, size=160)], [corrected(1, size=160)])
    rows, columns = np.indices(taught.replay[0].truth.shape) % 16 // 4 % 3
    truth = ((rows > 0) & (columns > 0)).astype(np.uint8)  # squares of eight by eight
    taught = replace(taught, replay=(replace(taught.replay[0], truth=truth),))
    assert least_size(taught.fresh) > 15
    found = retrained(model(border=0.9, min_size=3, peak=0.25), taught)
    assert found.limits.min_size == 15  # a quarter of 64, less a little: there are a hundred
    assert seen[0] == Limits(3, 0.25)
    assert {limits.min_size for limits in seen[1:]} == {15}
    assert found.limits in seen[1:]


def test_the_peak_is_that_of_the_candidate_on_what_it_was_taught() -> None:
    taught = lesson([corrected(0)])
    found = retrained(model(border=0.9), taught)
    pieces = [piece for piece in taught.fresh if piece.truth.any()]
    peaks = [(p, probabilities(found.tuned.network, p.image, CPU)[1:]) for p in pieces]
    assert found.limits.peak == least_peak(peaks)
    assert 0.5 < found.limits.peak <= SUREST


def test_without_a_whole_object_the_smallest_stays_what_it_was() -> None:
    plane = corrected(0)
    taught = lesson([replace(plane, truth=np.ones_like(plane.truth))])
    assert least_size(taught.fresh) == 0
    assert retrained(model(border=0.9, min_size=3), taught).limits.min_size == 3


def test_two_finished_models_are_compared_as_they_predict() -> None:
    held_out = lesson([corrected(0), corrected(1)]).held_out
    good, bad = model(border=0.5), model(border=0.9)
    found = finish(compare(bad, good, held_out, ("disc",), 0, CPU))
    assert found.answer == "better"
    assert found.fresh.new_dice > 0.99
    strict = replace(good, card=replace(good.card, min_size=10**6))
    assert finish(compare(bad, strict, held_out, ("disc",), 0, CPU)).fresh.new_dice == 0
    assert finish(compare(strict, bad, held_out, ("disc",), 0, CPU)).fresh.old_dice == 0


def test_slices_of_one_block_are_not_many_blocks() -> None:
    block = ((slice(0, 64), slice(0, 64)),)
    stack = [HeldOut(corrected(0, plane=plane), block) for plane in range(20)]
    old, new = model(border=0.9), model(border=0.5)
    found = finish(compare(old, new, stack, ("disc",), 0, CPU))
    assert (found.fresh.n, found.fresh.pixels, found.answer) == (1, 20 * 64 * 64, "cannot tell")
    two = finish(compare(old, new, [*stack, HeldOut(corrected(1), block)], ("disc",), 0, CPU))
    assert (two.fresh.n, two.answer) == (2, "better")


def test_a_class_that_a_model_does_not_know_it_does_not_find() -> None:
    held_out = lesson([corrected(0)]).held_out
    other = model(border=0.5, class_names=("ring",))
    found = finish(compare(other, model(border=0.5), held_out, ("disc",), 0, CPU))
    assert (found.fresh.old_dice, found.answer) == (0, "better")
