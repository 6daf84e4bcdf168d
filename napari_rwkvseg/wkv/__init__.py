"""Bi-WKV, the operator of Vision-RWKV: one contract, several ways to compute it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from napari_rwkvseg.wkv import reference, slab
from napari_rwkvseg.wkv.plan import ScanPlan, line_plan

__all__ = ["PATHS", "ScanPlan", "bi_wkv", "line_plan", "use_path"]

Operator = Callable[[Tensor, Tensor, Tensor, Tensor, ScanPlan], Tensor]

from napari_rwkvseg.wkv import triton_scan
PATHS: dict[str, Operator] = {"slab": slab.bi_wkv, "reference": reference.bi_wkv, "triton": triton_scan.bi_wkv}
_chosen = "slab"


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
    to that distance so that no denominator vanishes.
    """
    _check_shapes(decay, bonus, key, value, plan)
    return PATHS[_chosen](decay, bonus, key, value, plan)


@contextmanager
def use_path(name: str) -> Iterator[None]:
    """Compute by the path `name` inside a with block; for tests and benchmarks.

    Parameters
    ----------
    name : str
        A key of `PATHS`.

    Raises
    ------
    ValueError
        If there is no such path.
    """
    global _chosen
    if name not in PATHS:
        raise ValueError(f"unknown path {name!r}, choose one of {', '.join(PATHS)}")
    before, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = before


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
