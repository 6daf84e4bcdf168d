"""Is the retrained model better? Old and new, scored on the same pixels that neither learnt from.

Scores are those of all held-out pixels of a part together; the interval comes from drawing the
quarters of the blocks anew, with old and new always on the same ones. Quarters of a block are
alike, so that they count for less than as many blocks. A model counts as better only if the whole
interval says so, and only if what was learnt before is not lost: neither in all pixels together nor
image by image, where large objects do not hide that small ones are gone, and what one kind of image
gains does not pay for what another kind loses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from napari_rwkvseg.engine.comparison import Counts
from napari_rwkvseg.engine.metrics import Overlap

RESAMPLES = 2000
CONFIDENCE = 90.0  # percent of the interval: above it lies one in twenty, and below it too
FEWEST = 2  # blocks: one says nothing about others
# Correlation of the gain in quarters of one block. Measured on images with full masks: membranes
# 0.13 and 0.24, ultrasound 0.20, nuclei 0.40 and 0.62, polyps 0.55.
ALIKE = 0.4
LOSS_ALLOWED = 0.005  # Dice on what was learnt before, all pixels together
FALL_ALLOWED = 0.0025  # mean over its images of how far each falls: half, for falls add up

Answer = Literal["better", "cannot tell", "worse"]


@dataclass(frozen=True)
class ClassScore:
    """One class before and after.

    Attributes
    ----------
    name : str
        Of the class.
    old, new : Overlap
        Dice and IoU.
    low, high : float
        Interval of the gain in Dice.
    """

    name: str
    old: Overlap
    new: Overlap
    low: float
    high: float

    @property
    def gain(self) -> float:
        """Dice won, -1 to 1."""
        return self.new.dice - self.old.dice

    @property
    def interval(self) -> str:
        """The interval in words."""
        return _in_words(self.low, self.high)


@dataclass(frozen=True)
class PartScore:
    """Both models on one part of the held-out corrections.

    Attributes
    ----------
    n : int
        Blocks.
    pixels : int
        In them, with evidence.
    classes : tuple of ClassScore
        In label order.
    old_dice, new_dice, low, high : float
        Mean over the classes that occur here, and the interval of its gain.
    shown : int
        Blocks in which a class occurs: in the others, finding nothing is perfect.
    image_gain : float
        Dice won per image, mean over the images that show a class; 0 if none does.
    image_fall : float
        How far Dice falls per image, at least 0, mean over the same images.
    images : int
        That show a class.
    """

    n: int
    pixels: int
    classes: tuple[ClassScore, ...]
    old_dice: float
    new_dice: float
    low: float
    high: float
    shown: int
    image_gain: float
    image_fall: float
    images: int

    @property
    def gain(self) -> float:
        """Mean Dice won, -1 to 1."""
        return self.new_dice - self.old_dice

    @property
    def interval(self) -> str:
        """The interval in words."""
        return _in_words(self.low, self.high)

    @property
    def lost(self) -> bool:
        """Whether the new model is worse here by more than chance may be allowed."""
        fell = self.gain < -LOSS_ALLOWED or self.image_fall > FALL_ALLOWED
        return self.shown > 0 and fell


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Attributes
    ----------
    answer : {"better", "cannot tell", "worse"}
        In a word.
    reason : str
        In a sentence, with figures.
    fresh : PartScore
        On the corrections that were new.
    replay : PartScore or None
        On those learnt before, if there are any.
    """

    answer: Answer
    reason: str
    fresh: PartScore
    replay: PartScore | None = None

    @property
    def forgets(self) -> bool:
        """Whether the new model has lost something that was learnt before."""
        return self.replay is not None and self.replay.lost


def judge(
    old: Counts,
    new: Counts,
    pixels: NDArray[np.integer],
    replay: Sequence[bool],
    images: Sequence[str],
    class_names: Sequence[str],
    seed: int = 0,
    look: int = 1,
) -> Verdict:
    """Decide between two models by their counts on the same blocks.

    Parameters
    ----------
    old, new : ndarray, shape (blocks, parts, K, 3)
        From `count_pixels`.
    pixels : ndarray, shape (blocks, parts)
        With evidence, per part of a block; parts without any do not count.
    replay : sequence of bool
        Per block, whether it was learnt before; if all were, they count as fresh.
    images : sequence of str
        Per block, the image that it lies in.
    class_names : sequence of str
        The K classes.
    seed : int
        Of the draws for the interval.
    look : int
        How many candidates were compared on these blocks, this one included. Intervals widen with
        it, for whoever looks often is lucky once.

    Raises
    ------
    ValueError
        If there is no block.
    """
    if len(old) == 0:
        raise ValueError("nothing is held out to judge by")
    again = np.array(replay, bool)
    again &= not again.all()
    where = np.array(images)

    def score(part: NDArray[np.bool_]) -> PartScore:
        return _score(old[part], new[part], pixels[part], where[part], class_names, seed, look)

    fresh = score(~again)
    if not again.any():
        return _decide(fresh, None, fresh)
    return _decide(fresh, score(again), score(np.ones_like(again)))


def _decide(fresh: PartScore, replay: PartScore | None, everything: PartScore) -> Verdict:
    """Decide by the new corrections; by all together where these are too few."""
    enough = min(fresh.n, fresh.shown) >= FEWEST
    ground = fresh if enough else everything
    change = _change(ground, "" if ground is fresh else ", those learnt before among them")

    def verdict(answer: Answer, *reasons: str) -> Verdict:
        return Verdict(answer, "; ".join((*reasons, change)) + ".", fresh, replay)

    if replay is not None and replay.lost:
        return verdict("worse", _loss(replay))
    if ground.n < FEWEST:
        few = f"Too few held-out blocks to tell: {ground.n} of at least {FEWEST}"
        return verdict("cannot tell", few)
    if ground.shown < FEWEST:
        few = f"Too few held-out blocks show a class: {ground.shown} of at least {FEWEST}"
        return verdict("cannot tell", few)
    if ground.high < 0 or ground.gain < -LOSS_ALLOWED:
        return verdict("worse")
    if ground.low <= 0:
        return verdict("cannot tell")
    if everything.image_gain <= 0:
        mean = f"Dice per image did not rise in the mean of all {everything.images}"
        return verdict("cannot tell", mean)
    return verdict("better")


