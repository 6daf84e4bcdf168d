"""Bi-WKV on a GPU: the launches of the kernels, forward and backward, and what they need.

Forward: `sum_weights`, `carry`, `mix` read keys and values twice and write the result, 5 N numbers
(N = B T C). Backward: `sum_pulls`, `carry`, `differentiate` read the result and its denominator
twice with the gradient, keys and values once, and write two gradients, 10 N. Where no sequence is
longer than a chunk, nothing is carried and the last of the three is enough.

Nothing is added up in an order that changes: results are the same bits every time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_rwkvseg.wkv import slab
from napari_rwkvseg.wkv.plan import ScanPlan
from napari_rwkvseg.wkv.triton_backward import differentiate, sum_pulls
from napari_rwkvseg.wkv.triton_forward import carry, mix, sum_weights

logger = logging.getLogger(__name__)

# Numbers of a tile at each of its four steps: enough for four warps with 16 bytes per thread.
TILE = 512
# Channels of a tile: wider ones would hold too few chunks.
WIDEST = 32
# Chunks that `carry` takes at once, tile after tile.
CARRIED_CHUNKS = 128


@dataclass(frozen=True)
class Blocks:
    """Shapes of the tiles, all powers of two.

    Attributes
    ----------
    width : int
        Channels of a tile.
    quads : int
        Rows of four steps that a chunk takes.
    rows : int
        Rows of a tile.
    carried : int
        Chunks of a tile of `carry`.
    """

    width: int
    quads: int
    rows: int
    carried: int

    @classmethod
    def fit(cls, plan: ScanPlan, channels: int) -> Blocks:
        """Return the shapes for a plan and C channels."""
        width = min(WIDEST, triton.next_power_of_2(channels // plan.heads))
        quads = triton.next_power_of_2(triton.cdiv(plan.length, 4))
        carried = min(CARRIED_CHUNKS, triton.next_power_of_2(plan.chunks))
        return cls(width, quads, max(quads, TILE // width), carried)

    @property
    def chunks(self) -> int:
        """Chunks of a tile."""
        return self.rows // self.quads


def works_on(device: torch.device) -> bool:
    """Return whether a tiny scan and its gradients come out as those of the slab scan.

    Compilers, drivers and cards differ more than can be foreseen: what fails here would fail an
    image later, and the slab scan is there instead.
    """
    # The first scan of a process is often one that predicts, and knows of no gradients.
    with torch.inference_mode(False), torch.enable_grad():
        try:
            ours = _trial(bi_wkv, device)
        except Exception as error:  # drivers and compilers fail in all ways, by assertion too
            logger.info("Triton does not work on %s, PyTorch takes over: %s", device, error)
            return False
        theirs = _trial(slab.bi_wkv, device)
    # Far looser than rounding: this is to find what is wrong, not what is imprecise.
    return all(
        torch.allclose(*pair, rtol=1e-3, atol=1e-4) for pair in zip(ours, theirs, strict=True)
    )


def _trial(operator: Callable[..., Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """Return y and all gradients of a scan in two orders, several chunks long."""
    order = np.arange(23)
    plan = ScanPlan([(order,), (order[:12], order[:11:-1])], device, length=4)
    numbers = torch.arange(2 * 23 * 4, device=device).view(2, 1, 23, 4).sin()
    leaves = torch.full((4,), 0.2, device=device), torch.zeros(4, device=device), *numbers
    leaves = tuple(leaf.requires_grad_() for leaf in leaves)
    result = operator(*leaves, plan)
    return result.detach(), *torch.autograd.grad(result, leaves, numbers[0].cos())


def bi_wkv(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Mix tokens along the plan's orders; see `napari_rwkvseg.wkv.bi_wkv`.

    Raises
    ------
    ValueError
        If the tensors do not lie on a GPU, unless Triton interprets.
    """
    if not key.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"the Triton path runs on a GPU, key lies on {key.device}. Move the tensors to "
            "cuda, or set TRITON_INTERPRET=1 before the first scan."
        )
    inputs = decay, bonus, key, value
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        result: Tensor = _TritonScan.apply(*inputs, plan)  # type: ignore[no-untyped-call]
        return result
    return _mix(_Call(plan, key), *inputs, keep=False)[0]


