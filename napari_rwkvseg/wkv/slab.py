"""Bi-WKV in linear time with plain PyTorch operations: the slab scan and its own backward.

With E_i = exp(k_i - max k) and x_i = [E_i v_i | E_i], numerator and denominator of the formula are
P_t + S_t + exp(u') x_t, where P and S are the states that a walk along the sequence leaves behind:

    P_{t+1} = exp(-w') P_t + x_t   (walking forwards),    S_{t-1} = exp(-w') S_t + x_t   (backwards)

All chunks of all heads walk at once (`plan.py`): each of the L steps is one multiply-add over a
contiguous block. The chunks' last states are then carried across by doubling, and added to
every step with the decay of the way. Nothing is ever got by subtracting sums, so nothing cancels.

The kernel is symmetric, so the backward pass is the same scan of [p | q] = [g / den | -p y].
Letters as in `plan.py`; a slab is (L, B, M, W), its rows W = h * 2 * c hold [E v | E] per head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_rwkvseg.wkv.plan import ScanPlan

# exp(-80) is still a normal float32, so that no denominator vanishes, however far keys lie apart.
SMALLEST_LOG_WEIGHT = -80.0
# Padding has no weight at all; its denominator only has to be something to divide by.
SMALLEST_DENOMINATOR = 1e-37


def bi_wkv(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Mix tokens along the plan's orders; see `napari_rwkvseg.wkv.bi_wkv`."""
    result: Tensor = _SlabScan.apply(decay, bonus, key, value, plan)  # type: ignore[no-untyped-call]
    return result


