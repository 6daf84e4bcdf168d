"""Fine-tuning: it learns, repeats, stops when asked, and survives what is not finite."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_rwkvseg.engine import finetune as finetune_module
from napari_rwkvseg.engine.evidence import REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.evidence_views import PLAIN, Views
from napari_rwkvseg.engine.finetune import FEWEST, Finetuned, finetune, schedule
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Progress, finish
from napari_rwkvseg.engine.scale import shrunk, with_shrink
from napari_rwkvseg.engine.train import TrainingDivergedError
from napari_rwkvseg.engine.tuner import FinetuneOptions, Tuner
from napari_rwkvseg.network.encoder import Stem
from napari_rwkvseg.network.model import SegmentationNetwork
from tests.corrected import CPU, LEARNING, QUICK, corrected, network

SHARED = ((1, 1),)


def tuned(
    options: FinetuneOptions = QUICK,
    fresh: list[Evidence] | None = None,
    replay: list[Evidence] | None = None,
    start: SegmentationNetwork | None = None,
    events: list[Progress] | None = None,
) -> Finetuned:
    start = start or network(border=0.9)
    job = finetune(start, start, SHARED, fresh or [corrected(0)], replay or [], options, CPU)
    return finish(job, None if events is None else events.append)


def weights(model: SegmentationNetwork) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_it_learns_what_was_corrected() -> None:
    events: list[Progress] = []
    tuned(LEARNING, events=events)
    dice = [dict(event.metrics)["dice"] for event in events if "dice" in dict(event.metrics)]
    losses = [dict(event.metrics)["loss"] for event in events]
    assert dice[-1] > 0.97
    assert losses[-1] < losses[0] / 2
    assert [event.done for event in events] == list(range(1, len(events) + 1))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, second = tuned(), tuned()
    assert torch.equal(weights(first.network), weights(second.network))
    other = tuned(replace(QUICK, seed=1))
    assert not torch.equal(weights(first.network), weights(other.network))


def test_the_start_is_not_changed() -> None:
    start = network()
    before = copy.deepcopy(start.state_dict())
    result = tuned(start=start)
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())
    assert not torch.equal(weights(start), weights(result.network))
    assert all(parameter.requires_grad for parameter in start.parameters())


def test_batch_statistics_stay_those_of_the_start() -> None:
    start = network()
    after = tuned(start=start).network.state_dict()
    names = [name for name in after if name.endswith(("running_mean", "running_var", "tracked"))]
    assert names
    assert all(torch.equal(after[name], start.state_dict()[name]) for name in names)


def test_the_first_phase_leaves_the_encoder_and_the_second_does_not() -> None:
    start = network(border=0.9)
    head = tuned(replace(QUICK, head_share=1.0), start=start).network.state_dict()
    both = tuned(replace(QUICK, head_share=0.5), start=start).network.state_dict()
    for name, value in start.state_dict().items():
        if name.startswith(("stem", "encoder")):
            assert torch.equal(head[name], value)
    assert not torch.equal(head["decoder.classify.weight"], start.decoder.classify.weight)
    stem = "stem.to_half.0.weight"
    assert not torch.equal(both[stem], start.state_dict()[stem])


def test_a_cancelled_run_ends_at_the_next_step() -> None:
    token = CancelToken()
    start = network(border=0.9)
    job = finetune(start, start, SHARED, [corrected(0)], [], QUICK, CPU, token)
    next(job)
    token.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_a_run_can_be_cancelled_while_pieces_are_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    token, seen = CancelToken(), []

    def noted(piece: Evidence, shrink: int) -> Evidence:
        seen.append(shrink)
        token.cancel()
        return shrunk(piece, shrink)

    monkeypatch.setattr("napari_rwkvseg.engine.finetune.shrunk", noted)
    start = with_shrink(network(border=0.9), 2)
    pieces = [corrected(seed) for seed in range(3)]
    with pytest.raises(Cancelled):
        next(finetune(start, start, SHARED, pieces, [], QUICK, CPU, token))
    assert seen == [2]


class Clock:
    """A clock that gains a second at each look, and 100 from look `jump` to `until`."""

    def __init__(self, jump: int = 10**6, until: int = 10**9) -> None:
        self.now, self._looks = 0.0, self._count(range(jump, until))

    def _count(self, slow: range) -> Iterator[float]:
        for look in range(10**9):
            yield 100.0 if look in slow else 1.0

    def __call__(self) -> float:
        self.now += next(self._looks)
        return self.now


def test_as_many_steps_are_planned_as_fit_into_the_seconds() -> None:
    start = network(border=0.9)
    timed = replace(QUICK, steps=None, seconds=45.0, head_share=0.0)
    clock = Clock()
    result = finish(finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=clock))
    # seven looks for the plan, a second for each of 12 checks and a quarter for cached views, then
    # one second a step, of most of the rest
    assert result.planned == int(0.95 * (45 - 7 - 12.25))


@pytest.mark.parametrize("look", [2, 4])
def test_a_computer_that_is_busy_for_a_moment_does_not_shorten_a_run(look: int) -> None:
    start = network(border=0.9)
    timed = replace(QUICK, steps=None, seconds=144.0, head_share=0.0)
    busy = Clock(jump=look, until=look + 1)  # one of the two steps that show the pace
    result = finish(finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=busy))
    assert result.planned == int(0.95 * (144 - 99 - 7 - 12.25))


def test_a_run_with_slow_steps_ends_before_its_seconds_are_over() -> None:
    start, clock = network(border=0.9), Clock()
    timed = replace(QUICK, steps=None, seconds=45.0)
    result = finish(finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=clock))
    assert FEWEST < result.steps < result.planned  # the clock is looked at three times in a step
    assert 40 < clock.now <= 45 + 2  # two of the looks are outside of a step


def test_a_run_that_takes_far_longer_than_planned_ends_early() -> None:
    start = network(border=0.9)
    timed = replace(QUICK, steps=None, seconds=45.0)
    job = finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=Clock(jump=9))
    result = finish(job)
    assert 0 < result.steps < result.planned


def test_a_slow_computer_still_takes_some_steps() -> None:
    start = network(border=0.9)
    timed = replace(QUICK, steps=None, seconds=0.5)
    job = finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=Clock())
    result = finish(job)
    assert result.planned == result.steps == FEWEST


def test_with_given_steps_the_clock_does_not_matter() -> None:
    start = network(border=0.9)
    given = replace(QUICK, seconds=1e-3)
    result = finish(finetune(start, start, SHARED, [corrected(0)], [], given, CPU, clock=Clock()))
    assert (result.steps, result.planned) == (4, 4)


def test_a_run_ends_when_there_is_nothing_more_to_learn() -> None:
    empty = corrected(0)
    nothing = replace(empty, truth=np.zeros_like(empty.truth))
    result = tuned(replace(LEARNING, steps=600), [nothing])
    assert result.steps < 600


def test_checks_that_happen_to_show_no_object_do_not_end_a_lesson_with_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = finetune_module.draw_views

    def empty_checks(*args: Any) -> Views:
        views = drawn(*args)
        checks = args[4] is PLAIN
        return replace(views, truths=torch.zeros_like(views.truths)) if checks else views

    monkeypatch.setattr(finetune_module, "draw_views", empty_checks)
    never = network(border=2.0)  # finds nothing: perfect, as far as the checks can tell
    slow = replace(LEARNING, steps=30, head_rate=1e-9, rate=1e-9, encoder_rate=1e-9)
    assert tuned(slow, start=never).steps == 30
    empty = replace(corrected(0), truth=np.zeros((64, 64), np.uint8))
    assert tuned(slow, [empty], start=never).steps < 30
    assert tuned(slow, [empty], [corrected(1)], start=never).steps == 30  # what was known counts


def test_without_evidence_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="no pixel to learn from"):
        tuned(fresh=[corrected(0, level=UNSEEN)])


def test_steps_that_stay_non_finite_are_given_up() -> None:
    poisoned = network()
    with torch.no_grad():
        poisoned.decoder.classify.bias[0] = torch.inf
    with pytest.raises(TrainingDivergedError, match="given up"):
        tuned(replace(QUICK, steps=120), start=poisoned)


def test_huge_steps_never_give_weights_that_are_not_finite() -> None:
    wild = replace(QUICK, steps=12, head_rate=1e6, rate=1e6, encoder_rate=1e6)
    try:
        result = tuned(wild)
    except TrainingDivergedError:
        return
    assert bool(torch.isfinite(weights(result.network)).all())


def test_what_nobody_looked_at_is_taught_by_the_old_model() -> None:
    half = corrected(0)
    levels = half.levels.copy()
    levels[:, 32:] = UNSEEN
    half = replace(half, levels=levels, truth=np.zeros_like(half.truth))  # "nothing here"

    def moved(distillation: float) -> float:
        start = network()
        options = replace(LEARNING, distillation=distillation)
        new = tuned(options, [half], start=start).network
        image = torch.from_numpy(half.image[None, ..., 0])[None]
        with torch.inference_mode():
            old_answer, new_answer = (n(image).softmax(1)[0, 1, :, 40:] for n in (start, new))
        return float((old_answer - new_answer).abs().mean())

    assert moved(100.0) < moved(0.0) / 2


def test_replayed_images_are_learnt_too() -> None:
    dark = corrected(1)
    dark = replace(dark, image=dark.image * 0.5, image_id="dim discs")  # discs of 0.45
    options = replace(LEARNING, distillation=0.0, replay_share=0.5)

    def error(replay: list[Evidence]) -> float:
        new = tuned(options, [corrected(0)], replay).network
        image = torch.from_numpy(dark.image[None, ..., 0])[None]
        with torch.inference_mode():
            found = new(image).argmax(1)[0].numpy()
        return float((found != dark.truth).mean())

    assert error([dark]) < error([]) / 2


def test_only_evidence_counts_in_the_score() -> None:
    flawed = corrected(0)
    truth = flawed.truth.copy()
    truth[:, :32] = 1 - truth[:, :32]  # nonsense where nobody looked
    levels = np.full(truth.shape, REVIEWED, np.uint8)
    levels[:, :32] = UNSEEN
    events: list[Progress] = []
    options = replace(LEARNING, distillation=0.0)
    tuned(options, [replace(flawed, truth=truth, levels=levels)], events=events)
    assert dict(events[-1].metrics)["dice"] > 0.85


def test_the_schedule_warms_up_and_ends_at_nothing() -> None:
    assert schedule(0, 100) == pytest.approx(0.2)
    assert schedule(4, 10**9) == pytest.approx(1)
    assert schedule(50, 100) == pytest.approx(0.5)
    assert schedule(100, 100) == pytest.approx(0)


@pytest.mark.parametrize("name", ["seconds", "steps", "batch", "crop", "cached"])
def test_options_below_1_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        FinetuneOptions(**{name: 0})  # type: ignore[arg-type]


def test_finding_nothing_yet_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_rwkvseg.engine.finetune._Run._score", lambda _: 0.0)
    assert tuned(replace(QUICK, steps=20)).steps == 20
    monkeypatch.setattr("napari_rwkvseg.engine.finetune._Run._score", lambda _: 0.5)
    assert tuned(replace(QUICK, steps=20)).steps < 20


@pytest.mark.parametrize(("shrink", "side"), [(1, 32), (2, 32), (4, 20)])
def test_views_are_as_large_as_the_network_reads_but_not_larger_than_the_pieces(
    shrink: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = set()
    plain = SegmentationNetwork.forward

    def watched(self: SegmentationNetwork, image: torch.Tensor) -> torch.Tensor:
        sides.add(image.shape[-1])
        return plain(self, image)

    monkeypatch.setattr(SegmentationNetwork, "forward", watched)
    start = with_shrink(network(), shrink)
    found = tuned(replace(QUICK, crop=32), fresh=[corrected(0, size=80)], start=start)
    assert sides == {side}
    assert found.network.config.shrink == shrink


FULL = [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("DefaultCPUAllocator: no")]


def fail_while(monkeypatch: pytest.MonkeyPatch, too_much: Callable[[torch.Tensor], bool],
               error: Exception = FULL[0]) -> None:  # fmt: skip
    """Let networks that learn run out of memory on views that are too much."""
    plain = SegmentationNetwork.forward

    def watched(self: SegmentationNetwork, image: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and too_much(image):
            raise error
        return plain(self, image)

    monkeypatch.setattr(SegmentationNetwork, "forward", watched)


@pytest.mark.parametrize("error", FULL, ids=["device", "python", "allocator"])
def test_a_step_that_does_not_fit_is_taken_anew_with_half_of_its_views(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def noted(image: torch.Tensor) -> bool:
        sizes.append(len(image))
        return len(sizes) == 2

    fail_while(monkeypatch, noted, error)
    events: list[Progress] = []
    result = tuned(replace(QUICK, batch=4, head_share=0.0), events=events)
    assert sizes == [4, 4, 2, 2, 2]
    assert result.steps == 4
    assert [event.message for event in events] == [
        "Retraining", *["Retraining with fewer views at a time: not enough memory"] * 3,
    ]  # fmt: skip
    assert bool(torch.isfinite(weights(result.network)).all())


def test_memory_that_runs_out_while_a_run_is_planned_does_not_shorten_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_while(monkeypatch, lambda image: len(image) > 1)
    start = network(border=0.9)
    timed = replace(QUICK, steps=None, seconds=45.0, head_share=0.0)
    result = finish(finetune(start, start, SHARED, [corrected(0)], [], timed, CPU, clock=Clock()))
    assert result.planned == int(0.95 * (45 - 7 - 12.25))


def test_checks_that_do_not_fit_at_once_are_looked_at_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes, plain = set(), Stem.forward

    def watched(self: Stem, image: torch.Tensor) -> Any:
        if not torch.is_grad_enabled():
            sizes.add(len(image))
            if len(image) > 4:
                raise torch.OutOfMemoryError("x")
        return plain(self, image)

    monkeypatch.setattr(Stem, "forward", watched)
    assert tuned(replace(QUICK, cached=8, head_share=0.5)).steps == 4
    assert sizes == {8, 4, 2}  # a check, its parts, what is cached


def test_one_view_that_does_not_fit_on_the_processor_ends_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_while(monkeypatch, lambda _: True)
    with pytest.raises(MemoryError):
        tuned(replace(QUICK, head_share=0.0))


def test_other_errors_of_a_step_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_while(monkeypatch, lambda _: True, RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        tuned(replace(QUICK, head_share=0.0))


@pytest.mark.parametrize("head_share", [0.0, 1.0])
def test_what_does_not_fit_on_a_graphics_card_goes_on_on_the_processor(
    head_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graphics card is this processor under another name, with memory for two steps."""
    moved: list[str] = []
    steps, plain = iter(range(1, 99)), Tuner.step

    def full(self: Tuner, *args: Any) -> float:
        if self.device.type == "cuda" and next(steps) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, *args)

    def to(self: torch.nn.Module, device: torch.device) -> torch.nn.Module:
        moved.append(device.type)
        return self

    monkeypatch.setattr(Tuner, "step", full)
    monkeypatch.setattr(torch.nn.Module, "to", to)
    monkeypatch.setattr(Views, "to", lambda self, _: self)
    events: list[Progress] = []
    start, options = network(border=0.9), replace(QUICK, head_share=head_share)
    card = torch.device("cuda:0")
    job = finetune(start, start, SHARED, [corrected(0)], [], options, card)
    assert finish(job, events.append).steps == 4
    assert moved == ["cuda"] * 2 + ["cpu"] * 3
    assert [event.message for event in events] == [
        *["Retraining"] * 2,
        *["Retraining on the processor: not enough memory on the graphics card"] * 2,
    ]