def _change(part: PartScore, among: str) -> str:
    return (
        f"Dice {part.old_dice:.3f} before, {part.new_dice:.3f} after on {part.n} held-out blocks"
        f"{among} ({part.gain:+.3f}, {part.interval})"
    )


def _in_words(low: float, high: float) -> str:
    return f"{CONFIDENCE:g} % interval {low:+.3f} to {high:+.3f}"


def _loss(replay: PartScore) -> str:
    if replay.gain < -LOSS_ALLOWED:
        fell = f"fell from {replay.old_dice:.3f} to {replay.new_dice:.3f}"
        return f"Dice on corrections learnt before {fell}"
    return f"Dice on images learnt before fell, by {replay.image_fall:.3f} in the mean of all"


def _score(
    old: Counts,
    new: Counts,
    pixels: NDArray[np.integer],
    images: NDArray[np.str_],
    class_names: Sequence[str],
    seed: int,
    look: int,
) -> PartScore:
    seen = pixels > 0  # (blocks, parts)
    draw = _Draws(int(seen.sum()), len(old), seed, look)
    # (RESAMPLES, K): how far Dice rises in each draw of parts
    gains = _dice(draw.sums(new[seen])) - _dice(draw.sums(old[seen]))
    old, new = old.sum(axis=1), new.sum(axis=1)  # (blocks, K, 3)
    before, after = _overlaps(old.sum(axis=0)), _overlaps(new.sum(axis=0))
    won = [later.dice - first.dice for first, later in zip(before, after, strict=True)]
    bounds = [draw.interval(won[k], gains[:, k]) for k in range(len(won))]
    classes = tuple(
        ClassScore(name, before[k], after[k], *bounds[k]) for k, name in enumerate(class_names)
    )
    shown = old[..., 2].sum(axis=0) > 0  # (K,): wanted at all
    counted = np.flatnonzero(shown if shown.any() else ~shown)
    means = [float(np.mean([scores[k].dice for k in counted])) for scores in (before, after)]
    low, high = draw.interval(means[1] - means[0], gains[:, counted].mean(axis=1))
    n, total = len(old), int(pixels.sum())
    showing = int(np.count_nonzero(old[..., 2].any(axis=1)))
    return PartScore(
        n, total, classes, means[0], means[1], low, high, showing, *_per_image(old, new, images)
    )


def _per_image(old: Counts, new: Counts, images: NDArray[np.str_]) -> tuple[float, float, int]:
    """Return gain and fall per image that shows a class, and how many these are."""
    gains = []
    for image in np.unique(images):
        before, after = (counts[images == image].sum(axis=0) for counts in (old, new))  # (K, 3)
        shown = before[:, 2] > 0
        if shown.any():
            gains.append(float((_dice(after) - _dice(before))[shown].mean()))
    if not gains:
        return 0.0, 0.0, 0
    falls = [max(0.0, -gain) for gain in gains]
    return float(np.mean(gains)), float(np.mean(falls)), len(gains)


class _Draws:
    """Draws of the parts of some blocks, and the interval that they give.

    Percentiles of the draws would be too narrow for a handful of blocks. Hence Student's t with the
    standard error of the draws, which itself is too small by the root of (n - 1) / n (Hesterberg,
    2015, 10.1080/00031305.2015.1089789), and by the root of the design effect, for parts of a block
    are alike (Kish, Survey Sampling, 1965). Parts of a single block say nothing about others. With
    several looks the chance to err is divided among them (Bonferroni).
    """

    def __init__(self, parts: int, blocks: int, seed: int, look: int) -> None:
        self._parts, self._blocks, self._look = parts, blocks, look
        rng = np.random.default_rng(seed)
        # how often each part is drawn, (RESAMPLES, parts)
        self._times = rng.multinomial(parts, np.full(parts, 1 / parts), RESAMPLES).astype(float)

    def sums(self, counts: Counts) -> Counts:
        """Return the sums of counts (parts, K, 3) over each draw, (RESAMPLES, K, 3)."""
        result: Counts = np.tensordot(self._times, counts, axes=1)
        return result

    def interval(self, gain: float, draws: NDArray[np.float64]) -> tuple[float, float]:
        """Return the bounds of a gain, from the gains of the draws."""
        if self._blocks < FEWEST:
            return -1.0, 1.0
        per_block = self._parts / self._blocks
        effect = 1 + (per_block - 1) * ALIKE
        chance = (1 - CONFIDENCE / 100) / 2 / self._look
        quantile = float(stdtrit(self._parts / effect - 1, 1 - chance))
        error = float(draws.std()) * math.sqrt(effect * self._parts / (self._parts - 1))
        return gain - quantile * error, gain + quantile * error


def _dice(counts: Counts) -> Counts:
    """Return the Dice of counts (..., 3); 1 where nothing is found and nothing wanted."""
    total = counts[..., 1] + counts[..., 2]
    result: Counts = np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)
    return result


def _overlaps(counts: Counts) -> list[Overlap]:
    """Return Dice and IoU of each class from its counts (K, 3)."""
    dices = _dice(counts)
    return [Overlap(float(dice), float(dice / (2 - dice))) for dice in dices]
