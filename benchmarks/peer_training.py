"""Training of other networks on the same corrections: same views, same loss, same seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.evidence_loss import evidence_loss
from napari_rwkvseg.engine.evidence_views import EvidenceSource, draw_views
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.engine.tuner import FinetuneOptions

STRIDE = 32  # sides that every network can halve as often as it likes

Planes = Sequence[tuple[NDArray[np.floating], NDArray[np.integer]]]


def train_peer(
    network: nn.Module,
    pieces: Sequence[Evidence],
    options: FinetuneOptions,
    clock: Callable[[], float] = time.process_time,
) -> int:
    """Let a network learn for a number of seconds; return the steps it took.

    All weights learn from the first step, batch statistics too, at the rate of ours falling to
    zero with the seconds: there is no old model to be true to.

    Parameters
    ----------
    network : Module
        (B, C, H, W) to logits (B, 2, H, W); changed, and left in evaluation mode.
    pieces : sequence of Evidence
        Nothing that is held out.
    options : FinetuneOptions
        Seconds or steps, seed, batch, crop, rate, weight decay, augmentation.
    clock : callable
        Seconds.
    """
    source, rng = EvidenceSource(pieces), np.random.default_rng(options.seed)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=options.rate, weight_decay=options.weight_decay
    )
    network.train()
    start, step = clock(), 0
    while (done := _done(step, clock() - start, options)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = options.rate * 0.5 * (1 + math.cos(math.pi * done))
        views = draw_views(source, None, options.batch, options.crop, options.augmentation, 0, rng)
        loss = evidence_loss(network(views.images), views.truths, views.levels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
    network.eval()
    return step


def _done(step: int, seconds: float, options: FinetuneOptions) -> float:
    return step / options.steps if options.steps else seconds / options.seconds


def peer_dice(network: nn.Module, planes: Planes) -> float:
    """Return the mean Dice of a network on normalised planes (H, W, C) with masks (H, W)."""
    return float(np.mean([dice(_found(network, plane), mask) for plane, mask in planes]))


def _found(network: nn.Module, plane: NDArray[np.floating]) -> NDArray[np.integer]:
    image = torch.from_numpy(np.asarray(plane, np.float32)).permute(2, 0, 1)[None]
    height, width = image.shape[-2:]
    padding = (0, -width % STRIDE, 0, -height % STRIDE)
    with torch.inference_mode():
        logits = network(functional.pad(image, padding, mode="reflect"))
    found: NDArray[np.integer] = logits[0, :, :height, :width].argmax(0).numpy()
    return found
