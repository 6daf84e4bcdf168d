"""What training minimises: cross-entropy for every pixel, soft Dice for every image.

For thin structures two terms can be added: a higher weight of the pixels at a border, and clDice
(Shit et al. 2021, 2003.07311), which asks whether the centre lines of mask and truth lie inside
each other, so that a broken vessel costs as much as a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 10.0  # pixels: keeps images with little or no foreground from dominating


@dataclass(frozen=True)
class LossOptions:
    """What is added to cross-entropy and Dice; nothing by default.

    Attributes
    ----------
    border : float
        Extra weight, in the cross-entropy, of pixels that have a neighbour of another class.
    centre_line : float
        Weight of one minus clDice.
    thinning : int
        Steps of the soft skeleton of clDice: half the width of the thickest structure, in pixels.
    pooled : bool
        Whether soft Dice is that of all views of a step together instead of each view. Where many
        views lack a class, the mean over views rewards finding nothing.
    """

    border: float = 0.0
    centre_line: float = 0.0
    thinning: int = 6
    pooled: bool = False


PLAIN = LossOptions()


def segmentation_loss(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return cross-entropy plus one minus the mean soft Dice, and what the options add.

    Parameters
    ----------
    logits : Tensor, shape (B, K + 1, H, W)
        Background first.
    truth : Tensor, int64, shape (B, H, W)
        Class per pixel, 0 is background.
    options : LossOptions
        Further terms.

    Returns
    -------
    Tensor, scalar
    """
    dice = soft_dice(logits, truth, options.pooled).mean()
    loss = _entropy(logits, truth, options.border) + 1 - dice
    if options.centre_line:
        lines = centre_line_dice(logits, truth, options.thinning).mean()
        loss = loss + options.centre_line * (1 - lines)
    return loss


def _entropy(logits: Tensor, truth: Tensor, border: float) -> Tensor:
    """Return the cross-entropy, its mean weighted towards borders."""
    if not border:
        return functional.cross_entropy(logits, truth)
    weight = 1 + border * at_border(truth)
    entropy = functional.cross_entropy(logits, truth, reduction="none")
    return (entropy * weight).sum() / weight.sum()


def at_border(truth: Tensor) -> Tensor:
    """Return 1 where a pixel of classes (B, H, W) has a neighbour of another class, else 0."""
    labels = truth[:, None].float()
    highest = functional.max_pool2d(labels, 3, stride=1, padding=1)
    lowest = -functional.max_pool2d(-labels, 3, stride=1, padding=1)
    return (highest != lowest)[:, 0].float()


def soft_dice(logits: Tensor, truth: Tensor, pooled: bool = False) -> Tensor:
    """Return the Dice of the probabilities per foreground class.

    Parameters
    ----------
    logits, truth : Tensor
        As for `segmentation_loss`.
    pooled : bool
        Whether the images count as one.

    Returns
    -------
    Tensor, shape (B, K), or (1, K) if pooled
    """
    probability, wanted = _foreground(logits, truth)
    overlap = (probability * wanted).sum(dim=(2, 3))  # (B, K)
    size = probability.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3))
    if pooled:
        overlap, size = overlap.sum(dim=0, keepdim=True), size.sum(dim=0, keepdim=True)
    return (2 * overlap + SMOOTH) / (size + SMOOTH)


def centre_line_dice(logits: Tensor, truth: Tensor, thinning: int) -> Tensor:
    """Return clDice of the probabilities, per image and foreground class, shape (B, K).

    It is the harmonic mean of the share of the found centre line that lies in the true mask, and
    of the true centre line that lies in the found mask.

    Parameters
    ----------
    logits, truth : Tensor
        As for `segmentation_loss`.
    thinning : int
        Steps of `soft_skeleton`.
    """
    probability, wanted = _foreground(logits, truth)
    found_line = soft_skeleton(probability, thinning)
    with torch.no_grad():
        true_line = soft_skeleton(wanted, thinning)
    precision = _share(found_line, wanted)
    recall = _share(true_line, probability)
    return 2 * precision * recall / (precision + recall)


def _share(line: Tensor, mask: Tensor) -> Tensor:
    """Return which share of a line (B, K, H, W) lies in a mask, shape (B, K); above 0."""
    return ((line * mask).sum(dim=(2, 3)) + SMOOTH) / (line.sum(dim=(2, 3)) + SMOOTH)


def soft_skeleton(mask: Tensor, steps: int) -> Tensor:
    """Return the centre lines of soft masks (B, K, H, W): what each erosion cannot win back.

    Parameters
    ----------
    mask : Tensor
        0 to 1.
    steps : int
        Erosions; structures up to twice as wide are thinned to a line.
    """
    skeleton = functional.relu(mask - _opened(mask))
    for _ in range(steps):
        mask = _eroded(mask)
        rest = functional.relu(mask - _opened(mask))
        skeleton = skeleton + functional.relu(rest - skeleton * rest)
    return skeleton


def _eroded(mask: Tensor) -> Tensor:
    """Return the minimum over a cross of five pixels."""
    down = -functional.max_pool2d(-mask, (3, 1), stride=1, padding=(1, 0))
    across = -functional.max_pool2d(-mask, (1, 3), stride=1, padding=(0, 1))
    return torch.minimum(down, across)


def _opened(mask: Tensor) -> Tensor:
    """Return the mask eroded, then dilated by a square of nine pixels."""
    return functional.max_pool2d(_eroded(mask), 3, stride=1, padding=1)


def _foreground(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities and truth of the foreground classes, each (B, K, H, W), 0 to 1."""
    probability = logits.softmax(dim=1)[:, 1:]
    wanted = functional.one_hot(truth, logits.shape[1]).movedim(-1, 1)[:, 1:]
    return probability, wanted.to(probability.dtype)


def hard_dice(probability: Tensor, truth: Tensor) -> Tensor:
    """Return the Dice of masks (B, H, W) of 0 and 1, per image; 1 where both are empty."""
    overlap = (probability * truth).sum(dim=(1, 2))
    size = probability.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return torch.where(size > 0, 2 * overlap / size.clamp_min(1), torch.ones_like(overlap))
