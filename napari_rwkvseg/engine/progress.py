"""Long work as a generator: it yields progress, polls a cancel token, returns its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """Raised inside a job once its token was cancelled."""


class CancelToken:
    """A flag that any thread may raise and that a job polls at least twice a second."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the job to stop."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if somebody asked the job to stop."""
        if self._event.is_set():
            raise Cancelled


@dataclass(frozen=True)
class Progress:
    """One step of a job.

    Attributes
    ----------
    done, total : int
        Steps finished, and steps in all; `total` may grow (a smaller tile after a memory error).
    message : str
        What is being done, in the user's words.
    metrics : tuple of (str, float)
        Live figures, for curves: ``(("loss", 0.31),)``.
    """

    done: int
    total: int
    message: str = ""
    metrics: tuple[tuple[str, float], ...] = ()

    @property
    def fraction(self) -> float:
        """Share done, 0 to 1."""
        return self.done / self.total if self.total else 0.0


Job = Generator[Progress, None, T]


def finish(job: Job[T], on_progress: Callable[[Progress], None] | None = None) -> T:
    """Run a job to its end in this thread and return its result.

    Parameters
    ----------
    job : generator of Progress
        Its return value is the result.
    on_progress : callable, optional
        Called with each event.

    Returns
    -------
    T
        What the job returns.
    """
    while True:
        try:
            event = next(job)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(event)


class TimeLeft:
    """Estimate the seconds left from the pace so far.

    Parameters
    ----------
    clock : callable
        Monotonic seconds; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()

    def seconds(self, fraction: float) -> float | None:
        """Return the seconds left at `fraction` done (0 to 1), or None while unknown."""
        elapsed = self._clock() - self._start
        if fraction <= 0 or elapsed <= 0:
            return None
        return elapsed * (1 - fraction) / fraction
