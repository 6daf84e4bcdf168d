"""Bi-WKV in linear time with plain PyTorch operations: the slab scan and its own backward.

With E_i = exp(k_i - max k) and x_i = [E_i v_i | E_i], numerator and denominator of the formula are
P_t + S_t + exp(u') x_t, where P and S are the states that a walk along the sequence leaves behind:

    P_{t+1} = exp(-w') P_t + x_t   (walking forwards),    S_{t-1} = exp(-w') S_t + x_t   (backwards)

All chunks of all heads walk at once (`plan.py`, `walk.py`), large calls part by part (`parts.py`).
Nothing is ever got by subtracting sums, so nothing cancels.

The kernel is symmetric, so the backward pass is the same scan of [p | q] = [g / den | -p y].
Letters as in `plan.py`; a slab is (2, L, B, M, h, c), E v in its first half and E in its second.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_rwkvseg.wkv.parts import WorkingMemory, cut
from napari_rwkvseg.wkv.plan import ScanPlan
from napari_rwkvseg.wkv.walk import tile, walk

# exp(-80) is still a normal float32, so that no denominator vanishes, however far keys lie apart.
SMALLEST_LOG_WEIGHT = -80.0
# Padding has no weight at all; its denominator only has to be something to divide by.
SMALLEST_DENOMINATOR = 1e-37

HALF = (torch.float16, torch.bfloat16)

_memory = WorkingMemory()


def bi_wkv(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Mix tokens along the plan's orders; see `napari_rwkvseg.wkv.bi_wkv`."""
    if key.dtype in HALF:  # sums over many tokens need 32 bits
        full = bi_wkv(decay.float(), bonus.float(), key.float(), value.float(), plan)
        return full.to(key.dtype)
    inputs = decay, bonus, key, value
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        result: Tensor = _SlabScan.apply(*inputs, plan)  # type: ignore[no-untyped-call]
        return result
    return _mix(*inputs, plan)


class _SlabScan(torch.autograd.Function):
    """Forward and backward of the slab scan, part by part."""

    @staticmethod
    def forward(
        ctx: Any, decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan
    ) -> Tensor:
        """Return y, shape (B, T, C)."""
        # Keys, values and y are not kept: slab and [y | den] say all that the gradients need.
        kept: list[Tensor] = []
        result = _mix(decay, bonus, key, value, plan, kept)
        ctx.plan = plan
        ctx.save_for_backward(decay, bonus, *kept)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of decay, bonus, key, value."""
        decay, bonus, *kept = ctx.saved_tensors
        by_decay, by_bonus = torch.zeros_like(decay), torch.zeros_like(bonus)
        by_key, by_value = gradient.new_empty((2, *gradient.shape)).unbind(0)
        parts = cut(gradient.shape[0], gradient.shape[2], ctx.plan)
        for part, slab, total in zip(parts, kept[::2], kept[1::2], strict=True):
            plan, own = part.plan, part.per_channel(bonus).exp()
            pull = _pull(part.of(gradient), total, plan)  # (2, L, B, M, h, c)
            sums = _scan_back(slab, pull, part.per_channel(decay), own, plan)
            part.per_channel(by_decay).add_(sums[0])
            part.per_channel(by_bonus).add_(sums[1])
            _off_slab(pull[0], part.of(by_key), plan)
            _off_slab(pull[1], part.of(by_value), plan)
        return by_decay, by_bonus, by_key, by_value, None


def _mix(
    decay: Tensor,
    bonus: Tensor,
    key: Tensor,
    value: Tensor,
    plan: ScanPlan,
    kept: list[Tensor] | None = None,
) -> Tensor:
    """Return y, shape (B, T, C); append each part's slab and [y | denominator] to `kept`."""
    result = key.new_empty(key.shape)
    for part in cut(key.shape[0], key.shape[2], plan):
        slab = _weigh(part.of(key), part.of(value), part.plan, keep=kept is not None)
        total = _like("left", slab) if kept is None else torch.empty_like(slab)
        right = _like("spare", slab)
        walk(slab, part.per_channel(decay), part.plan, total, right)
        # `total` is P so far; with S and the token's own weight it becomes [numerator | den].
        total.add_(right).addcmul_(slab, tile(part.per_channel(bonus).exp(), slab))
        if part.plan.padded:
            total[1].clamp_min_(SMALLEST_DENOMINATOR)
        total[0].div_(total[1])
        _off_slab(total[0], part.of(result), part.plan)
        if kept is not None:
            kept += slab, total
    return result


