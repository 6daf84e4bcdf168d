"""Fine-tuning on corrections: from a model and what people said to a candidate, in seconds.

First only the decoder learns, on encoder features that are computed once; then all weights, with
smaller steps. Batch statistics stay those of the start: a few crops of one image would spoil them.
Where nobody looked, and on images learnt before, the old model is the teacher, so that nothing is
forgotten. The result is the moving average of the weights. What a step draws is a function of seed
and step; the number of steps is fixed before the first one. So the same evidence, seed, steps,
device and thread count give the same weights.

Where memory runs out, a step is taken anew with half of its views, and at last on the processor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from napari_rwkvseg.engine.effort import is_out_of_memory, or_on_processor
from napari_rwkvseg.engine.evidence import UNSEEN, Evidence
from napari_rwkvseg.engine.evidence_loss import Shared
from napari_rwkvseg.engine.evidence_views import PLAIN, EvidenceSource, Views, draw_views
from napari_rwkvseg.engine.losses import hard_dice
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.scale import shrunk, with_shrink
from napari_rwkvseg.engine.tuner import EncodedViews, FinetuneOptions, Tuner
from napari_rwkvseg.network.model import SegmentationNetwork

MARGIN = 0.95  # of the seconds that steps are planned for: the pace may fall
FEWEST = 8  # steps of a planned run, however slow the computer
HEAD_COST = 0.5  # of a step of the first phase, against one of the second
CHECKS, CHECK_VIEWS = 12, 8  # in a run; views that a check looks at
PLATEAU, PATIENCE = 0.001, 6  # Dice; checks without such a gain before the run ends
PERFECT = 0.998  # Dice from which on there is nothing more to learn
WARM_UP = 5  # steps of each phase
CHECKED_AT_ONCE = 4  # for each view of a step: without gradients they take less
PLAN, CHECK, CACHE = -1, -2, -3  # in place of a step's number: what is drawn besides the steps

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Finetuned:
    """A candidate.

    Attributes
    ----------
    network : SegmentationNetwork
        In evaluation mode, on the processor.
    steps, planned : int
        Taken; planned before the first one. A run with `planned` as its option is repeatable.
    """

    network: SegmentationNetwork
    steps: int
    planned: int


def finetune(
    network: SegmentationNetwork,
    teacher: SegmentationNetwork,
    shared: Shared,
    fresh: Sequence[Evidence],
    replay: Sequence[Evidence],
    options: FinetuneOptions,
    device: torch.device,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Job[Finetuned]:
    """Learn from corrections.

    Parameters
    ----------
    network, teacher : SegmentationNetwork
        Where to start, and the old model; they are the same network unless classes changed.
        Neither is changed.
    shared : sequence of (int, int)
        Numbers of the classes that both know: here, there.
    fresh, replay : sequence of Evidence
        Corrections to learn, and those learnt before; nothing that is held out.
    options : FinetuneOptions
        How.
    device : torch.device
        Where to begin.
    token : CancelToken, optional
        Polled at every step.
    clock : callable
        Monotonic seconds.

    Yields
    ------
    Progress
        One per step with the metric ``loss``; at each check also ``dice`` of the average on views
        of the corrections.

    Returns
    -------
    Finetuned

    Raises
    ------
    MemoryError
        If not even one view at a time fits on the processor.
    TrainingDivergedError
        If the loss stays non-finite.
    ValueError
        If no pixel has evidence.
    """
    if not any(piece.seen.any() for piece in (*fresh, *replay)):
        raise ValueError("no pixel to learn from: correct or accept a region first")
    start, token = clock(), token or CancelToken()
    # a network that shrinks its images learns the same from pieces that are shrunk once, and sooner
    shrink = network.config.shrink
    fresh, replay = (_all_shrunk(pieces, shrink, token) for pieces in (fresh, replay))
    tuner = or_on_processor(
        partial(Tuner, with_shrink(network, 1), with_shrink(teacher, 1), shared, options), device
    )
    run = _Run(tuner, fresh, replay, token, clock, start)
    steps = yield from run.steps()
    return Finetuned(with_shrink(tuner.average.cpu(), shrink), steps, run.planned)


def _all_shrunk(pieces: Sequence[Evidence], shrink: int, token: CancelToken) -> list[Evidence]:
    """Return all pieces at the scale of a network; a large one takes a fraction of a second."""
    found = []
    for piece in pieces:
        token.raise_if_cancelled()
        found.append(shrunk(piece, shrink))
    return found


class _Run:
    """One run: its clock, its views, its checks, and what memory allows."""

    def __init__(
        self,
        tuner: Tuner,
        fresh: Sequence[Evidence],
        replay: Sequence[Evidence],
        token: CancelToken,
        clock: Callable[[], float],
        start: float,
    ) -> None:
        self._fresh = EvidenceSource(fresh or replay)
        self._replay = EvidenceSource(replay) if replay else None
        self._tuner, self._options = tuner, tuner.options
        self._batch, self._message = tuner.options.batch, "Retraining"
        self._encoded: EncodedViews | None = None
        widest = max(max(piece.truth.shape) for piece in (*fresh, *replay))
        self._crop = min(tuner.options.crop, widest)
        self._token, self._clock, self._start = token, clock, start
        self._checked = self._bearable(partial(self._draw, CHECK, CHECK_VIEWS, plain=True))
        # views without an object, of a lesson that has some, are soon perfect and tell nothing
        objects = any(piece.shows_object for piece in (*fresh, *replay))
        self._telling = _shows(self._checked) or not objects
        self.planned = self._options.steps or self._plan()
        self._every = max(1, self.planned // CHECKS)
        self._best, self._stale, self._longest = -math.inf, 0, 0.0

    def steps(self) -> Job[int]:
        """Take all steps; return how many."""
        head = round(self.planned * self._options.head_share)
        if head:
            self._bearable(self._encode)
        for step in range(self.planned):
            self._token.raise_if_cancelled()
            if step >= FEWEST and self._late():
                return step
            began = self._clock()
            if step in (0, head):
                self._tuner.begin_phase(head_only=step < head)
            loss = self._bearable(partial(self._step, step, head))
            metrics = (("loss", loss), *self._check(step + 1))
            self._longest = max(self._longest, self._clock() - began)
            yield Progress(step + 1, self.planned, self._message, metrics)
            if self._telling and (self._stale >= PATIENCE or self._best >= PERFECT):
                return step + 1
        return self.planned

    def _bearable(self, work: Callable[[], T]) -> T:
        """Return what some work gives; each time that memory runs out, do it anew with less.

        The retreat comes after the error, and with it all that its traceback held, is gone.
        """
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            self._retreat()

    def _retreat(self) -> None:
        """Halve the views of a step, then go on with the processor, then give up."""
        self._tuner.drop_gradients()
        if self._batch > 1:
            self._batch //= 2
            self._message = "Retraining with fewer views at a time: not enough memory"
        elif self._tuner.device.type != "cpu":
            self._encoded = None
            self._tuner.move_to(torch.device("cpu"))
            self._message = "Retraining on the processor: not enough memory on the graphics card"
        else:
            raise MemoryError("one view at a time does not fit")
        torch.cuda.empty_cache()

    def _step(self, step: int, head: int) -> float:
        if step < head:
            return self._head_step(step, head)
        return self._full_step(step, step - head, self.planned - head)

    def _head_step(self, step: int, count: int) -> float:
        rng, encoded = self._rng(step), self._encode()
        number = min(self._batch, len(encoded.views.images))
        chosen = torch.from_numpy(rng.permutation(len(encoded.views.images))[:number])
        chosen = chosen.to(encoded.views.images.device)
        return self._tuner.step(
            encoded.views.select(chosen),
            schedule(step, count),
            lambda: encoded.decode(self._tuner.network, chosen),
        )

    def _full_step(self, step: int, since: int, count: int) -> float:
        views = self._draw(step, self._batch)
        self._token.raise_if_cancelled()
        return self._tuner.step(
            views, schedule(since, count), lambda: self._tuner.network(views.images)
        )

    def _encode(self) -> EncodedViews:
        """Return the views of the first phase, computed anew only after a change of the device."""
        if self._encoded is None:
            views = self._draw(CACHE, self._options.cached)
            self._encoded = EncodedViews(self._tuner.network, views, self._batch)
        return self._encoded

    def _check(self, done: int) -> tuple[tuple[str, float], ...]:
        """Score the average now and then; note whether it still gets better."""
        if done % self._every and done != self.planned:
            return ()
        dice = self._bearable(self._score)
        # nothing found yet is no plateau
        self._stale = 0 if dice > self._best + PLATEAU or not dice else self._stale + 1
        self._best = max(self._best, dice)
        return (("dice", dice),)

    def _score(self) -> float:
        """Return the Dice of the average where there is evidence, over all foreground at once."""
        views = self._checked.to(self._tuner.device)
        parts = torch.split(views.images, CHECKED_AT_ONCE * self._batch)
        with torch.no_grad():
            found = torch.cat([self._tuner.average(part).argmax(dim=1) for part in parts])
        seen = views.levels != UNSEEN
        inside, wanted = ((mask > 0) & seen for mask in (found, views.truths))
        # all views as one image, (1, B * crop, crop)
        return float(
            hard_dice(inside.float().flatten(0, 1)[None], wanted.float().flatten(0, 1)[None])
        )

    def _plan(self) -> int:
        """Return how many steps fit into the seconds, besides checks and cached views.

        The pace is the better of two steps that change nothing: the first one of a process is slow,
        and whatever else the computer does for a moment must not shorten the whole run.
        """
        pace = math.inf
        for _ in range(2):
            self._token.raise_if_cancelled()
            start = self._clock()
            self._bearable(self._rehearse)
            pace = min(pace, self._clock() - start)
        share = self._options.head_share
        mean = pace * (share * HEAD_COST + 1 - share)
        start = self._clock()
        self._bearable(self._score)
        # a cached view is drawn and encoded: about as much as a view that is checked
        looks = CHECKS + self._options.cached / CHECK_VIEWS
        apart = looks * (self._clock() - start)
        left = self._options.seconds - apart - (self._clock() - self._start)
        return max(FEWEST, int(MARGIN * left / max(mean, 1e-6)))

    def _rehearse(self) -> None:
        self._tuner.rehearse(self._draw(PLAN, self._batch))

    def _late(self) -> bool:
        """Whether another step might take a planned run beyond its seconds."""
        spent = self._clock() - self._start
        return self._options.steps is None and spent + self._longest > self._options.seconds

    def _draw(self, step: int, count: int, plain: bool = False) -> Views:
        options = self._options
        augmentation = PLAIN if plain else options.augmentation
        share = options.replay_share
        rng = self._rng(step)
        views = draw_views(self._fresh, self._replay, count, self._crop, augmentation, share, rng)
        return views.to(self._tuner.device)

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng((self._options.seed, step - CACHE))


def _shows(views: Views) -> bool:
    """Whether some view shows an object that was corrected or gone through."""
    return bool(((views.truths > 0) & (views.levels != UNSEEN)).any())


def schedule(step: int, count: int) -> float:
    """Return the part of the full step size: a short linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * 0.5 * (1 + math.cos(math.pi * step / max(1, count)))
