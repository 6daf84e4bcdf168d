"""What the quality benchmark compares, behind one door: learn from samples, then segment.

Networks see the same views in the same order: a view is a function of seed and step. The classical
methods see pixels of the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.ablations import ABLATIONS
from benchmarks.classical import Forest, GraphCut
from benchmarks.peers import PEERS
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.sampling import drawing_chances
from napari_rwkvseg.engine.train import Trainer, draw_batch
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import build_network, pad_to_stride

COMPARED = (
    "U-Net ResNet-18",
    "U-Net plain",
    "U-Net narrow",
    "UNeXt-like",
    "SegFormer-B0 (transformers)",
    "Zig-RiR-like",
    "FCN-like",
)
STRIDE = 64  # sides that every network takes
CPU = torch.device("cpu")

Mask = NDArray[np.bool_]


class Method(Protocol):
    """Something that learns to segment."""

    def learn(self, samples: Sequence[Sample], options: TrainOptions) -> None:
        """Learn from samples of two classes; the seed is that of the options."""

    def segment(self, image: NDArray[np.float32]) -> Mask:
        """Return the foreground (H, W) of an image (H, W, 3)."""


class Padded(nn.Module):
    """A network that pads images as ours does, so that those without padding take any size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W) of images (B, 3, H, W)."""
        logits: Tensor = self.network(pad_to_stride(image, STRIDE))
        return logits[..., : image.shape[2], : image.shape[3]]


@dataclass
class Network:
    """A network as a method.

    Parameters
    ----------
    build : callable
        Makes it, with random weights.
    """

    build: Callable[[], nn.Module]
    trained: nn.Module | None = field(default=None, init=False)

    def learn(self, samples: Sequence[Sample], options: TrainOptions) -> None:
        """Train; the average of the weights after the last step is kept, nothing is chosen."""
        torch.manual_seed(options.seed)
        trainer = Trainer(self.build(), options, CPU)
        chances = drawing_chances(samples, options.empty)
        for step in range(options.steps):
            trainer.step(*draw_batch(samples, chances, options, step), step)
        self.trained = trainer.average

    def segment(self, image: NDArray[np.float32]) -> Mask:
        """Return the foreground (H, W) of an image (H, W, 3)."""
        if self.trained is None:
            raise ValueError("learn first")
        with torch.inference_mode():
            logits = self.trained(torch.from_numpy(image).permute(2, 0, 1)[None])
        found: Mask = (logits[0, 1] > logits[0, 0]).numpy()
        return found


def _ours(config: NetworkConfig) -> Network:
    return Network(partial(build_network, config))


def _peer(build: Callable[[], nn.Module]) -> Network:
    return Network(lambda: Padded(build()))


METHODS: dict[str, Callable[[], Any]] = {
    **{name: partial(_ours, config) for name, config in ABLATIONS.items()},
    **{name: partial(_peer, PEERS[name]) for name in COMPARED},
    "random forest": Forest,
    "graph cut": GraphCut,
}
"""What each is called, and how it is made; ImportError, at the latest when it learns, if a package
of the extra `bench` is missing."""

FAST = {*ABLATIONS, "UNeXt-like", "SegFormer-B0 (transformers)", "Zig-RiR-like"}
RATES = {name: 3e-3 if name in FAST else 1e-3 for name in METHODS}
"""Learning rate of each, see `benchmarks.quality`; the classical methods ignore it.

All of ours learn at the rate of `base`; U-Net plain learns at that of the other two U-Nets.
"""