def _weigh(key: Tensor, value: Tensor, plan: ScanPlan, keep: bool) -> Tensor:
    """Return the slab [E v | E], (2, L, B, M, h, c), with E at most 1; padding adds nothing."""
    rows, (weighted, weight) = _rows(key, plan)
    # Relative to the largest key of an image and channel: it falls out of y, and exp cannot
    # overflow. Vision-RWKV keeps a running maximum instead, and rescales its state at every step.
    torch.sub(key, key.amax(dim=1, keepdim=True), out=weight)  # (B, T, C)
    weight.clamp_(min=SMALLEST_LOG_WEIGHT).exp_()
    torch.mul(weight, value, out=weighted)
    shape = (2, plan.length, len(key), plan.chunks, plan.heads, rows.shape[1])
    slab = key.new_empty(shape) if keep else _memory.empty("slab", key, shape)
    torch.index_select(rows, 0, plan.rows(len(key))[0], out=slab.view(-1, rows.shape[1]))
    return slab


def _pull(gradient: Tensor, total: Tensor, plan: ScanPlan) -> Tensor:
    """Return [p | q] on the slab for the gradient of y, shape (B, T, C)."""
    pull, (rows, grid) = _like("pull", total), _rows(gradient, plan)
    grid[0] = gradient
    onto, _ = plan.rows(len(gradient))
    torch.index_select(rows, 0, onto[: len(onto) // 2], out=pull[0].view(-1, rows.shape[1]))
    pull[0].div_(total[1])
    torch.mul(pull[0], total[0], out=pull[1]).neg_()
    return pull


def _scan_back(
    slab: Tensor, pull: Tensor, decay: Tensor, own: Tensor, plan: ScanPlan
) -> tuple[Tensor, Tensor]:
    """Turn [p | q] into the gradients of [key | value]; return those of decay and bonus, (h, c)."""
    left, right = _like("left", slab), _like("spare", slab)
    pull_left, pull_right = _like("pull left", slab), _like("pull right", slab)
    walk(slab, decay, plan, left, right)
    walk(pull, decay, plan, pull_left, pull_right)
    # Two tokens n steps apart meet at each of the n - 1 steps between them, with f^(n - 2) left of
    # both: in all -(n - 1) f^(n - 1), the derivative by w', once the factor -f is put back.
    by_decay = left.mul_(pull_right).addcmul_(right, pull_left).sum(dim=(0, 1, 2, 3))
    by_bonus = torch.mul(slab, pull, out=left).sum(dim=(0, 1, 2, 3))

    # A value acts through E v, which p pulls; a key through both E v and E, which p and q pull.
    back_p, back_q = pull_left.add_(pull_right).addcmul_(pull, tile(own, slab)).unbind(0)
    weighted, weight = slab.unbind(0)
    torch.mul(weighted, back_p, out=pull[0]).addcmul_(weight, back_q)
    torch.mul(weight, back_p, out=pull[1])
    return by_decay * -(-decay).exp(), by_bonus * own


def _rows(grid: Tensor, plan: ScanPlan) -> tuple[Tensor, Tensor]:
    """Return memory for two grids, as rows of c with a zero row at the end, and as (2, B, T, C)."""
    width = grid.shape[2] // plan.heads
    rows = _memory.empty("spare", grid, (2 * grid.numel() // width + 1, width))
    if plan.padded:
        rows[-1].zero_()
    return rows, rows[:-1].view(2, *grid.shape)


def _off_slab(half: Tensor, grid: Tensor, plan: ScanPlan) -> None:
    """Scatter (L, B, M, h, c) to where the tokens lie in a grid (B, T, C)."""
    width, (_, back) = half.shape[-1], plan.rows(len(grid))
    torch.index_select(half.view(-1, width), 0, back, out=grid.view(-1, width))


def _like(name: str, slab: Tensor) -> Tensor:
    return _memory.empty(name, slab, slab.shape)
