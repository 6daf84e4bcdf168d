"""The walk along all chunks at once, in both directions: what the slab scan spends its time on.

Steps are joined two by two, later + fade * earlier, then these pairs, and so on, until each chunk
is one sum (or an odd number of them, walked one by one). The sums are carried across the chunks by
doubling. On the way back each pair hands the state before it to its first step, and to its second
with the first step added. All of it lies in the memory of the result: a pair's sum takes the place
of the state that it leads to. Letters as in `plan.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from napari_rwkvseg.wkv.plan import ScanPlan


def walk(slab: Tensor, decay: Tensor, plan: ScanPlan, left: Tensor, right: Tensor) -> None:
    """Find the states before and after each step, that step itself left out.

    Parameters
    ----------
    slab : Tensor, shape (2, L, B, M, h, c)
        What each step adds.
    decay : Tensor, shape (h, c)
        w' of each channel.
    plan : ScanPlan
        Says which chunks follow each other.
    left, right : Tensor, shape (2, L, B, M, h, c)
        Filled with P and S of the slab scan.
    """
    # Not powers of the rounded exp(-w'): that error would grow with the distance.
    fades = (plan.ways * -decay).exp()
    inside = tile(fades[: plan.halvings + 1, None, None], slab).unbind(0)
    # Pairs of pairs: half the steps each time, so the loop below is short however long a chunk is.
    up, forwards = _pair_up(slab, left, inside[:-1], side=0)
    down, backwards = _pair_up(slab, right, inside[:-1], side=1)
    forwards[0].state.zero_()
    backwards[0].state.zero_()
    _run(forwards, inside[-1])
    _run(backwards, inside[-1])
    # A chunk's end does not depend on what came before but for a fade: walk once from nothing,
    # carry the ends, and walk again from what was carried.
    if plan.span > 1:
        ends = torch.stack((_end(forwards, inside[-1]), _end(backwards, inside[-1]).flip(2)))
        entered = _carry(ends, fades[plan.halvings + 1 :], plan)
        forwards[0].state.copy_(entered[0])
        backwards[0].state.copy_(entered[1].flip(2))
        _run(forwards, inside[-1])
        _run(backwards, inside[-1])
    # Down again, coarse pairs first: each state is there before a finer pair asks for it.
    for pair in (*reversed(up), *reversed(down)):
        torch.addcmul(pair.first, pair.before, pair.fade, out=pair.between)


def tile(parameter: Tensor, slab: Tensor) -> Tensor:
    """Repeat (..., h, c) to (..., B, M, h, c): one long row is faster than many short ones."""
    return parameter.expand(*parameter.shape[:-4], *slab.shape[2:]).contiguous()


class _Step(NamedTuple):
    """One step of each chunk, (2, B, M, h, c): what it adds, and the state before it."""

    adds: Tensor
    state: Tensor


class _Pairs(NamedTuple):
    """Steps joined two by two, each (2, L / 2, B, M, h, c)."""

    first: Tensor
    before: Tensor
    between: Tensor
    fade: Tensor


def _pair_up(
    adds: Tensor, states: Tensor, fades: tuple[Tensor, ...], side: int
) -> tuple[list[_Pairs], list[_Step]]:
    """Join steps two by two, once for each fade; return the pairs and what is left to walk.

    The states are (2, L, B, M, h, c); `side` is 0 to walk forwards, 1 to walk backwards.
    """
    joined = []
    for fade in fades:
        halves = (2, adds.shape[1] // 2, 2, *adds.shape[2:])
        first, second = adds.view(halves).unbind(2)[:: 1 - 2 * side]
        before, between = states.view(halves).unbind(2)[:: 1 - 2 * side]
        torch.addcmul(second, first, fade, out=between)
        joined.append(_Pairs(first, before, between, fade))
        adds, states = between, before
    steps = [_Step(*step) for step in zip(adds.unbind(1), states.unbind(1), strict=True)]
    return joined, steps[:: 1 - 2 * side]


def _run(steps: list[_Step], fade: Tensor) -> None:
    """Walk step by step from the state before the first."""
    for step, following in pairwise(steps):
        torch.addcmul(step.adds, step.state, fade, out=following.state)


def _end(steps: list[_Step], fade: Tensor) -> Tensor:
    """Return the state after the last step."""
    return torch.addcmul(steps[-1].adds, steps[-1].state, fade)


def _carry(ends: Tensor, fades: Tensor, plan: ScanPlan) -> Tensor:
    """Return the states in which chunks are entered, from those that they alone would leave.

    Both are (2, 2, B, M, h, c), forwards and backwards, the latter with the chunks reversed;
    the fades are over 1, 2, 4 ... chunks, (n, h, c).
    """
    distance = 1
    for fade in fades.unbind(0):
        if distance >= plan.span - 1:
            break
        further = ends.clone()
        reach = plan.joins(distance) * fade
        further[:, :, :, distance:].addcmul_(ends[:, :, :, :-distance], reach)
        ends, distance = further, distance * 2
    # A chunk is entered with the end of the one before it, and the first with nothing.
    entered = torch.zeros_like(ends)
    torch.mul(ends[:, :, :, :-1], plan.joins(1), out=entered[:, :, :, 1:])
    return entered
