"""The self-test of a model file: a fixed image whose logits were stored with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_rwkvseg.store.refusal import Refusal

SIDE = 64
TOLERANCE = 1e-3  # of a logit: room for other processors and libraries


def synthetic_image(channels: int) -> Tensor:
    """Return the image (1, channels, 64, 64) float32, 0 to 1, in exact integer arithmetic."""
    row = torch.arange(SIDE).view(1, 1, SIDE, 1)
    column = torch.arange(SIDE).view(1, 1, 1, SIDE)
    channel = torch.arange(channels).view(1, channels, 1, 1)
    return ((row * column + 3 * row + 17 * channel) % 97).float() / 96


def logits_of(network: nn.Module, channels: int) -> Tensor:
    """Return a network's logits (n_classes, 64, 64) of the synthetic image."""
    with torch.inference_mode():
        logits: Tensor = network(synthetic_image(channels))[0]
    return logits.clone(memory_format=torch.contiguous_format)  # an ordinary tensor again


def check_logits(network: nn.Module, channels: int, expected: Tensor) -> None:
    """Compare a network's logits of the synthetic image with the stored ones.

    Parameters
    ----------
    network : Module
        With its weights loaded, in evaluation mode.
    channels : int
        Channels it reads.
    expected : Tensor, shape (n_classes, 64, 64), float32
        What the writer's machine computed.

    Raises
    ------
    Refusal
        If the shapes or any value differ, or the network cannot run.
    """
    try:
        found = logits_of(network, channels)
    except (RuntimeError, ValueError) as error:
        raise Refusal("fails its self-test: the network does not run") from error
    if found.shape != expected.shape:
        raise Refusal(f"fails its self-test: logits have the shape {tuple(found.shape)}")
    difference = (found - expected).abs().max().item()
    if not difference <= TOLERANCE:  # so that NaN is refused
        raise Refusal(
            f"fails its self-test: logits differ by {difference:.2g}, allowed is {TOLERANCE:g}",
            "Copy it again, or report it with the versions of napari-rwkvseg and torch",
        )