def a_tuner() -> tuple[Tuner, Views]:
    """One that learns everything, and what to learn."""
    options = replace(QUICK, distillation=0.0)
    tuner = Tuner(network(border=0.9), network(), SHARED, options, CPU)
    tuner.begin_phase(head_only=False)
    rng = np.random.default_rng(0)
    source = finetune_module.EvidenceSource([corrected(0)])
    return tuner, finetune_module.draw_views(source, None, 2, 32, PLAIN, 0.0, rng)


def learn(tuner: Tuner, views: Views) -> float:
    return tuner.step(views, 1.0, lambda: tuner.network(views.images))


@pytest.mark.parametrize("before", [0, 2])
def test_a_step_that_fails_half_way_leaves_no_trace(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuner, views = a_tuner()
    other, _ = a_tuner()
    for _ in range(before):
        learn(tuner, views), learn(other, views)

    def half(*args: Any, **keywords: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("x")

    with monkeypatch.context() as patch:  # the gradients are there by then
        patch.setattr("napari_rwkvseg.engine.tuner.nn.utils.clip_grad_norm_", half)
        with pytest.raises(torch.OutOfMemoryError):
            learn(tuner, views)
    tuner.drop_gradients()
    assert all(parameter.grad is None for parameter in tuner.network.parameters())
    tuner.move_to(CPU)  # the state of the optimiser comes along
    for _ in range(2):
        assert learn(tuner, views) == learn(other, views)
    assert torch.equal(weights(tuner.network), weights(other.network))
    assert torch.equal(weights(tuner.average), weights(other.average))


def test_an_optimiser_that_finds_no_memory_for_its_state_leaves_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuner, views = a_tuner()
    other, _ = a_tuner()
    made, plain = iter(range(1, 999)), torch.zeros_like

    def full(*args: Any, **keywords: Any) -> torch.Tensor:
        if next(made) == 2 * len(list(tuner.network.decoder.parameters())) + 2:
            raise torch.OutOfMemoryError("x")
        return plain(*args, **keywords)

    with monkeypatch.context() as patch:  # the decoder, a group of its own, has been changed
        patch.setattr(torch, "zeros_like", full)
        with pytest.raises(torch.OutOfMemoryError):
            learn(tuner, views)
    assert torch.equal(weights(tuner.network), weights(other.network))
    assert learn(tuner, views) == learn(other, views)
    assert torch.equal(weights(tuner.network), weights(other.network))