class _SlabScan(torch.autograd.Function):
    """Forward and backward of the slab scan."""

    @staticmethod
    def forward(
        ctx: Any, decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan
    ) -> Tensor:
        """Return y, shape (B, T, C)."""
        slab = _onto_slab(_weigh(key, value, plan), plan)  # (L, B, M, W)
        decay, own = _both(decay, plan), _both(bonus, plan).exp()  # (W,)
        left, right = walk(slab, decay, plan)
        total = left.add_(right).addcmul_(slab, own)
        numerator, denominator = _halves(total, plan)
        if plan.padded:
            denominator = denominator.clamp_min(SMALLEST_DENOMINATOR)
        mixed = numerator / denominator  # (L, B, M, h, c)
        if any(ctx.needs_input_grad):
            ctx.plan = plan
            ctx.save_for_backward(decay, own, slab, mixed, denominator)
        return _off_slab(mixed, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of decay, bonus, key, value."""
        decay, own, slab, mixed, denominator = ctx.saved_tensors
        plan: ScanPlan = ctx.plan
        p = _onto_slab(gradient.contiguous(), plan).view(mixed.shape) / denominator
        pull = torch.stack((p, -p * mixed), dim=-2).view(slab.shape)  # [p | q]

        left, right = walk(slab, decay, plan)
        pull_left, pull_right = walk(pull, decay, plan)
        by_decay = left.mul_(pull_right).addcmul_(right, pull_left)
        decayed = _per_channel(by_decay, -(-decay).exp(), plan)
        bonus = _per_channel(slab * pull, own, plan)

        back = pull_left.add_(pull_right).addcmul_(pull, own)
        back_p, back_q = _halves(back, plan)
        weighted, weight = _halves(slab, plan)
        value = weight * back_p
        key = (weighted * back_p).addcmul_(weight, back_q)
        return decayed, bonus, _off_slab(key, plan), _off_slab(value, plan), None


def walk(slab: Tensor, decay: Tensor, plan: ScanPlan) -> tuple[Tensor, Tensor]:
    """Return the states before and after each step, that step itself left out.

    Parameters
    ----------
    slab : Tensor, shape (L, B, M, W)
        What each step adds.
    decay : Tensor, shape (W,)
        w' of each entry of a row.
    plan : ScanPlan
        Says which chunks follow each other.

    Returns
    -------
    left, right : Tensor, shape (L, B, M, W)
        P and S of the module's docstring.
    """
    left, right = torch.empty_like(slab), torch.empty_like(slab)
    shrink, last = (-decay).exp(), len(slab) - 1
    left[0].zero_()
    right[last].zero_()
    for step in range(last):
        torch.addcmul(slab[step], left[step], shrink, out=left[step + 1])
    for step in range(last, 0, -1):
        torch.addcmul(slab[step], right[step], shrink, out=right[step - 1])
    if plan.span > 1:
        way = torch.arange(len(slab), device=slab.device, dtype=slab.dtype)
        # Not powers of the rounded exp(-w'): that error would grow with the distance.
        powers = (way[:, None, None, None] * -decay).exp()  # (L, 1, 1, W)
        whole_left = torch.addcmul(slab[last], left[last], shrink)
        whole_right = torch.addcmul(slab[0], right[0], shrink)
        left.addcmul_(_carry(whole_left, decay, plan), powers)
        right.addcmul_(_carry_back(whole_right, decay, plan), powers.flip(0))
    return left, right


def _carry(state: Tensor, decay: Tensor, plan: ScanPlan) -> Tensor:
    """Return for each chunk the state (B, M, W) that the chunks before it leave behind."""
    distance = 1
    while distance < plan.span - 1:
        reach = _fade(decay, distance, plan)
        step = state.clone()
        step[:, distance:].addcmul_(state[:, :-distance], reach)
        state, distance = step, distance * 2
    carried = torch.zeros_like(state)
    torch.mul(state[:, :-1], _joins(1, plan, state.shape[2]), out=carried[:, 1:])
    return carried


def _carry_back(state: Tensor, decay: Tensor, plan: ScanPlan) -> Tensor:
    """Do as `_carry`, from the chunks behind."""
    distance = 1
    while distance < plan.span - 1:
        reach = _fade(decay, distance, plan)
        step = state.clone()
        step[:, :-distance].addcmul_(state[:, distance:], reach)
        state, distance = step, distance * 2
    carried = torch.zeros_like(state)
    torch.mul(state[:, 1:], _joins(1, plan, state.shape[2]), out=carried[:, :-1])
    return carried


def _fade(decay: Tensor, distance: int, plan: ScanPlan) -> Tensor:
    """Return what is left of a state after `distance` chunks, shape (M - distance, W)."""
    return _joins(distance, plan, len(decay)) * (-decay * plan.length * distance).exp()


def _joins(distance: int, plan: ScanPlan, width: int) -> Tensor:
    """Return 1 where two chunks belong to one sequence, else 0, shape (M - distance, W)."""
    return plan.joins(distance).repeat_interleave(width // plan.heads, dim=1)


def _weigh(key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Return [E v | E], shape (B, T, W), with E at most 1."""
    batch, tokens, channels = key.shape
    shape = (batch, tokens, plan.heads, channels // plan.heads)
    weight = (key - key.amax(dim=1, keepdim=True)).clamp_(min=SMALLEST_LOG_WEIGHT).exp_()
    pair = key.new_empty((batch, tokens, plan.heads, 2, channels // plan.heads))
    torch.mul(weight.view(shape), value.reshape(shape), out=pair[..., 0, :])
    pair[..., 1, :] = weight.view(shape)
    return pair.view(batch, tokens, 2 * channels)


def _onto_slab(grid: Tensor, plan: ScanPlan) -> Tensor:
    """Gather (B, T, width) into scan order, shape (L, B, M, width); padding reads zeros."""
    batch, _, width = grid.shape
    onto, _ = plan.rows(batch)
    rows = grid.view(-1, width // plan.heads)
    if plan.padded:
        rows = torch.cat((rows, rows.new_zeros((plan.heads, rows.shape[1]))))
    return rows.index_select(0, onto).view(plan.length, batch, plan.chunks, width)


def _off_slab(slab: Tensor, plan: ScanPlan) -> Tensor:
    """Scatter (L, B, M, h, c) back to where the tokens lie, shape (B, T, C)."""
    batch, width = slab.shape[1], slab.shape[-1]
    _, back = plan.rows(batch)
    rows = slab.reshape(-1, width).index_select(0, back)
    return rows.view(batch, plan.tokens, plan.heads * width)


def _both(parameter: Tensor, plan: ScanPlan) -> Tensor:
    """Repeat a number per channel (C,) for both halves of each head's row, shape (W,)."""
    heads = parameter.view(plan.heads, 1, -1)
    return heads.expand(-1, 2, -1).reshape(-1)


def _halves(slab: Tensor, plan: ScanPlan) -> tuple[Tensor, Tensor]:
    """Split the rows of a slab into both halves, each (L, B, M, h, c)."""
    pair = slab.view(*slab.shape[:3], plan.heads, 2, -1)
    return pair[..., 0, :], pair[..., 1, :]


def _per_channel(slab: Tensor, factor: Tensor, plan: ScanPlan) -> Tensor:
    """Sum a slab over all steps and both halves, times a factor (W,): shape (C,)."""
    total = slab.sum(dim=(0, 1, 2)) * factor
    return total.view(plan.heads, 2, -1).sum(dim=1).view(-1)
