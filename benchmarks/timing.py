"""Fair timing: competitors take turns in one process, on one thread, and CPU time is counted.

Machines are shared, so milliseconds are not stable; ratios of calls made in turns are.
"""

from __future__ import annotations

import ctypes
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]

CACHE_BYTES = 1 << 26
"""More than the caches hold: writing so much between two calls lets both start cold."""


class Race:
    """Times of competitors that take turns.

    Parameters
    ----------
    calls : mapping of str to callable
        The competitors.
    rounds : int
        Turns of each, at least 5 for a median worth the name; one more to warm up is not counted.
    at_least : float
        CPU seconds to go on for, even if that takes more rounds: short calls are the noisy ones.
    cold : bool
        Whether the caches are overwritten before each call.

    Attributes
    ----------
    seconds : dict of str to list of float
        CPU time of each turn.
    """

    def __init__(
        self, calls: Mapping[str, Call], rounds: int, *, at_least: float = 0.0, cold: bool = False
    ) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in calls}
        caches = torch.zeros(CACHE_BYTES // 4 if cold else 1)
        for call in calls.values():
            call()
        turns, start = 0, time.process_time()
        while turns < rounds or time.process_time() - start < at_least:
            turns += 1
            for name, call in calls.items():
                caches.add_(1)
                self.seconds[name].append(cpu_seconds(call))

    def median(self, name: str) -> float:
        """Return the median of a competitor, in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the turns of one competitor's time by another's."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def cpu_seconds(call: Call) -> float:
    """Return the CPU time of a call; what it returns is dropped after the clock has stopped."""
    start = time.process_time()
    result = call()
    taken = time.process_time() - start
    del result
    return taken


def parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def gmac(network: nn.Module, image: Tensor) -> float:
    """Return billions of multiply-adds of a forward pass: convolutions and matrix products."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(image)
    return float(counter.get_total_flops()) / 2e9


def peak_megabytes(call: Call) -> float | None:
    """Return how far a call drives the memory of the process up; None except on Linux."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # or memory that was freed before would hide the growth
    reset.write_text("5")
    before = _status_kilobytes(status, "VmRSS")
    call()
    return (_status_kilobytes(status, "VmHWM") - before) / 1024


def _status_kilobytes(status: Path, field: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1])


CPU_CLOCK = "process CPU time, median; ratios: median of the ratios of each round"


def conditions(rounds: int, clock: str = CPU_CLOCK) -> dict[str, Any]:
    """Return what the figures depend on, to be kept beside them."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "clock": clock,
    }


def report(
    rows: Iterable[Mapping[str, Any]],
    rounds: int,
    target: str | None,
    skipped: Sequence[str] = (),
    clock: str = CPU_CLOCK,
) -> None:
    """Print each row as it comes, and write all as JSON to a file or, for "-", only print that."""
    kept = []
    for row in rows:
        kept.append(row)
        if target != "-":
            print("  ".join(f"{name} {_show(value)}" for name, value in row.items()), flush=True)
    result = {"conditions": conditions(rounds, clock), "rows": kept, "skipped": list(skipped)}
    if target == "-":
        print(json.dumps(result, indent=1))
    elif target:
        Path(target).write_text(json.dumps(result, indent=1), "utf-8")
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)


def _show(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
