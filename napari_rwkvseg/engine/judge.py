"""Is the retrained model better? Old and new, scored on the same pixels that neither learnt from.

Scores are those of all held-out pixels of a part together; the interval comes from drawing the
blocks anew, with old and new always on the same ones. A model counts as better only if the whole
interval says so, and only if what was learnt before is not lost: neither in all pixels together nor
in the mean over the images, where large objects do not hide that small ones are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.holdout import Rectangle
from napari_rwkvseg.engine.metrics import Overlap
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.source import widened
from napari_rwkvseg.network.model import SegmentationNetwork

RESAMPLES = 2000
CONFIDENCE = 95.0  # percent of the interval
FEWEST = 3  # blocks: fewer say nothing about chance
LOSS_ALLOWED = 0.005  # Dice on what was learnt before
CONTEXT = 64  # pixels around a block that the network sees
WHOLE = 640  # longest side of a plane that is read in one piece, as in prediction

Answer = Literal["better", "cannot tell", "worse"]
Counts = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out blocks of one corrected plane.

    Attributes
    ----------
    evidence : Evidence
        The plane.
    blocks : tuple of (slice, slice)
        Rows and columns of its held-out blocks.
    replay : bool
        Whether the image was learnt before.
    """

    evidence: Evidence
    blocks: tuple[Rectangle, ...]
    replay: bool = False


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

    @property
    def gain(self) -> float:
        """Mean Dice won, -1 to 1."""
        return self.new_dice - self.old_dice

    @property
    def lost(self) -> bool:
        """Whether the new model is worse here by more than chance may be allowed."""
        return self.shown > 0 and min(self.gain, self.image_gain) < -LOSS_ALLOWED


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


def count_pixels(
    network: SegmentationNetwork,
    held_out: Sequence[HeldOut],
    class_rows: Sequence[int | None],
    device: torch.device,
    token: CancelToken | None = None,
) -> Job[Counts]:
    """Compare a network with what is held out, block by block.

    Parameters
    ----------
    network : SegmentationNetwork
        In evaluation mode, on `device`.
    held_out : sequence of HeldOut
        What to compare with.
    class_rows : sequence of int or None
        For each class of the truth, in label order, the network's number of it; None if it does
        not know the class.
    device : torch.device
        Where the network lies.
    token : CancelToken, optional
        Polled at every forward pass.

    Yields
    ------
    Progress
        One per plane.

    Returns
    -------
    ndarray, float64, shape (blocks, K, 3)
        Pixels with evidence that are right, found, and wanted, per block and class.
    """
    counts: list[list[list[int]]] = []
    for done, held in enumerate(held_out, start=1):
        found = _Finder(network, held.evidence, device, token)
        for block in held.blocks:
            seen = held.evidence.seen[block]
            truth = held.evidence.truth[block]
            classes = found.classes(block)
            counts.append(
                [
                    _agreement(classes == row if row else np.zeros_like(seen), truth == k, seen)
                    for k, row in enumerate(class_rows, start=1)
                ]
            )
        yield Progress(done, len(held_out), "Comparing on held-out corrections")
    return np.array(counts, np.float64).reshape(-1, len(class_rows), 3)


def judge(
    old: Counts,
    new: Counts,
    pixels: Sequence[int],
    replay: Sequence[bool],
    class_names: Sequence[str],
    seed: int = 0,
    images: Sequence[str] | None = None,
) -> Verdict:
    """Decide between two models by their counts on the same blocks.

    Parameters
    ----------
    old, new : ndarray, shape (blocks, K, 3)
        From `count_pixels`.
    pixels : sequence of int
        With evidence, per block.
    replay : sequence of bool
        Per block, whether it was learnt before; if all were, they count as fresh.
    class_names : sequence of str
        The K classes.
    seed : int
        Of the draws for the interval.
    images : sequence of str, optional
        Per block, the image that it lies in; by default all lie in one.

    Raises
    ------
    ValueError
        If there is no block.
    """
    if len(old) == 0:
        raise ValueError("nothing is held out to judge by")
    again = np.array(replay, bool)
    again &= not again.all()
    where = np.array(images or [""] * len(old))
    parts = [
        _score(old[part], new[part], np.array(pixels)[part], where[part], class_names, seed)
        for part in (~again, again)
        if part.any()
    ]
    return _decide(parts[0], parts[1] if len(parts) > 1 else None)


def block_pixels(held_out: Sequence[HeldOut]) -> list[int]:
    """Return the pixels with evidence of all blocks, in the order of `count_pixels`."""
    return [
        int(np.count_nonzero(held.evidence.seen[block]))
        for held in held_out
        for block in held.blocks
    ]


def block_images(held_out: Sequence[HeldOut]) -> list[str]:
    """Return the ids of the images of all blocks, in the order of `count_pixels`."""
    return [held.evidence.image_id for held in held_out for _ in held.blocks]


