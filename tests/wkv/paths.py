"""Builders of scans, and the one measure by which every path is held to the reference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_rwkvseg.wkv import ScanPlan, bi_wkv, use_path


def inputs(
    tokens: int, channels: int, spread: float, seed: int = 0, batch: int = 2
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    key = (torch.rand(batch, tokens, channels, generator=generator) * 2 - 1) * spread
    value = torch.randn(batch, tokens, channels, generator=generator)
    return key, value


def shuffled_plan(tokens: int, heads: int, seed: int = 0, length: int | None = None) -> ScanPlan:
    rng = np.random.default_rng(seed)
    return ScanPlan([(rng.permutation(tokens),) for _ in range(heads)], length=length)


def run_with_gradients(
    path: str, plan: ScanPlan, *tensors: Tensor, double: bool = False
) -> list[Tensor]:
    leaves = [t.double() if double else t.clone() for t in tensors]
    for leaf in leaves:
        leaf.requires_grad_()
    with use_path(path):
        result = bi_wkv(*leaves, plan)
    weights = torch.cos(torch.arange(result.numel()).reshape(result.shape) * 0.37)
    (result * weights.to(result.dtype)).sum().backward()
    return [result.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]


def assert_equals_reference(path: str, plan: ScanPlan, *tensors: Tensor) -> None:
    fast = run_with_gradients(path, plan, *tensors)
    exact = run_with_gradients("reference", plan, *tensors, double=True)
    for name, ours, truth in zip(("y", "w", "u", "k", "v"), fast, exact, strict=True):
        scale = max(1.0, float(truth.abs().max()))
        error = float((ours.double() - truth).abs().max()) / scale
        assert error <= 1e-5, (name, error)
