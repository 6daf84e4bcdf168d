"""Is the retrained model better? Old and new, scored on the same pixels that neither learnt from.

Scores are those of all held-out pixels of a part together. Where some images show no object, they
are means over the images instead, and to find nothing is right there: in all pixels together, false
alarms in healthy tissue count for nothing as long as no object is found. The interval comes from
drawing the quarters of the blocks anew, with old and new always on the same ones. Quarters of a
block are alike, so that they count for less than as many blocks.

A model counts as better, or as worse, only if the whole interval says so; as better only if what
was learnt before is not lost either: neither in all pixels together nor image by image, where large
objects do not hide that small ones are gone, and what one kind of image gains does not pay for what
another kind loses. Nor does one class pay for another: one that the old model finds must not fall.
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
# One or two images were perhaps learnt by heart, so that whatever learns others falls there: as
# long as that may be chance, and it is no more than this, nothing is lost.
FEW_IMAGES, FEW_ALLOWED = 3, 0.03
BY_CHANCE = 0.02  # Dice of false alarms that happen to hit an object: to lose it is no loss

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
        Interval of the gain in Dice. Those of several classes are wider, to hold all at once.
    shown : int
        Blocks in which it occurs.
    known : bool
        Whether the old model finds any of it, right or wrong.
    """

    name: str
    old: Overlap
    new: Overlap
    low: float
    high: float
    shown: int
    known: bool

    @property
    def gain(self) -> float:
        """Dice won, -1 to 1."""
        return self.new.dice - self.old.dice

    @property
    def fell(self) -> bool:
        """Whether the new model is worse at a class that the old one finds, beyond chance."""
        proven = self.shown >= FEWEST and self.high < 0
        return self.known and proven and self.gain < -LOSS_ALLOWED

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
    empty : int
        Images that show none, where the scores are means over images; else 0, and scores are those
        of all pixels together.
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
    empty: int = 0

    @property
    def gain(self) -> float:
        """Mean Dice won, -1 to 1."""
        return self.new_dice - self.old_dice

    @property
    def interval(self) -> str:
        """The interval in words."""
        return _in_words(self.low, self.high)

    @property
    def fallen(self) -> tuple[ClassScore, ...]:
        """Classes that the new model is worse at, whatever others gain."""
        return tuple(score for score in self.classes if score.fell)

    @property
    def lost(self) -> bool:
        """Whether the new model is worse here by more than chance may be allowed."""
        fell, fell_in_images = self.gain < -LOSS_ALLOWED, self.image_fall > FALL_ALLOWED
        if self.images < FEW_IMAGES:
            fell = (fell and self.high < 0) or self.gain < -FEW_ALLOWED
            fell_in_images = self.image_fall > FEW_ALLOWED
        return self.shown > 0 and (fell or fell_in_images or bool(self.fallen))


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

    def score(part: NDArray[np.bool_], by_image: bool = True) -> PartScore:
        blocks = _Blocks(old[part], new[part], pixels[part], where[part])
        return _score(blocks, class_names, seed, look, by_image)

    fresh = score(~again)
    if not again.any():
        return _decide(fresh, None, fresh)
    return _decide(fresh, score(again, by_image=False), score(np.ones_like(again)))


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
    if ground.high < 0:
        return verdict("worse")
    if ground.fallen:
        return verdict("worse", _fall(ground))
    if ground.low <= 0:
        return verdict("cannot tell")
    # false alarms that are gone are a gain, even if no more of the objects is found than before
    if everything.image_gain <= (-BY_CHANCE if everything.empty else 0):
        came = "with objects fell" if everything.empty else "did not rise"
        mean = f"Dice per image {came} in the mean of all {everything.images}"
        return verdict("cannot tell", mean)
    return verdict("better")


def _change(part: PartScore, among: str) -> str:
    measure, where = "Dice", f"{part.n} held-out blocks"
    if part.empty:
        measure, where = "Dice per image", f"{where} of {part.images + part.empty} images"
        among = f", {part.empty} without objects{among}"
    return (
        f"{measure} {part.old_dice:.3f} before, {part.new_dice:.3f} after on {where}{among} "
        f"({part.gain:+.3f}, {part.interval})"
    )


def _in_words(low: float, high: float) -> str:
    return f"{CONFIDENCE:g} % interval {low:+.3f} to {high:+.3f}"


def _loss(replay: PartScore) -> str:
    if replay.gain < -LOSS_ALLOWED:
        fell = f"fell from {replay.old_dice:.3f} to {replay.new_dice:.3f}"
        return f"Dice on corrections learnt before {fell}"
    if replay.fallen:
        return f"{_fall(replay)} on corrections learnt before"
    return f"Dice on images learnt before fell, by {replay.image_fall:.3f} in the mean of all"


