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
from collections.abc import Callable, Mapping
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

    Attributes
    ----------
    seconds : dict of str to list of float
        CPU time of each turn.
    """

    def __init__(self, calls: Mapping[str, Call], rounds: int = 7) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in calls}
        caches = torch.zeros(CACHE_BYTES // 4)
        for turn in range(rounds + 1):
            for name, call in calls.items():
                caches.add_(1)
                taken = cpu_seconds(call)
                if turn:
                    self.seconds[name].append(taken)

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


def conditions(rounds: int) -> dict[str, Any]:
    """Return what the figures depend on, to be kept beside them."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "clock": "process CPU time, median; ratios: median of the ratios of each round",
    }


def report(result: Mapping[str, Any], target: str | None) -> None:
    """Print the rows as a table, and write all as JSON to a file, or to standard output for "-"."""
    if target == "-":
        json.dump(result, sys.stdout, indent=1)
        return
    for row in result["rows"]:
        print("  ".join(f"{name} {_show(value)}" for name, value in row.items()))
    for note in result.get("skipped", []):
        print(f"skipped: {note}")
    if target:
        Path(target).write_text(json.dumps(result, indent=1), "utf-8")


def _show(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
