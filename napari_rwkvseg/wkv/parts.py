"""Large calls are cut into parts that fit the processor's caches, and working memory is kept.

Images do not see each other, nor do channels, nor sequences: dividing them changes no result.
Memory that is new to a process has to be cleared page by page by the system, which costs more than
the scan itself; so each thread keeps the working memory of one part and uses it again.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_rwkvseg.wkv.plan import ScanPlan, line_plan

LARGEST_PART = 1 << 20
"""Numbers of keys in a part; six times as many, 24 MB, is the memory that a thread keeps."""

NARROWEST = 8
"""Channels of a part: fewer would waste most of a cache line of the grid."""


@dataclass(frozen=True)
class Part:
    """Images, tokens and channels that are scanned together.

    Attributes
    ----------
    images, tokens, channels : slice
        The part of a grid (B, T, C).
    plan : ScanPlan
        The orders of the heads that these channels belong to, over these tokens.
    """

    images: slice
    tokens: slice
    channels: slice
    plan: ScanPlan

    def of(self, grid: Tensor) -> Tensor:
        """Return the part of a grid (B, T, C), a view."""
        return grid[self.images, self.tokens, self.channels]

    def per_channel(self, parameter: Tensor) -> Tensor:
        """Return the part of a number per channel (C,), shape (h, c)."""
        return parameter[self.channels].view(self.plan.heads, -1)


def cut(batch: int, channels: int, plan: ScanPlan) -> list[Part]:
    """Divide images; a single image that is too large by its lines, if it has any, or channels.

    Parameters
    ----------
    batch, channels : int
        B and C.
    plan : ScanPlan
        The orders of all heads.

    Returns
    -------
    list of Part
        At most `LARGEST_PART` numbers each, as far as `NARROWEST` allows.
    """
    everything = slice(None)
    # Images first, as each keeps its plan; lines next, as rows of memory stay whole; channels last.
    image = plan.tokens * channels
    if image <= LARGEST_PART:
        groups = _slices(batch, LARGEST_PART // image)
        return [Part(images, everything, everything, plan) for images in groups]
    images = _slices(batch, 1)
    if plan.run:
        return [Part(i, *lines) for i in images for lines in _lines(channels, plan)]
    return [Part(i, *narrow) for i in images for narrow in _columns(channels, plan)]


def _lines(channels: int, plan: ScanPlan) -> list[tuple[slice, slice, ScanPlan]]:
    """Divide the runs of a line plan."""
    step = max(1, LARGEST_PART // (plan.run * channels)) * plan.run
    parts = _slices(plan.tokens, step)
    plans = [line_plan(plan.run, (p.stop - p.start) // plan.run, plan.steps.device) for p in parts]
    return [(part, slice(None), lines) for part, lines in zip(parts, plans, strict=True)]


def _columns(channels: int, plan: ScanPlan) -> list[tuple[slice, slice, ScanPlan]]:
    """Divide the heads, and if need be their channels."""
    head = width = channels // plan.heads
    # Halves, not arbitrary widths: parts are then alike, and so are the working memories.
    while plan.tokens * width > LARGEST_PART and width % (2 * NARROWEST) == 0:
        width //= 2
    parts = _slices(channels, width)
    return [(slice(None), part, plan.alone(part.start // head)) for part in parts]


def _slices(count: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


class WorkingMemory(threading.local):
    """Tensors without content, used again at the next call from the same thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def empty(self, name: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return memory of dtype and device of `like`; what had the same name is overwritten."""
        size = math.prod(shape)
        # on a GPU torch keeps memory itself; what could not be cut small is not worth keeping
        if like.device.type != "cpu" or size > 3 * LARGEST_PART:
            return like.new_empty(shape)
        kept = self._kept.get((name, like.dtype))
        if kept is None or kept.numel() < size:
            # Never shrinks: the largest part sets the size once, all others fit in.
            with torch.inference_mode(False):  # or training could not write to it later
                kept = torch.empty(size, dtype=like.dtype)
            self._kept[name, like.dtype] = kept
        return kept[:size].view(shape)
