"""What fine-tuning minimises: the evidence where there is some, the old model elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from napari_rwkvseg.engine.evidence import CHANGED, UNSEEN
from napari_rwkvseg.engine.losses import SMOOTH

CHANGED_WEIGHT = 2.0  # of a pixel that was wrong, against one that was right already

Shared = Sequence[tuple[int, int]]


def evidence_loss(logits: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """Return cross-entropy plus one minus soft Dice, over the pixels with evidence.

    Parameters
    ----------
    logits : Tensor, shape (B, K + 1, H, W)
        Background first.
    truth, levels : Tensor, int64, shape (B, H, W)
        Class, and level of evidence, per pixel.

    Returns
    -------
    Tensor, scalar
        0 without evidence.
    """
    seen = (levels != UNSEEN).to(logits.dtype)
    weight = seen * torch.where(levels == CHANGED, CHANGED_WEIGHT, 1.0)
    entropy = functional.cross_entropy(logits, truth, reduction="none")
    entropy = (entropy * weight).sum() / weight.sum().clamp_min(1)
    return entropy + 1 - _masked_dice(logits, truth, seen).mean()


def _masked_dice(logits: Tensor, truth: Tensor, seen: Tensor) -> Tensor:
    """Return the soft Dice of the pixels with evidence, per image and class, shape (B, K)."""
    probability = logits.softmax(dim=1)[:, 1:] * seen[:, None]
    wanted = functional.one_hot(truth, logits.shape[1]).movedim(-1, 1)[:, 1:] * seen[:, None]
    overlap = (probability * wanted).sum(dim=(2, 3))
    size = probability.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3))
    return (2 * overlap + SMOOTH) / (size + SMOOTH)


def distillation_loss(logits: Tensor, old_logits: Tensor, shared: Shared, where: Tensor) -> Tensor:
    """Return how far a model has moved from an older one: their Kullback-Leibler divergence.

    Classes that only one of the two knows count as background there: to the old model, a new class
    was background.

    Parameters
    ----------
    logits : Tensor, shape (B, K + 1, H, W)
        Of the model that learns.
    old_logits : Tensor, shape (B, L + 1, H, W)
        Of the older model, for the same images.
    shared : sequence of (int, int)
        Numbers of the classes that both know: here, there.
    where : Tensor, bool, shape (B, H, W)
        Pixels that count.

    Returns
    -------
    Tensor, scalar
        Mean over these pixels, in nats; 0 if there are none.
    """
    new = _merged(logits, [here for here, _ in shared])
    old = _merged(old_logits, [there for _, there in shared])
    divergence = (old.exp() * (old - new)).sum(dim=1)  # (B, H, W)
    return (divergence * where).sum() / where.sum().clamp_min(1)


def _merged(logits: Tensor, kept: Sequence[int]) -> Tensor:
    """Return log-probabilities of all other classes together, then of the kept ones."""
    others = [k for k in range(logits.shape[1]) if k not in kept]
    log = logits.log_softmax(dim=1)
    return torch.cat([log[:, others].logsumexp(dim=1, keepdim=True), log[:, list(kept)]], dim=1)
