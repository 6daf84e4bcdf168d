"""What training minimises: cross-entropy for every pixel, soft Dice for every image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 10.0  # pixels: keeps images with little or no foreground from dominating


def segmentation_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return cross-entropy plus one minus the mean soft Dice.

    Parameters
    ----------
    logits : Tensor, shape (B, K + 1, H, W)
        Background first.
    truth : Tensor, int64, shape (B, H, W)
        Class per pixel, 0 is background.

    Returns
    -------
    Tensor, scalar
    """
    entropy = functional.cross_entropy(logits, truth)
    return entropy + 1 - soft_dice(logits, truth).mean()


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the Dice of the probabilities, per image and foreground class, shape (B, K)."""
    probability = logits.softmax(dim=1)[:, 1:]
    wanted = functional.one_hot(truth, logits.shape[1]).movedim(-1, 1)[:, 1:]
    wanted = wanted.to(probability.dtype)
    overlap = (probability * wanted).sum(dim=(2, 3))
    size = probability.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3))
    return (2 * overlap + SMOOTH) / (size + SMOOTH)


def hard_dice(probability: Tensor, truth: Tensor) -> Tensor:
    """Return the Dice of masks (B, H, W) of 0 and 1, per image; 1 where both are empty."""
    overlap = (probability * truth).sum(dim=(1, 2))
    size = probability.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return torch.where(size > 0, 2 * overlap / size.clamp_min(1), torch.ones_like(overlap))
