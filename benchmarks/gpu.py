"""Times on a GPU: by its own clock, on fresh inputs, against what its memory can do.

A kernel that moves numbers about can be no faster than a copy. `Card` measures the copy in the same
run, and `Figures.share` says which part of that bandwidth a call reaches on the bytes it must move.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...]
Work = Callable[[Inputs], object]

COPIED_BYTES = 1 << 30
"""More than any cache holds."""
AHEAD = 4
"""Times that so much is drawn at random before each timed call: some milliseconds."""
SETS = 3
"""Input sets that take turns: no call finds its inputs in the cache of the call before."""


@dataclass(frozen=True)
class Figures:
    """What a call costs.

    Attributes
    ----------
    seconds : float
        Median over the rounds.
    peak : int
        Bytes taken at most, what the call returns included and its inputs excluded.
    """

    seconds: float
    peak: int

    def share(self, moved: int, bandwidth: float) -> float:
        """Return the part of `bandwidth`, bytes per second, reached with `moved` bytes."""
        return moved / self.seconds / bandwidth


class Card:
    """A device to time on; a CPU does for trying the programs out.

    Parameters
    ----------
    device : torch.device
        Where inputs are made and calls run.
    rounds : int
        Timed calls; as many as there are input sets come before, to warm up.
    """

    def __init__(self, device: torch.device, rounds: int) -> None:
        self.device, self.rounds = device, rounds

    def run(self, make: Callable[[], Inputs], work: Work) -> Figures:
        """Time `work` on inputs that `make` draws."""
        sets = [make() for _ in range(SETS)]
        for inputs in sets:
            work(inputs)
        seconds = [self._seconds(work, sets[turn % SETS]) for turn in range(self.rounds)]
        return Figures(statistics.median(seconds), self._peak(work, sets[0]))

    def bandwidth(self, size: int = COPIED_BYTES) -> float:
        """Return the bytes per second of a copy, counting those read and those written."""
        figures = self.run(
            lambda: (torch.empty(size, dtype=torch.uint8, device=self.device).random_(),),
            lambda inputs: inputs[0].clone(),
        )
        return 2 * size / figures.seconds

    def _seconds(self, work: Work, inputs: Inputs) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            work(inputs)
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.device(self.device):  # whose stream the events are put into
            self._keep_busy()
            begin.record()
            work(inputs)
            end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    def _keep_busy(self) -> None:
        """Give the card something to do while the processor prepares the launches to be timed.

        Else what is timed of a short call is Python.
        """
        ahead = torch.empty(COPIED_BYTES, dtype=torch.uint8, device=self.device)
        for _ in range(AHEAD):
            ahead.random_()

    def _peak(self, work: Work, inputs: Inputs) -> int:
        if self.device.type != "cuda":
            return 0
        torch.cuda.synchronize(self.device)
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        result = work(inputs)
        peak = torch.cuda.max_memory_allocated(self.device) - before
        del result
        return peak

    def name(self) -> str:
        """Name the device, for the record."""
        cuda = self.device.type == "cuda"
        return torch.cuda.get_device_name(self.device) if cuda else str(self.device)
