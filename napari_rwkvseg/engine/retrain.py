"""One retrain: a candidate from corrections, and the verdict on it; nothing goes to disk here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.classes import shared_classes, with_classes
from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.finetune import Finetuned, finetune
from napari_rwkvseg.engine.judge import (
    Counts,
    HeldOut,
    Verdict,
    block_pixels,
    count_pixels,
    judge,
)
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.network.model import SegmentationNetwork

LEAST_SHARE = 0.5  # of the seconds that learning gets, however long the comparison takes


@dataclass(frozen=True, eq=False)
class Lesson:
    """What to learn from and what to judge by.

    Attributes
    ----------
    fresh, replay : tuple of Evidence
        New corrections, and those learnt before; nothing that is held out.
    held_out : tuple of HeldOut
        Of both.
    class_names : tuple of str
        Classes of the evidence, in label order.
    """

    fresh: tuple[Evidence, ...]
    replay: tuple[Evidence, ...]
    held_out: tuple[HeldOut, ...]
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fine-tuned network with the verdict on it."""

    tuned: Finetuned
    verdict: Verdict


def retrain(
    model: Model,
    lesson: Lesson,
    options: FinetuneOptions,
    device: torch.device,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Job[Candidate]:
    """Score the old model, learn, score the new one on the same pixels, decide.

    Parameters
    ----------
    model : Model
        The old model; not changed.
    lesson : Lesson
        Corrections.
    options : FinetuneOptions
        Its seconds are for all of this.
    device : torch.device
        Where.
    token : CancelToken, optional
        Polled at every step.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    TrainingDivergedError
        If the loss stays non-finite.
    ValueError
        If there is nothing to learn from or to judge by.
    """
    if not lesson.held_out:
        raise ValueError("too few corrections: some must be held out to judge by. Accept more.")
    names, old_names = lesson.class_names, model.card.class_names
    shared = shared_classes(names, old_names)
    rows = [dict(shared).get(number) for number in range(1, 1 + len(names))]
    start = clock()
    old = yield from _count(model.network, lesson.held_out, rows, device, token)
    spent = clock() - start
    network = with_classes(model.network, old_names, names)
    seconds = max(LEAST_SHARE * options.seconds, options.seconds - 2.5 * spent)
    tuned = yield from finetune(
        network,
        model.network,
        shared,
        lesson.fresh,
        lesson.replay,
        replace(options, seconds=seconds),
        device,
        token,
        clock,
    )
    all_rows = list(range(1, 1 + len(names)))
    new = yield from _count(tuned.network, lesson.held_out, all_rows, device, token)
    return Candidate(tuned, _judge(lesson, old, new, options.seed))


def _count(
    network: SegmentationNetwork,
    held_out: Sequence[HeldOut],
    rows: Sequence[int | None],
    device: torch.device,
    token: CancelToken | None,
) -> Job[Counts]:
    counts = yield from count_pixels(network.to(device), held_out, rows, device, token)
    network.cpu()
    return counts


def _judge(lesson: Lesson, old: Counts, new: Counts, seed: int) -> Verdict:
    replay = [held.replay for held in lesson.held_out for _ in held.blocks]
    return judge(old, new, block_pixels(lesson.held_out), replay, lesson.class_names, seed)
