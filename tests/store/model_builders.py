"""Small models and hand-made files for the tests of the store."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.scan.schedule import dynamic_schedule

SMALL = NetworkConfig(
    widths=(4, 4, 4, 4),
    depths=(1, 1, 1, 1),
    stem_width=4,
    detail_width=2,
    heads=1,
    schedule=dynamic_schedule(1),
)
CARD = ModelCard(
    name="cells",
    title="Zellen, größer",
    modality="phase contrast",
    class_names=("cell",),
    objects=True,
    percentiles=(0.5, 99.5),
    seed=7,
    metrics={"dice_mean": 0.75, "n": 3},
)


def small_model(seed: int = 0, **card: Any) -> Model:
    torch.manual_seed(seed)
    return Model(build_network(SMALL).eval(), replace(CARD, **card))


class OneLayer(nn.Module):
    """The smallest network with the right door: two tensors, `mix.weight` and `mix.bias`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.mix = nn.Conv2d(config.in_channels, config.n_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.mix(image)


def one_layer_model(**card: Any) -> Model:
    network = OneLayer(SMALL).eval()
    with torch.no_grad():
        network.mix.weight.copy_(torch.tensor([[0, 0, 0], [1, 2, 3.0]])[..., None, None])
        network.mix.bias.copy_(torch.tensor([0, -0.3]))
    return Model(network, replace(CARD, **card))


def parts(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the decoded header and the data of a safetensors file."""
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def assemble(header: Any, data: bytes = b"") -> bytes:
    """Return a safetensors file, however wrong its header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