def _decide(fresh: PartScore, replay: PartScore | None) -> Verdict:
    interval = f"{CONFIDENCE:g} % interval {fresh.low:+.3f} to {fresh.high:+.3f}"
    change = (
        f"Dice {fresh.old_dice:.3f} before, {fresh.new_dice:.3f} after on {fresh.n} held-out "
        f"blocks ({fresh.gain:+.3f}, {interval})"
    )
    if replay is not None and replay.lost:
        return Verdict("worse", f"{_loss(replay)}; {change}.", fresh, replay)
    if fresh.n < FEWEST:
        few = f"Too few held-out blocks to tell: {fresh.n} of at least {FEWEST}"
        return Verdict("cannot tell", f"{few}; {change}.", fresh, replay)
    if fresh.shown < FEWEST:
        few = f"Too few held-out blocks show a class: {fresh.shown} of at least {FEWEST}"
        return Verdict("cannot tell", f"{few}; {change}.", fresh, replay)
    answer: Answer = "cannot tell"
    if fresh.low > 0:
        answer = "better"
    elif fresh.high < 0 or fresh.gain < -LOSS_ALLOWED:
        answer = "worse"
    return Verdict(answer, f"{change}.", fresh, replay)


def _loss(replay: PartScore) -> str:
    if replay.gain < -LOSS_ALLOWED:
        fell = f"fell from {replay.old_dice:.3f} to {replay.new_dice:.3f}"
        return f"Dice on corrections learnt before {fell}"
    return f"Dice on images learnt before fell by {-replay.image_gain:.3f} on average"


def _score(
    old: Counts,
    new: Counts,
    pixels: NDArray[np.integer],
    images: NDArray[np.str_],
    class_names: Sequence[str],
    seed: int,
) -> PartScore:
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(old), size=(RESAMPLES, len(old)))
    # (RESAMPLES, K): how far Dice rises in each draw of blocks
    gains = _dice(new[draws].sum(axis=1)) - _dice(old[draws].sum(axis=1))
    before, after = _overlaps(old.sum(axis=0)), _overlaps(new.sum(axis=0))
    bounds = [_interval(gains[:, k]) for k in range(gains.shape[1])]
    classes = tuple(
        ClassScore(name, before[k], after[k], *bounds[k]) for k, name in enumerate(class_names)
    )
    shown = old[..., 2].sum(axis=0) > 0  # (K,): wanted at all
    counted = np.flatnonzero(shown if shown.any() else ~shown)
    means = [float(np.mean([scores[k].dice for k in counted])) for scores in (before, after)]
    low, high = _interval(gains[:, counted].mean(axis=1))
    n, seen = len(old), int(pixels.sum())
    showing = int(np.count_nonzero(old[..., 2].any(axis=1)))
    return PartScore(
        n, seen, classes, means[0], means[1], low, high, showing, _image_gain(old, new, images)
    )


def _image_gain(old: Counts, new: Counts, images: NDArray[np.str_]) -> float:
    """Return the Dice won per image, over its classes and then over the images that show any."""
    gains = []
    for image in np.unique(images):
        before, after = (counts[images == image].sum(axis=0) for counts in (old, new))  # (K, 3)
        shown = before[:, 2] > 0
        if shown.any():
            gains.append(float((_dice(after) - _dice(before))[shown].mean()))
    return float(np.mean(gains)) if gains else 0.0


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    outside = (100 - CONFIDENCE) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return float(low), float(high)


def _dice(counts: Counts) -> Counts:
    """Return the Dice of counts (..., 3); 1 where nothing is found and nothing wanted."""
    total = counts[..., 1] + counts[..., 2]
    result: Counts = np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)
    return result


def _overlaps(counts: Counts) -> list[Overlap]:
    """Return Dice and IoU of each class from its counts (K, 3)."""
    dices = _dice(counts)
    return [Overlap(float(dice), float(dice / (2 - dice))) for dice in dices]


def _agreement(
    found: NDArray[np.bool_], wanted: NDArray[np.bool_], seen: NDArray[np.bool_]
) -> list[int]:
    masks = (found & wanted & seen, found & seen, wanted & seen)
    return [int(np.count_nonzero(mask)) for mask in masks]


class _Finder:
    """Classes that a network finds in the blocks of a plane: at once, or block by block."""

    def __init__(
        self,
        network: SegmentationNetwork,
        evidence: Evidence,
        device: torch.device,
        token: CancelToken | None,
    ) -> None:
        self._network, self._device, self._token = network, device, token
        self._image = evidence.image
        self._whole: NDArray[Any] | None = None
        if max(evidence.truth.shape) <= WHOLE:
            self._whole = self._forward((slice(None), slice(None)))

    def classes(self, block: Rectangle) -> NDArray[Any]:
        """Return the class of each pixel of a block."""
        if self._whole is not None:
            return self._whole[block]
        around = widened(block, self._image.shape[:2], CONTEXT)
        found = self._forward(around)
        inside = tuple(
            slice(part.start - wide.start, part.stop - wide.start)
            for part, wide in zip(block, around, strict=True)
        )
        result: NDArray[Any] = found[inside]
        return result

    def _forward(self, area: Rectangle) -> NDArray[Any]:
        if self._token is not None:
            self._token.raise_if_cancelled()
        values = np.asarray(self._image[area], np.float32)
        image = torch.from_numpy(values).permute(2, 0, 1)[None].to(self._device)
        with torch.inference_mode():
            logits = self._network(image)
        found: NDArray[Any] = logits[0].argmax(0).cpu().numpy()
        return found
