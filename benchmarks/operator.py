"""Bi-WKV against a memory copy, a linear layer and softmax attention.

    python -m benchmarks.operator [--json FILE] [--tokens 4096 16384 65536] [--rounds 7]
    python -m benchmarks.operator --device cuda [--dtype bfloat16] [--numbers 16777216]

`forward` is the whole operator on a grid in row-major order: keys and values are gathered into four
scan orders, one per head, mixed, and scattered back. `copy` writes one such grid to memory that is
new to the process, as the result of an operator is; `copy to used memory` writes to memory that it
owns already, and shows what the clearing of new pages costs. All start with cold caches.

On a GPU the rows are those of `benchmarks.operator_gpu`.
"""

from __future__ import annotations

import argparse
import math
import mmap
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import operator_gpu
from benchmarks.gpu import Card
from benchmarks.timing import Call, Race, report
from napari_rwkvseg.scan.orders import scan_order
from napari_rwkvseg.wkv import ScanPlan, bi_wkv

ORDERS = ("row", "column", "hilbert", "diagonal")
CHANNELS = 64
TOKENS = (4096, 16384, 65536)
ATTENTION_TOKENS = 16384
"""Softmax attention is timed up to here: its cost grows with the square."""


def four_orders(tokens: int, device: torch.device | None = None) -> ScanPlan:
    """Return the plan of four heads with an order each, on a grid as square as can be."""
    height = next(side for side in range(math.isqrt(tokens), 0, -1) if tokens % side == 0)
    orders = [(scan_order(kind, height, tokens // height),) for kind in ORDERS]
    return ScanPlan(orders, device)


def copy_to_new_memory(grid: Tensor) -> Tensor:
    """Copy to pages that the process has never touched."""
    size = grid.numel() * grid.element_size()
    if sys.platform == "win32":
        pages = mmap.mmap(-1, size)
    else:
        pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=grid.dtype).view(grid.shape).copy_(grid)


def backwards(result: Tensor, gradient: Tensor, leaves: Sequence[Tensor]) -> object:
    """Return the gradients of the leaves."""
    return torch.autograd.grad(result, leaves, gradient)


def competitors(tokens: int, channels: int) -> dict[str, Call]:
    """Return the calls to compare, on fresh random grids (1, T, C)."""
    plan, linear = four_orders(tokens), nn.Linear(channels, channels)
    key, value, gradient = torch.randn(3, 1, tokens, channels).unbind(0)
    decay, bonus = torch.rand(2, channels).mul_(8 / tokens).unbind(0)
    inputs = decay, bonus, key, value
    w, u, k, v = (tensor.clone().requires_grad_() for tensor in inputs)
    used = torch.zeros_like(value)
    calls: dict[str, Call] = {
        "forward": lambda: bi_wkv(decay, bonus, key, value, plan),
        "forward+backward": lambda: backwards(bi_wkv(w, u, k, v, plan), gradient, (w, u, k, v)),
        "copy": lambda: copy_to_new_memory(value),
        "copy to used memory": lambda: used.copy_(value),
        "linear": lambda: functional.linear(value, linear.weight.detach(), linear.bias.detach()),
        "linear forward+backward": lambda: backwards(
            linear(v), gradient, (v, *linear.parameters())
        ),
    }
    if tokens <= ATTENTION_TOKENS:
        heads = value.view(1, tokens, len(ORDERS), -1).transpose(1, 2).contiguous()
        calls["attention"] = lambda: functional.scaled_dot_product_attention(heads, heads, heads)
    return calls


def measure(tokens: int, channels: int, rounds: int) -> dict[str, Any]:
    """Return nanoseconds per element of each competitor, and the ratios that matter."""
    race = Race(competitors(tokens, channels), rounds, cold=True)
    row: dict[str, Any] = {"tokens": tokens, "channels": channels}
    for name in race.seconds:
        row[f"{name} ns"] = race.median(name) * 1e9 / (tokens * channels)
    row["forward / copy"] = race.ratio("forward", "copy")
    row["forward / copy to used memory"] = race.ratio("forward", "copy to used memory")
    row["forward / linear"] = race.ratio("forward", "linear")
    row["forward+backward / linear"] = race.ratio("forward+backward", "linear forward+backward")
    if "attention" in race.seconds:
        row["attention / forward"] = race.ratio("attention", "forward")
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help='write the figures here; "-": print them')
    parser.add_argument("--tokens", type=int, nargs="+", help="default: 4096, 16384, 65536, 2**20")
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--numbers", type=int, default=1 << 24, help="keys in a batch, on a GPU")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    if chosen.device.type == "cpu":
        torch.set_num_threads(1)
        tokens = chosen.tokens or TOKENS
        rows = (measure(count, chosen.channels, chosen.rounds) for count in tokens)
        report(rows, chosen.rounds, chosen.json)
        return
    card = Card(chosen.device, chosen.rounds)
    shapes = [
        (max(1, chosen.numbers // (count * chosen.channels)), count, chosen.channels)
        for count in chosen.tokens or [*TOKENS, 1 << 20]
    ]
    dtype = getattr(torch, chosen.dtype)
    rows = operator_gpu.measure(card, shapes, dtype, four_orders)
    report(rows, chosen.rounds, chosen.json, clock=f"events on {card.name()}, median")


if __name__ == "__main__":
    main()
