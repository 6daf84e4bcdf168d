"""Training from scratch: it learns, repeats, resumes, and gives up when it must."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_rwkvseg.engine import train as train_module
from napari_rwkvseg.engine.augment import Augmentation, draw_view
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Progress, finish
from napari_rwkvseg.engine.train import (
    Trainer,
    TrainingDivergedError,
    draw_batch,
    initial_network,
    learning_rate,
    train,
)
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.engine.validate import Score
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.network.config import NetworkConfig, tiny
from napari_rwkvseg.network.model import SegmentationNetwork

CPU = torch.device("cpu")
CONFIG = replace(
    tiny(in_channels=1), widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), stem_width=8, detail_width=4
)
OPTIONS = TrainOptions(
    steps=6, batch=2, crop=32, validate_every=3, warmup=2, augmentation=Augmentation(noise=0)
)


def blobs(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :48]
    middle = rng.uniform(12, 28, 2)
    truth = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < 64
    image = truth * 0.8 + rng.normal(0.1, 0.05, truth.shape)
    return Sample(f"blob {seed}", image[..., None].astype(np.float32), truth.astype(np.uint8))


SAMPLES = [blobs(seed) for seed in range(4)]
EVEN = np.full(4, 0.25)


@dataclass
class Memory:
    """Keeps states in RAM as a checkpoint file does on disk."""

    kept: list[tuple[dict[str, Tensor], int, float]] = field(default_factory=list)

    def save(self, tensors: Mapping[str, Tensor], step: int, best: float) -> None:
        self.kept.append(({name: t.clone() for name, t in tensors.items()}, step, best))

    def load(self) -> tuple[dict[str, Tensor], int, float] | None:
        return self.kept[-1] if self.kept else None


def run(
    options: TrainOptions = OPTIONS, keeper: Memory | None = None
) -> tuple[SegmentationNetwork, Score, list[Progress]]:
    events: list[Progress] = []
    job = train(SAMPLES, SAMPLES[:2], CONFIG, options, CPU, keeper=keeper)
    network, score = finish(job, events.append)
    return network, score, events


def trainer_of(config: NetworkConfig) -> Trainer[SegmentationNetwork]:
    return Trainer(initial_network(config, OPTIONS.seed), OPTIONS, CPU)


def weights(network: SegmentationNetwork) -> dict[str, Tensor]:
    return dict(network.state_dict())


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert different == []


def test_it_learns_to_find_bright_blobs() -> None:
    options = replace(
        OPTIONS, steps=60, validate_every=60, batch=4, learning_rate=1e-2, average=0.8
    )
    network, score, events = run(options)
    losses = [dict(event.metrics)["loss"] for event in events]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert score.dice_mean > 0.5
    assert score.n == 2
    assert not network.training


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    first, second = run()[0], run()[0]
    assert_same(weights(first), weights(second))
    other = run(replace(OPTIONS, seed=1))[0]
    assert not torch.equal(
        weights(other)["stem.detail.0.weight"], weights(first)["stem.detail.0.weight"]
    )


def test_a_killed_run_goes_on_as_if_it_had_not_been_killed() -> None:
    memory = Memory()
    whole, score, _ = run(keeper=memory)
    assert [step for _, step, _ in memory.kept] == [3, 6]
    half = Memory([memory.kept[0]])
    resumed, resumed_score, events = run(keeper=half)
    assert [event.done for event in events] == [4, 5, 6]
    assert_same(weights(resumed), weights(whole))
    assert resumed_score == score


def test_the_best_validated_average_is_returned_not_the_last() -> None:
    trainer = trainer_of(CONFIG)
    assert trainer.note_score(0.9)
    best = weights(trainer.best_network())
    for step in range(3):
        trainer.step(*draw_batch(SAMPLES, EVEN, OPTIONS, step), step)
    assert not trainer.note_score(0.8)
    assert_same(weights(trainer.best_network()), best)
    assert trainer.note_score(0.95)
    assert_same(weights(trainer.best_network()), weights(trainer.average))


def test_progress_reports_loss_each_step_and_scores_at_validations() -> None:
    events = run()[2]
    assert [event.done for event in events] == [1, 2, 3, 4, 5, 6]
    scored = [event.done for event in events if "val_dice" in dict(event.metrics)]
    assert scored == [3, 6]


def test_non_finite_steps_leave_the_weights_alone_and_three_end_the_run() -> None:
    trainer = trainer_of(CONFIG)
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    images, truths = draw_batch(SAMPLES, EVEN, OPTIONS, 0)
    broken = torch.full_like(images, math.nan)
    assert math.isnan(trainer.step(broken, truths, 0))
    trainer.step(broken, truths, 1)
    assert_same(before, dict(trainer.network.named_parameters()))
    with pytest.raises(TrainingDivergedError, match="3 steps in a row gave no finite loss"):
        trainer.step(broken, truths, 2)


def test_a_view_that_is_not_finite_does_not_stay_in_the_statistics() -> None:
    trainer = trainer_of(CONFIG)
    images, truths = draw_batch(SAMPLES, EVEN, OPTIONS, 0)
    broken = images.clone()
    broken[0, 0, 3, 3] = math.inf
    trainer.step(images, truths, 0)
    trainer.step(broken, truths, 1)
    trainer.step(images, truths, 2)
    for state in (trainer.network.state_dict(), trainer.average.state_dict()):
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_in_half_precision_weights_stay_in_32_bits_and_the_loss_is_about_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = draw_batch(SAMPLES, EVEN, OPTIONS, 0)
    exact = trainer_of(CONFIG).step(*batch, 0)
    monkeypatch.setattr(
        train_module, "half_precision", lambda device: torch.autocast("cpu", torch.bfloat16)
    )
    trainer = trainer_of(CONFIG)
    found = trainer.step(*batch, 0)
    assert found == pytest.approx(exact, rel=0.02)
    assert found != exact
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}


def test_a_cancelled_token_stops_the_run() -> None:
    token = CancelToken()
    job = train(SAMPLES, SAMPLES, CONFIG, OPTIONS, CPU, token=token)
    next(job)
    token.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    options = replace(OPTIONS, steps=102, warmup=2, learning_rate=1.0)
    rates = [learning_rate(step, options) for step in (0, 1, 2, 52, 102)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])


def test_the_rate_rises_to_half_once_more_while_a_network_settles() -> None:
    options = replace(OPTIONS, steps=102, settle=52, warmup=2, learning_rate=1.0)
    rates = [learning_rate(step, options) for step in (101, 102, 103, 104, 129, 154)]
    assert rates == pytest.approx([0.0002, 0.25, 0.5, 0.5, 0.25, 0.0], abs=1e-4)


def test_a_network_settles_from_the_best_average_on_calmer_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Augmentation] = []
    begun: list[tuple[bool, bool]] = []

    def noted(sample: Sample, crop: int, augmentation: Augmentation, rng: object) -> object:
        drawn.append(augmentation)
        return draw_view(sample, crop, augmentation, rng)  # type: ignore[arg-type]

    def settle(trainer: Trainer[SegmentationNetwork]) -> None:
        Trainer.settle(trainer)
        same = [
            all(torch.equal(state[name], trainer.best[name]) for name in state)
            for state in (trainer.network.state_dict(), trainer.average.state_dict())
        ]
        begun.append((same[0], same[1]))
        assert not trainer.optimiser.state  # what was momentum there leads nowhere here

    monkeypatch.setattr(train_module, "draw_view", noted)
    monkeypatch.setattr(train_module, "Trainer", type("Noted", (Trainer,), {"settle": settle}))
    _, _, events = run(replace(OPTIONS, settle=2))
    assert begun == [(True, True)]
    assert [event.done for event in events] == list(range(1, 9))
    assert {event.total for event in events} == {8}
    assert [one.scale for one in drawn[::2]] == pytest.approx([1.6] * 6 + [1.6**0.4] * 2)
    scored = [event.done for event in events if "val_dice" in dict(event.metrics)]
    assert scored == [3, 6, 8]


def test_the_average_is_young_again_when_a_network_settles() -> None:
    trainer = Trainer(initial_network(CONFIG, 0), replace(OPTIONS, steps=1000, settle=9), CPU)
    trainer.settle()
    trainer.step(*draw_batch(SAMPLES, EVEN, OPTIONS, 1000), 1000)
    name = "decoder.classify.weight"
    new, found = (weights(one)[name] for one in (trainer.network, trainer.average))
    torch.testing.assert_close(found, torch.lerp(trainer.best[name], new, 0.9))


def test_a_run_that_is_killed_while_it_settles_goes_on_there() -> None:
    options, memory = replace(OPTIONS, settle=4), Memory()
    whole = run(options, keeper=memory)[0]
    assert [step for _, step, _ in memory.kept] == [3, 6, 9, 10]
    for kept in memory.kept[1:3]:
        assert_same(weights(run(options, keeper=Memory([kept]))[0]), weights(whole))


def test_norms_biases_and_decays_do_not_decay() -> None:
    trainer = trainer_of(CONFIG)
    decaying, free = trainer.optimiser.param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (OPTIONS.weight_decay, 0.0)
    assert {p.ndim for p in free["params"]} == {1}
    assert min(p.ndim for p in decaying["params"]) == 2


def test_views_of_a_step_do_not_depend_on_the_steps_before() -> None:
    first = draw_batch(SAMPLES, EVEN, OPTIONS, 5)
    draw_batch(SAMPLES, EVEN, OPTIONS, 6)
    again = draw_batch(SAMPLES, EVEN, OPTIONS, 5)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], draw_batch(SAMPLES, EVEN, OPTIONS, 6)[0])


def test_samples_are_drawn_by_their_chances() -> None:
    only = np.array([0, 0, 1.0, 0])
    plain = replace(OPTIONS, batch=5, augmentation=Augmentation(scale=1, free_rotation=0))
    truths = draw_batch(SAMPLES, only, plain, 0)[1]
    alone = draw_batch([SAMPLES[2]], np.ones(1), plain, 0)[1]
    assert truths.sum() > 0
    assert abs(int(truths.sum()) - int(alone.sum())) < truths.numel() / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "huge"}, "choose one of tiny, base"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"settle": -1}, "settle must not be below 0"),
    ],
)
def test_options_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(OPTIONS, **change)  # type: ignore[arg-type]


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image to train on"):
        finish(train([], SAMPLES, CONFIG, OPTIONS, CPU))


def test_a_network_begins_at_the_weights_of_another_where_they_fit() -> None:
    start = initial_network(CONFIG, 3)
    two_classes = replace(CONFIG, n_classes=3)
    first, second = (initial_network(two_classes, 0, start) for _ in range(2))
    assert_same(weights(first), weights(second))  # what is fresh is drawn by the seed
    kept = {k: v for k, v in weights(start).items() if not k.startswith("decoder.classify")}
    assert_same(kept, {k: weights(first)[k] for k in kept})
    assert first.config == two_classes
    other = initial_network(two_classes, 1, start)
    fresh = "decoder.classify.weight"
    assert not torch.equal(weights(first)[fresh], weights(other)[fresh])


def test_a_start_without_some_parts_leaves_these_fresh() -> None:
    start = initial_network(replace(CONFIG, gate=False, decoder="shuffle"), 3)
    network = initial_network(CONFIG, 0, start)
    assert network.config == CONFIG
    name = "stem.detail.0.weight"
    assert torch.equal(weights(network)[name], weights(start)[name])


def test_a_start_with_other_levels_is_refused() -> None:
    start = initial_network(replace(CONFIG, widths=(8, 8, 8, 16)), 0)
    with pytest.raises(RwkvSegError, match=r"\(8, 8, 8, 8\) channels .* start at one of"):
        initial_network(CONFIG, 0, start)


def test_training_starts_where_it_is_told() -> None:
    start = initial_network(CONFIG, 3)
    memory = Memory()
    options = replace(OPTIONS, steps=1, validate_every=1, learning_rate=1e-9, warmup=1)
    finish(train(SAMPLES, SAMPLES[:1], CONFIG, options, CPU, keeper=memory, start=start))
    name = "stem.detail.0.weight"
    after = memory.kept[0][0][f"network/{name}"]
    torch.testing.assert_close(after, weights(start)[name], atol=1e-6, rtol=0)


def test_a_network_that_shrinks_its_images_learns_from_shrunk_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[int, int, float]] = []

    def watch(
        sample: Sample, crop: int, augmentation: Augmentation, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        drawn.append((*sample.truth.shape, crop))
        return draw_view(sample, crop, augmentation, rng)

    monkeypatch.setattr(train_module, "draw_view", watch)
    config, options = replace(CONFIG, shrink=2), replace(OPTIONS, steps=1, crop=64)
    network, score = finish(train(SAMPLES, SAMPLES[:2], config, options, CPU))
    assert set(drawn) == {(20, 24, 32)}  # of images 40 x 48
    assert network.config == config
    assert score.n == 2
