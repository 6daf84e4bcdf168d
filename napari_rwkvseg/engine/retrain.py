"""One retrain: a candidate from corrections, and the verdict on it; nothing goes to disk here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_rwkvseg.engine.blend import blend
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.classes import shared_classes, with_classes
from napari_rwkvseg.engine.comparison import (
    Counts,
    HeldOut,
    block_pixels,
    block_places,
    count_pixels,
    probabilities,
    through_planes,
)
from napari_rwkvseg.engine.doubt import KEEP_ALL, Limits, least_peak, least_size
from napari_rwkvseg.engine.effort import enough_to_retrain
from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.finetune import Finetuned, finetune
from napari_rwkvseg.engine.judge import Verdict, judge
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.engine.scale import (
    at_frame,
    evidence_width,
    fitting_shrink,
    frame_side,
    size_before,
    with_shrink,
)
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.network.model import SegmentationNetwork

LEAST_SHARE = 0.5  # of the seconds that learning gets, however long the comparison takes
SHORTER = (0.5, 0.25, 0.125)  # parts of the way that are tried if the whole of it is not better
CONTRADICTS = 0.1  # Dice: who loses so much has not forgotten, but was told the opposite
# Pieces looked at for peaks, and their side as the network reads them: seconds count.
MOST_PEAKS, PEAK_SIDE = 12, 384
KNOWN = 0.5  # Dice of the old model on images of the kind that it was made for, at least
COMPARED = 2.5  # comparisons that learning must leave time for, the first one included


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
    by_heart : bool
        Whether all that judges are other parts of objects that the old model was taught: whoever
        learns more may lose some of that and be better elsewhere.
    """

    fresh: tuple[Evidence, ...]
    replay: tuple[Evidence, ...]
    held_out: tuple[HeldOut, ...]
    class_names: tuple[str, ...]
    by_heart: bool = False


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fine-tuned network with the verdict on it.

    Attributes
    ----------
    tuned : Finetuned
        Its network may lie on the way from the old weights to those that were learnt.
    verdict : Verdict
        Whether it is better.
    share : float
        Of that way; 1 is all of it.
    object_width, frame_side : float
        For the card of the new model.
    limits : Limits
        What its finds must have to count, for the card too.
    """

    tuned: Finetuned
    verdict: Verdict
    share: float = 1.0
    object_width: float = 0.0
    frame_side: float = 0.0
    limits: Limits = KEEP_ALL


def retrain(
    model: Model,
    lesson: Lesson,
    options: FinetuneOptions,
    device: torch.device,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Job[Candidate]:
    """Score the old model, learn, score the new one on the same pixels, decide.

    If the new one is not better, networks between the two are tried, the newest first: they keep
    more of what was learnt before, and depend less on the luck of a short run. None is tried if
    the new one has lost most of what was learnt before: such corrections contradict earlier ones.

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
    RwkvSegError
        If memory does not suffice.
    TrainingDivergedError
        If the loss stays non-finite.
    ValueError
        If there is nothing to learn from or to judge by.
    """
    with enough_to_retrain(model.card.name):
        found = yield from _retrain(model, lesson, options, device, token, clock)
    return found


def _retrain(
    model: Model,
    lesson: Lesson,
    options: FinetuneOptions,
    device: torch.device,
    token: CancelToken | None,
    clock: Callable[[], float],
) -> Job[Candidate]:
    if not lesson.held_out:
        raise ValueError("too few corrections: some must be held out to judge by. Accept more.")
    if not (lesson.fresh or lesson.replay):
        raise ValueError("all corrections at hand are held out to judge by. Correct another image.")
    fitted = _at_usual_frame(model, lesson.held_out)
    names, old_names = lesson.class_names, model.card.class_names
    shared = shared_classes(names, old_names)
    start = clock()
    shrink = fitted.network.config.shrink
    network = with_classes(fitted.network, old_names, names)
    network, width = _at_fitting_scale(network, fitted.card.object_width, lesson, token)
    measured = clock() - start
    old = yield from _count_found(model, lesson.held_out, names, device, token)
    spent = clock() - start - measured
    if network.config.shrink != shrink:
        # what the old model sees at its own scale is as wrong as what made people correct it
        options = replace(options, distillation=0.0)
    parts = _showing_parts(lesson, network.config.shrink)
    left = options.seconds - measured - _seconds_to_judge(spent, lesson, parts)
    seconds = max(LEAST_SHARE * options.seconds, left)
    tuned = yield from finetune(
        network,
        fitted.network,
        shared,
        lesson.fresh,
        lesson.replay,
        replace(options, seconds=seconds),
        device,
        token,
        clock,
    )
    least = least_size((*lesson.fresh, *lesson.replay)) or fitted.card.min_size
    # what it learns of another kind need not be frames: their pixels may be lengths
    known = _verdict(lesson.held_out, names, old, old, options.seed).fresh.old_dice >= KNOWN
    frames = known and network.config.shrink == shrink
    grown = _grown(fitted, model) if frames else 1.0
    court = _Court(lesson, parts, old, least, grown, options.seed, device, token)
    found = yield from _longest_step(network, tuned, court)
    return _at_learnt_frame(found, model, shrink) if frames else replace(found, object_width=width)


def compare(
    old: Model,
    new: Model,
    held_out: Sequence[HeldOut],
    class_names: Sequence[str],
    seed: int,
    device: torch.device,
    token: CancelToken | None = None,
) -> Job[Verdict]:
    """Judge between two finished models by corrections that neither has learnt from.

    Parameters
    ----------
    old, new : Model
        Not changed.
    held_out : sequence of HeldOut
        What to judge by.
    class_names : sequence of str
        Its classes, in label order.
    seed : int
        Of the judge's draws.
    device, token
        As for `retrain`.

    Raises
    ------
    RwkvSegError
        If memory does not suffice.
    ValueError
        If there is nothing to judge by.
    """
    with enough_to_retrain(new.card.name):
        before = yield from _count_found(old, held_out, class_names, device, token)
        after = yield from _count_found(new, held_out, class_names, device, token)
    return _verdict(held_out, class_names, before, after, seed)


def _at_usual_frame(model: Model, held_out: Sequence[HeldOut]) -> Model:
    """Return the model as it reads images of the size of those that judge."""
    sides = [frame_side(held.evidence.truth.shape) for held in held_out]
    return at_frame(model, float(np.median(sides))) if sides else model


def _grown(fitted: Model, model: Model) -> float:
    """Return how many times as large what it reads at once is as before `at_frame`, each way."""
    return fitted.network.config.shrink / model.network.config.shrink


def _at_learnt_frame(found: Candidate, model: Model, shrink: int) -> Candidate:
    """Return a candidate that learnt at some scale as it reads the frames that the model knows.

    At a prediction `at_frame` brings it to the scale of other frames, as it does the model.
    """
    before = model.network.config.shrink
    size = size_before(found.limits.min_size, shrink, before)
    return replace(
        found,
        tuned=replace(found.tuned, network=with_shrink(found.tuned.network, before)),
        object_width=model.card.object_width,
        frame_side=model.card.frame_side,
        limits=replace(found.limits, min_size=size),
    )


def _at_fitting_scale(
    network: SegmentationNetwork, learnt: float, lesson: Lesson, token: CancelToken | None
) -> tuple[SegmentationNetwork, float]:
    """Return the network at the scale that fits the corrections, and the width it is made for."""
    if not learnt or network.config.enlarge > 1:  # its scale stays, whatever the objects
        return network, learnt
    wanted = evidence_width((*lesson.fresh, *lesson.replay), token)
    side = int(np.median([min(held.evidence.truth.shape) for held in lesson.held_out]))
    shrink = fitting_shrink(network.config, learnt, wanted, side)
    if shrink == network.config.shrink:
        return network, learnt
    return with_shrink(network, shrink), wanted


@dataclass(frozen=True, eq=False)
class _Court:
    """What candidates of one lesson are judged by: the same for all of them.

    Attributes
    ----------
    lesson : Lesson
        With what is held out.
    parts : sequence of Evidence
        Of what was taught, for the peaks.
    old : ndarray
        Counts of the old model.
    min_size : int
        Pixels that a find must have.
    grown : float
        As for `count_pixels`.
    seed : int
        Of the judge's draws.
    device, token
        As for `retrain`.
    """

    lesson: Lesson
    parts: Sequence[Evidence]
    old: Counts
    min_size: int
    grown: float
    seed: int
    device: torch.device
    token: CancelToken | None

    def hear(self, network: SegmentationNetwork, look: int) -> Job[tuple[Verdict, Limits]]:
        """Return the verdict on a network, the `look`-th one, and what its finds must have."""
        rows = list(range(1, 1 + len(self.lesson.class_names)))
        peak = _taught_peak(network, self.parts, self.device, self.token)
        limits = Limits(self.min_size, peak)
        new = yield from _count(
            network, self.lesson.held_out, rows, limits, self.grown, self.device, self.token
        )
        lesson, old = self.lesson, self.old
        verdict = _verdict(lesson.held_out, lesson.class_names, old, new, self.seed, look)
        if lesson.by_heart and verdict.answer == "worse":
            reason = f"The old model knows by heart what judges; {verdict.reason}"
            verdict = replace(verdict, answer="cannot tell", reason=reason)
        return verdict, limits


def _longest_step(start: SegmentationNetwork, tuned: Finetuned, court: _Court) -> Job[Candidate]:
    """Go as far from the start as is better; if nothing is, as far as nothing is forgotten."""
    tried: list[Candidate] = []
    for share in (1.0, *SHORTER):
        network = tuned.network if share == 1 else blend(start, tuned.network, share)
        verdict, limits = yield from court.hear(network, look=len(tried) + 1)
        tried.append(Candidate(replace(tuned, network=network), verdict, share, limits=limits))
        if verdict.answer == "better" or _contradicts(tried[0].verdict):
            return tried[-1]
    return next((one for one in tried if not one.verdict.forgets), tried[0])


def _contradicts(whole: Verdict) -> bool:
    """Whether the whole step undoes what was learnt before: then no part of it is to be trusted."""
    return whole.replay is not None and whole.replay.gain < -CONTRADICTS


def _showing_parts(lesson: Lesson, shrink: int) -> list[Evidence]:
    """Return parts of what is taught that show an object, for the peaks of the network there."""
    showing = [piece for piece in (*lesson.fresh, *lesson.replay) if piece.shows_object]
    chosen = showing[:: 1 + len(showing) // MOST_PEAKS]
    return [piece.around_object(PEAK_SIDE * shrink) for piece in chosen]


def _seconds_to_judge(spent: float, lesson: Lesson, parts: Sequence[Evidence]) -> float:
    """Return how long candidates will take to be judged, from the seconds for the old model."""
    compared = sum(held.evidence.truth.size for held in lesson.held_out)
    peaks = sum(part.truth.size for part in parts) / compared * (1 + len(SHORTER))
    return spent * (COMPARED + len(SHORTER) + peaks)


def _taught_peak(
    network: SegmentationNetwork,
    parts: Sequence[Evidence],
    device: torch.device,
    token: CancelToken | None,
) -> float:
    """Return how sure a network is, at its peak, of the objects that it was taught."""
    found = [(part, probabilities(network, part.image, device, token)[1:]) for part in parts]
    network.cpu()
    return least_peak(found)


def _count_found(
    model: Model,
    held_out: Sequence[HeldOut],
    class_names: Sequence[str],
    device: torch.device,
    token: CancelToken | None,
) -> Job[Counts]:
    """Count what a finished model finds, as it predicts; a class that it does not know, nowhere."""
    there = dict(shared_classes(class_names, model.card.class_names))
    rows = [there.get(number) for number in range(1, 1 + len(class_names))]
    fitted = _at_usual_frame(model, held_out)
    limits, grown = Limits(fitted.card.min_size, fitted.card.peak), _grown(fitted, model)
    counts = yield from _count(fitted.network, held_out, rows, limits, grown, device, token)
    return counts


def _count(
    network: SegmentationNetwork,
    held_out: Sequence[HeldOut],
    rows: Sequence[int | None],
    limits: Limits,
    grown: float,
    device: torch.device,
    token: CancelToken | None,
) -> Job[Counts]:
    counts = yield from count_pixels(network, held_out, rows, device, token, limits, grown)
    network.cpu()
    return counts


def _verdict(
    held_out: Sequence[HeldOut],
    class_names: Sequence[str],
    old: Counts,
    new: Counts,
    seed: int,
    look: int = 1,
) -> Verdict:
    """Judge by whole blocks: what is held out of a stack lies in all of its planes."""
    places = block_places(held_out)
    old, new = (through_planes(counts, places) for counts in (old, new))
    pixels = through_planes(block_pixels(held_out), places)
    blocks = list(dict.fromkeys(places))
    replay, images = [place.replay for place in blocks], [place.image for place in blocks]
    return judge(old, new, pixels, replay, images, class_names, seed, look)
