"""Bi-WKV on a GPU: every path that works there, softmax attention, and the copy of the same run.

`of copy` is the part of the copy's bandwidth that is reached on the bytes that must move: 5 grids
forward (keys and values twice, the result) and 10 backward, N numbers of s bytes each. `memory` is
the most that forward and backward hold together, inputs included, in grids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.gpu import COPIED_BYTES, Card, Figures, Inputs
from napari_rwkvseg.wkv import ScanPlan, bi_wkv, path_for, use_path

Shape = tuple[int, int, int]
PlanOf = Callable[[int, torch.device], ScanPlan]

FORWARD_GRIDS, BACKWARD_GRIDS = 5, 10
ATTENTION_TOKENS = 65536
"""Softmax attention is timed up to here: its cost grows with the square."""


def draw(card: Card, shape: Shape, dtype: torch.dtype, *, learning: bool = False) -> Inputs:
    """Return decay, bonus (C,), key, value and a gradient (B, T, C), all fresh."""
    _, tokens, channels = shape
    decay, bonus = torch.rand(2, channels, device=card.device).mul_(8 / tokens).unbind(0)
    key, value, gradient = torch.randn(3, *shape, device=card.device).to(dtype).unbind(0)
    leaves = [x.clone().requires_grad_(learning) for x in (decay, bonus, key, value)]
    return *leaves, gradient.clone()


def forward(path: str, plan: ScanPlan, inputs: Inputs) -> torch.Tensor:
    """Scan by one path."""
    with use_path(path):
        return bi_wkv(inputs[0], inputs[1], inputs[2], inputs[3], plan)


def both(path: str, plan: ScanPlan, inputs: Inputs) -> object:
    """Scan, and find the gradients."""
    return torch.autograd.grad(forward(path, plan, inputs), inputs[:4], inputs[4])


def attend(heads: int, inputs: Inputs) -> torch.Tensor:
    """Let every token look at all others by softmax attention, (B, heads, T, C / heads)."""
    value = inputs[3]
    split = value.view(*value.shape[:2], heads, -1).transpose(1, 2)
    return functional.scaled_dot_product_attention(split, split, split)


def backward_only(path: str, plan: ScanPlan, make: Callable[[], Inputs], card: Card) -> Figures:
    """Time the gradients alone: the forward passes take place where inputs are made."""

    def scanned() -> Inputs:
        inputs = make()
        return *inputs, forward(path, plan, inputs)

    return card.run(scanned, lambda x: torch.autograd.grad(x[5], x[:4], x[4], retain_graph=True))


def measure(
    card: Card,
    shapes: Sequence[Shape],
    dtype: torch.dtype,
    plan_of: PlanOf,
    copied: int = COPIED_BYTES,
) -> Iterator[dict[str, Any]]:
    """Yield a row per shape (B, T, C) and path, the one that `bi_wkv` chooses by itself first."""
    bandwidth = card.bandwidth(copied)
    for shape in shapes:
        plan = plan_of(shape[1], card.device)
        draw_here = partial(draw, card, shape, dtype)
        chosen = path_for(draw_here()[2])
        attention = None
        if shape[1] <= ATTENTION_TOKENS:
            attention = card.run(draw_here, partial(attend, plan.heads)).seconds
        first = None
        for path in dict.fromkeys((chosen, "slab")):
            row = measure_path(card, path, plan, shape, dtype, bandwidth)
            first = first or row["forward ms"]
            row["forward / first"] = row["forward ms"] / first
            if attention:
                row["attention / forward"] = attention * 1e3 / row["forward ms"]
            yield row


def measure_path(
    card: Card, path: str, plan: ScanPlan, shape: Shape, dtype: torch.dtype, bandwidth: float
) -> dict[str, Any]:
    """Return what one path costs on one shape."""
    learn = partial(draw, card, shape, dtype, learning=True)
    ahead = card.run(partial(draw, card, shape, dtype), partial(forward, path, plan))
    back = backward_only(path, plan, learn, card)
    together = card.run(learn, partial(both, path, plan))
    grid = shape[0] * shape[1] * shape[2] * dtype.itemsize
    return {
        "path": path,
        "images": shape[0],
        "tokens": shape[1],
        "channels": shape[2],
        "dtype": str(dtype).removeprefix("torch."),
        "copy GB/s": bandwidth / 1e9,
        "forward ms": ahead.seconds * 1e3,
        "forward of copy": ahead.share(FORWARD_GRIDS * grid, bandwidth),
        "backward ms": back.seconds * 1e3,
        "backward of copy": back.share(BACKWARD_GRIDS * grid, bandwidth),
        "memory": together.peak / grid + 3,  # keys, values and the gradient of the result
    }
