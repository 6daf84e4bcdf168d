"""A small network that scans, and a hook on the operator: what it was given and returned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.network import decoder, mixing
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.wkv import ScanPlan, bi_wkv


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """One call of `bi_wkv`, its inputs and its output (B, T, C)."""

    decay: Tensor
    bonus: Tensor
    key: Tensor
    value: Tensor
    plan: ScanPlan
    output: Tensor


def record_operator(monkeypatch: pytest.MonkeyPatch) -> list[OperatorCall]:
    """Return a list that fills with the operator's calls from now on."""
    calls: list[OperatorCall] = []

    def recorded(
        decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan
    ) -> Tensor:
        output = bi_wkv(decay, bonus, key, value, plan)
        calls.append(OperatorCall(decay, bonus, key, value, plan, output))
        return output

    for module in (mixing, decoder):
        monkeypatch.setattr(module, "bi_wkv", recorded)
    return calls


def visited(plan: ScanPlan, head: int) -> list[list[int]]:
    """Read the sequences of a head off the index tensors by hand: chunk by chunk, step by step."""
    found: dict[int, list[int]] = {}
    for chunk in range(plan.chunks):
        owner = int(plan.sequence[chunk, head])
        for step in range(plan.length):
            token = int(plan.steps[step, chunk, head])
            if owner >= 0 and token < plan.tokens:
                found.setdefault(owner, []).append(token)
    return [found[owner] for owner in sorted(found)]


def scanning_model(in_channels: int = 1, **changes: object) -> Model:
    """Return a random network small enough for tests, whose gates read the image."""
    small = NetworkConfig(
        in_channels, widths=(8, 8, 12, 16), depths=(1, 1, 1, 1), stem_width=8, detail_width=4
    )
    config: NetworkConfig = replace(small, **changes)
    torch.manual_seed(5)
    network = build_network(config).eval()
    for name, parameter in network.named_parameters():
        if "score" in name:
            nn.init.normal_(parameter)
    card = ModelCard("random", "Random", "anything", ("cell",), percentiles=(0.0, 100.0))
    return Model(network, card, sha256="1" * 64)
