"""Bi-WKV, the operator of Vision-RWKV: one contract, several ways to compute it.

reference   the formula, in double precision; memory grows with T**2
slab        linear time, plain PyTorch, any device
triton      linear time, on a GPU, where Triton works
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from napari_rwkvseg.wkv import reference, slab
from napari_rwkvseg.wkv.plan import ScanPlan, line_plan

__all__ = ["PATHS", "ScanPlan", "bi_wkv", "line_plan", "path_for", "use_path"]

Operator = Callable[[Tensor, Tensor, Tensor, Tensor, ScanPlan], Tensor]

PATHS = ("slab", "reference", "triton")
_forced: str | None = None


def bi_wkv(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> Tensor:
    """Let every token look at all others of its sequence, near ones more, in linear time.

    Parameters
    ----------
    decay : Tensor, shape (C,)
        Log-weight lost per step of the scan: Vision-RWKV's w / T, already divided.
    bonus : Tensor, shape (C,)
        Log-weight a token adds to itself: Vision-RWKV's u / T, likewise.
    key, value : Tensor, shape (B, T, C), floating point
        In grid order (row-major); the plan brings them into scan order and back.
    plan : ScanPlan
        The scan orders; C is divided evenly among its heads.

    Returns
    -------
    Tensor, shape (B, T, C)
        In grid order, within the range of `value` per image, sequence and channel.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    Formula and symbols: `reference.py`. Keys may lie up to 80 apart; farther ones are raised
    to that distance so that no denominator vanishes. (How much the Triton path lets those weigh
    in other chunks than their own is not defined, but finite.)
    """
    _check_shapes(decay, bonus, key, value, plan)
    return _operator(path_for(key))(decay, bonus, key, value, plan)


def path_for(key: Tensor) -> str:
    """Say how `bi_wkv` is computed: as `use_path` wants it, else the fastest way that works.

    Parameters
    ----------
    key : Tensor
        Its device and dtype decide.

    Returns
    -------
    str
        One of `PATHS`.
    """
    if _forced is not None:
        return _forced
    # The kernels count in float32, which is not what somebody wants who asks for float64.
    if key.is_cuda and key.dtype != torch.float64 and _triton_works(key.device):
        return "triton"
    return "slab"


@cache
def _triton_works(device: torch.device) -> bool:
    """Try Triton once per device; neither importing nor compiling it is for those without a GPU."""
    try:
        from napari_rwkvseg.wkv import triton_scan
    except (ImportError, OSError, ValueError):  # also where there are no sources to compile
        return False
    return triton_scan.works_on(device)


def _operator(name: str) -> Operator:
    if name == "triton":
        from napari_rwkvseg.wkv import triton_scan

        return triton_scan.bi_wkv
    return slab.bi_wkv if name == "slab" else reference.bi_wkv


@contextmanager
def use_path(name: str) -> Iterator[None]:
    """Compute by the path `name` inside a with block; for tests and benchmarks.

    Parameters
    ----------
    name : str
        One of `PATHS`.

    Raises
    ------
    ValueError
        If there is no such path.
    """
    global _forced
    if name not in PATHS:
        raise ValueError(f"unknown path {name!r}, choose one of {', '.join(PATHS)}")
    # What was forced before comes back: blocks may lie inside each other.
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def _check_shapes(decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, plan: ScanPlan) -> None:
    if key.ndim != 3 or key.shape != value.shape:
        raise ValueError(
            f"key and value must share a shape (B, T, C), "
            f"got {tuple(key.shape)} and {tuple(value.shape)}"
        )
    _, tokens, channels = key.shape
    if tokens != plan.tokens:
        raise ValueError(f"the plan is for {plan.tokens} tokens, key has {tokens}")
    if channels % plan.heads:
        raise ValueError(f"{channels} channels cannot be divided among {plan.heads} heads")
    for name, parameter in (("decay", decay), ("bonus", bonus)):
        if parameter.shape != (channels,):
            raise ValueError(
                f"{name} must hold one number per channel, shape ({channels},), "
                f"got {tuple(parameter.shape)}"
            )
