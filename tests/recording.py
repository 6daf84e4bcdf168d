"""A hook on the operator itself: what it was given and what it returned, call by call."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from torch import Tensor

from napari_rwkvseg.network import decoder, mixing
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
    """Return a list that fills with the operator's calls from now on, whatever module makes them."""
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