def _fall(part: PartScore) -> str:
    falls = (
        f"{one.name} fell from {one.old.dice:.3f} to {one.new.dice:.3f}" for one in part.fallen
    )
    return f"Dice of {', of '.join(falls)}"


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Counts (blocks, parts, K, 3) of both models, pixels (blocks, parts), images (blocks,)."""

    old: Counts
    new: Counts
    pixels: NDArray[np.integer]
    images: NDArray[np.str_]


def _score(
    blocks: _Blocks, class_names: Sequence[str], seed: int, look: int, by_image: bool
) -> PartScore:
    old, new = blocks.old, blocks.new
    showing = old[..., 2].any(axis=(1, 2))  # (blocks,): whether a class is wanted
    empty = 0
    if by_image and showing.any():
        empty = len(np.setdiff1d(blocks.images, blocks.images[showing]))
    seen = blocks.pixels > 0  # (blocks, parts)
    names = blocks.images if empty else np.zeros(len(old), "U1")
    draw = _Draws(np.broadcast_to(names[:, None], seen.shape)[seen], len(old), seed, look)
    before, after = draw.dice(old[seen]), draw.dice(new[seen])  # (groups, K)
    # (RESAMPLES, K): how far Dice rises in each draw of parts
    gains = draw.drawn(new[seen]) - draw.drawn(old[seen])
    won = (after - before).mean(axis=0)
    shown = np.count_nonzero(old[..., 2].any(axis=1), axis=0)  # (K,): blocks in which it is wanted
    counted = np.flatnonzero(shown if shown.any() else shown == 0)
    bounds = [draw.interval(float(won[k]), gains[:, k], len(counted)) for k in range(len(won))]
    overlaps = zip(class_names, _overlaps(before), _overlaps(after), bounds, strict=True)
    classes = tuple(
        ClassScore(name, first, later, *bound, int(shown[k]), bool(old[..., k, 1].any()))
        for k, (name, first, later, bound) in enumerate(overlaps)
    )
    means = [float(dice[:, counted].mean()) for dice in (before, after)]
    low, high = draw.interval(means[1] - means[0], gains[:, counted].mean(axis=1))
    n, total, showed = len(old), int(blocks.pixels.sum()), int(np.count_nonzero(showing))
    return PartScore(
        n, total, classes, means[0], means[1], low, high, showed, *_per_image(blocks), empty
    )


def _per_image(blocks: _Blocks) -> tuple[float, float, int]:
    """Return gain and fall per image that shows a class, and how many these are."""
    old, new = blocks.old.sum(axis=1), blocks.new.sum(axis=1)  # (blocks, K, 3)
    gains = []
    for image in np.unique(blocks.images):
        before, after = (counts[blocks.images == image].sum(axis=0) for counts in (old, new))
        shown = before[:, 2] > 0
        if shown.any():
            gains.append(float((_dice(after) - _dice(before))[shown].mean()))
    if not gains:
        return 0.0, 0.0, 0
    falls = [max(0.0, -gain) for gain in gains]
    return float(np.mean(gains)), float(np.mean(falls)), len(gains)


class _Draws:
    """Draws of the parts of some blocks, and the interval that they give.

    Parts are drawn within groups: those of an image where its Dice counts, or all in one.

    Percentiles of the draws would be too narrow for a handful of blocks. Hence Student's t with the
    standard error of the draws, which itself is too small by the root of (n - 1) / n (Hesterberg,
    2015, 10.1080/00031305.2015.1089789), and by the root of the design effect, for parts of a block
    are alike (Kish, Survey Sampling, 1965). Parts of a single block say nothing about others. The
    k-th look has a k-th of the chance to err. That is not all of a correction: four looks err in
    about 7 of 100 cases in place of 5 where the gains correlate by 0.8 to 0.95, as they do on the
    way to one candidate, in 10 where they are independent (simulated). Each of K classes has a K-th
    of it (Bonferroni).
    """

    def __init__(self, groups: NDArray[np.str_], blocks: int, seed: int, look: int) -> None:
        self._parts, self._blocks, self._look = len(groups), blocks, look
        # in the order of the blocks, not of names: these differ from one computer to the next
        self._groups = [np.flatnonzero(groups == name) for name in dict.fromkeys(groups.tolist())]
        rng = np.random.default_rng(seed)
        sizes = [len(group) for group in self._groups]
        # how often each part of a group is drawn, (RESAMPLES, parts of it)
        self._times = [
            rng.multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(float)
            for size in sizes
        ]

    def dice(self, counts: Counts) -> Counts:
        """Return the Dice of each group from the counts (parts, K, 3) of its parts, (groups, K)."""
        return np.array([_dice(counts[group].sum(axis=0)) for group in self._groups])

    def drawn(self, counts: Counts) -> Counts:
        """Return the mean Dice of the groups in each draw, (RESAMPLES, K)."""
        sums = [
            np.tensordot(times, counts[group], axes=1)
            for times, group in zip(self._times, self._groups, strict=True)
        ]
        result: Counts = np.mean([_dice(one) for one in sums], axis=0)
        return result

    def interval(
        self, gain: float, draws: NDArray[np.float64], among: int = 1
    ) -> tuple[float, float]:
        """Return the bounds of a gain, one `among` several, from the gains of the draws."""
        if self._blocks < FEWEST:
            return -1.0, 1.0
        per_block = self._parts / self._blocks
        effect = 1 + (per_block - 1) * ALIKE
        chance = (1 - CONFIDENCE / 100) / 2 / self._look / among
        quantile = float(stdtrit(self._parts / effect - 1, 1 - chance))
        error = float(draws.std()) * math.sqrt(effect * self._parts / (self._parts - 1))
        return gain - quantile * error, gain + quantile * error


def _dice(counts: Counts) -> Counts:
    """Return the Dice of counts (..., 3); 1 where nothing is found and nothing wanted."""
    total = counts[..., 1] + counts[..., 2]
    result: Counts = np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)
    return result


def _overlaps(dices: Counts) -> list[Overlap]:
    """Return mean Dice and IoU of each class over groups, from their Dice (groups, K)."""
    means, jaccards = dices.mean(axis=0), (dices / (2 - dices)).mean(axis=0)
    return [Overlap(float(dice), float(iou)) for dice, iou in zip(means, jaccards, strict=True)]