class _TritonScan(torch.autograd.Function):
    """Forward and backward of the Triton path."""

    @staticmethod
    def forward(
        ctx: Any, decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan
    ) -> Tensor:
        """Return y, shape (B, T, C)."""
        call = _Call(plan, key)
        kept = _mix(call, decay, bonus, key, value, keep=True)
        # No slab: k and v exist anyway, the rest is y, its denominators, and 1/16 grid of states.
        ctx.call = call
        ctx.save_for_backward(decay, bonus, key, value, *kept)
        return kept[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of decay, bonus, key, value."""
        return *_differentiate(ctx.call, gradient, *ctx.saved_tensors), None


class _Call:
    """Geometry of one call: what all of its launches are told."""

    def __init__(self, plan: ScanPlan, key: Tensor) -> None:
        self.images, self.tokens, self.channels = key.shape
        self.order, self.follows = plan.by_head()
        self.length, self.chunks, self.heads = plan.length, plan.chunks, plan.heads
        self.width = self.channels // plan.heads
        self.carried = plan.span > 1
        self.blocks = Blocks.fit(plan, self.channels)
        self.tiles = triton.cdiv(plan.chunks, self.blocks.chunks)
        self.half = self.images * plan.chunks * self.channels

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """The numbers with which the arguments of a kernel end."""
        return self.half, self.tokens, self.chunks, self.heads, self.width

    def programs(self, tiles: int) -> tuple[int]:
        """Return the grid of a launch: images, tiles, heads, blocks of channels."""
        blocks = triton.cdiv(self.width, self.blocks.width)
        return (self.images * tiles * self.heads * blocks,)

    def shapes(self, per_thread: int) -> dict[str, int]:
        """Return the constants of all kernels but `carry`, for so many numbers at each step."""
        blocks = self.blocks
        return {
            "LENGTH": self.length,
            "QUADS": blocks.quads,
            "ROWS": blocks.rows,
            "WIDTH": blocks.width,
            "num_warps": warps(blocks.rows * blocks.width, per_thread),
        }

    def states(self, like: Tensor) -> Tensor:
        """Return memory for the states of all chunks, none if nothing is carried."""
        shape = (2, 2, self.images, self.chunks, self.channels)
        return like.new_empty(shape if self.carried else (0,), dtype=torch.float32)

    def carry(self, states: Tensor, decay: Tensor, tops: Tensor | None = None) -> Tensor:
        """Turn sums of chunks into states, in place; return the largest key, (B, C), given tops."""
        top = states.new_empty((self.images, self.channels))
        blocks = self.blocks
        carry[self.programs(2)](
            *(states, top if tops is None else tops, top, self.follows, decay),
            *(self.half, self.chunks, self.heads, self.width),
            LENGTH=self.length,
            OF_TILE=0 if tops is None else blocks.chunks,
            CHUNKS=blocks.carried,
            WIDTH=blocks.width,
            num_warps=warps(blocks.carried * blocks.width, 8),
        )
        return top


def _mix(
    call: _Call, decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return y, its denominators if they are to be kept, the largest keys, the chunks' states."""
    (key, key_stride), (value, value_stride) = _strided(key), _strided(value)
    rate, fade, own = _factors(decay, bonus)
    top = states = call.states(key)  # nobody reads either if nothing is carried
    result = key.new_empty(key.shape)
    total = states.new_empty(key.shape if keep else (0,))
    with torch.cuda.device(key.device if key.is_cuda else -1):
        if call.carried:
            tops = states.new_empty((call.images, call.tiles, call.channels))
            sum_weights[call.programs(call.tiles)](
                *(key, value, call.order, rate, fade, states, tops),
                *(key_stride, value_stride, *call.sizes),
                **call.shapes(per_thread=4),
            )
            top = call.carry(states, rate, tops)
        mix[call.programs(call.tiles)](
            *(key, value, result, total, call.order, fade, own, top, states),
            *(key_stride, value_stride, *call.sizes),
            CARRIED=call.carried,
            KEPT=keep,
            **call.shapes(per_thread=4),
        )
    return result, total, top, states


def _differentiate(
    call: _Call,
    gradient: Tensor,
    decay: Tensor,
    bonus: Tensor,
    key: Tensor,
    value: Tensor,
    result: Tensor,
    total: Tensor,
    top: Tensor,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of decay, bonus, key and value for that of the result."""
    (key, key_stride), (value, value_stride) = _strided(key), _strided(value)
    gradient, gradient_stride = _strided(gradient)
    rate, fade, own = _factors(decay, bonus)
    pulls = call.states(key)
    by_key, by_value = key.new_empty(key.shape), value.new_empty(key.shape)
    by_channel = total.new_empty((call.images, call.tiles, 2, call.channels))
    with torch.cuda.device(key.device if key.is_cuda else -1):
        if call.carried:
            sum_pulls[call.programs(call.tiles)](
                *(gradient, result, total, call.order, rate, fade, pulls),
                *(gradient_stride, *call.sizes),
                **call.shapes(per_thread=4),
            )
            call.carry(pulls, rate)
        differentiate[call.programs(call.tiles)](
            *(key, value, gradient, result, total, by_key, by_value, by_channel),
            *(call.order, fade, own, top, states, pulls),
            *(key_stride, value_stride, gradient_stride, *call.sizes),
            CARRIED=call.carried,
            **call.shapes(per_thread=2),  # it keeps twice as much of each
        )
    by_decay, by_bonus = by_channel.sum(dim=(0, 1))  # (C,) each
    return (-fade * by_decay).to(decay), (own * by_bonus).to(bonus), by_key, by_value


def warps(numbers: int, per_thread: int) -> int:
    """Return how many warps of 32 threads share a tile."""
    return max(1, min(8, numbers // (32 * per_thread)))


def _factors(decay: Tensor, bonus: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return w', f = exp(-w') and exp(u'), (C,), float32.

    A kernel multiplies f with itself up to L times, and what the fast `exp` of a GPU is wrong by
    would grow with that: hence f is worked out here, in double precision.
    """
    fade = (-decay.double()).exp().float()
    return decay.float().contiguous(), fade, bonus.float().exp().contiguous()


def _strided(grid: Tensor) -> tuple[Tensor, int]:
    """Return a grid (B, T, C) whose tokens lie equally far apart, and how far; copy if need be."""
    # Halves of one matrix product lie like this: copying them would cost two grids each.
    images, tokens, channels = grid.shape
    step = grid.stride(1)
    if grid.stride(2) == 1 and (images == 1 or grid.stride(0) == tokens * step):
        return grid, step
    return grid.contiguous(), channels
