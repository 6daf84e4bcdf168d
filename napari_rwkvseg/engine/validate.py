"""Score a network on held-out images during training: whole images, native size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.metrics import dice, iou
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.network.model import SegmentationNetwork


@dataclass(frozen=True)
class Score:
    """Mean Dice and IoU over images, each the mean over the foreground classes.

    Attributes
    ----------
    dice_mean, iou_mean : float
        0 to 1.
    n : int
        Images.
    """

    dice_mean: float
    iou_mean: float
    n: int


def validate(
    network: SegmentationNetwork,
    samples: Sequence[Sample],
    device: torch.device,
    token: CancelToken | None = None,
) -> Score:
    """Score a network in evaluation mode on whole images.

    Parameters
    ----------
    network : SegmentationNetwork
        Used as it is.
    samples : sequence of Sample
        Held out from training.
    device : torch.device
        Where the network lies.
    token : CancelToken, optional
        Polled at each image.
    """
    classes = range(1, network.config.n_classes)
    dices, ious = [], []
    for sample in samples:
        if token is not None:
            token.raise_if_cancelled()
        image = torch.from_numpy(np.asarray(sample.image, np.float32)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            found = network(image.to(device))[0].argmax(0).cpu().numpy()
        dices.append(np.mean([dice(found == k, sample.truth == k) for k in classes]))
        ious.append(np.mean([iou(found == k, sample.truth == k) for k in classes]))
    return Score(float(np.mean(dices)), float(np.mean(ious)), len(samples))
