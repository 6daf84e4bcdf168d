"""Bi-WKV as it is written down, in double precision: what every fast path is held to.

Symbols (Vision-RWKV, arXiv 2403.02308)
    T     tokens of one sequence, in scan order; t, i count its steps
    w', u'  decay per step and bonus, per channel: `decay`, `bonus`, already divided by T
    k, v  `key`, `value`, shape (B, T, C)

    y_t = (sum_{i != t} exp(k_i - (|t - i| - 1) w') v_i + exp(k_t + u') v_t) / (the same, v = 1)

The published CUDA kernel deviates from this formula across chunk borders; the paths here do not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_rwkvseg.wkv.plan import ScanPlan


def token_weights(decay: Tensor, bonus: Tensor, key: Tensor) -> Tensor:
    """Return how much every token of a sequence looks at every other.

    Parameters
    ----------
    decay, bonus : Tensor, shape (C,)
        Log-weight lost per step, and added to the token itself.
    key : Tensor, shape (B, T, C)
        In scan order.

    Returns
    -------
    Tensor, shape (B, T, T, C)
        Weight of token i (third axis... second T) for token t (first T); sums to 1 over i.
    """
    step = torch.arange(key.shape[1], device=key.device)
    distance = (step[:, None] - step[None, :]).abs()[..., None]  # (T, T, 1)
    other = key[:, None] - (distance - 1) * decay  # (B, T, T, C): log-weight of i for t
    itself = (key + bonus)[:, None]  # (B, 1, T, C)
    return torch.where(distance == 0, itself, other).softmax(dim=2)


def scan_sequence(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Mix one sequence (B, T, C) in scan order; memory grows with T**2."""
    return torch.einsum("btic,bic->btc", token_weights(decay, bonus, key), value)


def bi_wkv(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Run `scan_sequence` over each sequence of each head; see `napari_rwkvseg.wkv.bi_wkv`."""
    width = key.shape[2] // plan.heads
    result = torch.zeros_like(value, dtype=torch.float64)
    for head in range(plan.heads):
        channel = slice(head * width, (head + 1) * width)
        for sequence in range(int(plan.sequence[:, head].max()) + 1):
            token = _tokens_of(plan, head, sequence)  # (steps,)
            mixed = scan_sequence(
                decay[channel].double(),
                bonus[channel].double(),
                key[:, token, channel].double(),
                value[:, token, channel].double(),
            )
            # Not in place: the gradients of earlier sequences still need what is there.
            result = result.index_put(
                (
                    torch.arange(key.shape[0])[:, None, None],
                    token[None, :, None],
                    torch.arange(head * width, (head + 1) * width),
                ),
                mixed,
            )
    return result


def _tokens_of(plan: ScanPlan, head: int, sequence: int) -> Tensor:
    """Return the tokens of one sequence in the order in which they are visited."""
    chunks = plan.sequence[:, head] == sequence
    token = plan.steps[:, chunks, head].T.reshape(-1)  # chunk after chunk
    return token[token < plan.tokens]
