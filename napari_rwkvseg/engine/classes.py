"""Give a network other classes: rows of the last layer for new ones, everything else kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from napari_rwkvseg.network.model import SegmentationNetwork, rebuilt

RARE = 2.0  # by how much a new class starts below the background, in logits


def shared_classes(names: Sequence[str], old_names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the numbers of the classes that both lists name: here, there; 0 is background."""
    there = {name: number for number, name in enumerate(old_names, start=1)}
    return tuple(
        (number, there[name]) for number, name in enumerate(names, start=1) if name in there
    )


def with_classes(
    network: SegmentationNetwork, old_names: Sequence[str], names: Sequence[str]
) -> SegmentationNetwork:
    """Return a copy of a network that tells other classes apart.

    Parameters
    ----------
    network : SegmentationNetwork
        Not changed.
    old_names, names : sequence of str
        Foreground classes of the network, and of the copy.

    Returns
    -------
    SegmentationNetwork
        In evaluation mode, on the processor. Background and classes named as before give the same
        logits; a new class those of the background, lowered by `RARE`.
    """
    fresh = rebuilt(network, replace(network.config, n_classes=1 + len(names)))
    old, new = network.decoder.classify, fresh.decoder.classify
    rows = {0: 0, **dict(shared_classes(names, old_names))}
    with torch.no_grad():
        for row in range(1 + len(names)):
            new.weight[row] = old.weight[rows.get(row, 0)]
            new.bias[row] = old.bias[rows.get(row, 0)] - (0 if row in rows else RARE)
    return fresh
