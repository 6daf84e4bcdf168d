"""Score a network on held-out images during training: whole images, native size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.metrics import overlap
from napari_rwkvseg.engine.progress import CancelToken

PLANES = 8  # of a volume at a time: small slices would cost more in calls than in arithmetic


@dataclass(frozen=True)
class Score:
    """Mean Dice and IoU over images, each the mean over the foreground classes.

    Attributes
    ----------
    dice_mean, iou_mean : float
        0 to 1.
    n : int
        Images; a volume is one.
    """

    dice_mean: float
    iou_mean: float
    n: int


def validate(
    network: nn.Module,
    samples: Sequence[Sample],
    device: torch.device,
    token: CancelToken | None = None,
) -> Score:
    """Score a network in evaluation mode on whole images.

    Parameters
    ----------
    network : Module
        Used as it is; returns logits of background and foreground classes.
    samples : sequence of Sample
        Held out from training; the planes of a volume lie together. A volume is scored as a whole;
        the means are those of each data folder, averaged over the folders.
    device : torch.device
        Where the network lies.
    token : CancelToken, optional
        Polled at each batch of planes.
    """
    scores: dict[str, list[tuple[float, float]]] = {}
    for (source, _), planes in groupby(samples, key=lambda sample: (sample.source, record(sample))):
        volume = list(planes)
        truth = np.stack([sample.truth for sample in volume])  # (planes, H, W)
        scores.setdefault(source, []).append(_score(*_found(network, volume, device, token), truth))
    means = np.mean([np.mean(pairs, axis=0) for pairs in scores.values()], axis=0)
    return Score(float(means[0]), float(means[1]), sum(map(len, scores.values())))


def record(sample: Sample) -> str:
    """Return the record that a sample is a plane of; one without is a record of its own."""
    return sample.record or sample.name


def _found(
    network: nn.Module, volume: Sequence[Sample], device: torch.device, token: CancelToken | None
) -> tuple[NDArray[np.integer], int]:
    """Return the classes found in a volume, (planes, H, W), and how many there could be."""
    parts = []
    for first in range(0, len(volume), PLANES):
        if token is not None:
            token.raise_if_cancelled()
        planes = [sample.image for sample in volume[first : first + PLANES]]
        images = torch.from_numpy(np.stack(planes).astype(np.float32)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = network(images.to(device))  # (planes, 1 + K, H, W)
            parts.append(logits.argmax(1).cpu().numpy())
    return np.concatenate(parts), logits.shape[1] - 1


def _score(
    found: NDArray[np.integer], classes: int, truth: NDArray[np.integer]
) -> tuple[float, float]:
    """Return Dice and IoU, each the mean over the foreground classes."""
    overlaps = [overlap(found == k, truth == k) for k in range(1, classes + 1)]
    return (
        float(np.mean([both.dice for both in overlaps])),
        float(np.mean([both.iou for both in overlaps])),
    )
