"""How the workflow asks for long work, whatever runs it: a thread, or a test step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from napari_rwkvseg.engine.progress import CancelToken, Job, Progress


@dataclass(frozen=True, eq=False)
class JobResult:
    """How a job ended.

    Attributes
    ----------
    value : Any
        What the job returned; None unless it finished.
    error : str
        What went wrong, for the person at the screen; exceptions would pin their arrays.
    cancelled : bool
        Whether somebody stopped it.
    """

    value: Any = None
    error: str = ""
    cancelled: bool = False


class Runner(Protocol):
    """Runs one job at a time; a new one replaces the old, whose result is dropped."""

    def start(
        self,
        job: Job[Any],
        token: CancelToken,
        on_progress: Callable[[Progress], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        """Start `job`; both callables are called in the thread that changes the state."""

    def cancel(self) -> None:
        """Stop the running job; its `on_done` is never called."""


@dataclass(frozen=True)
class Lanes:
    """The kinds of work that go on beside each other.

    Attributes
    ----------
    segment : Runner
        Minutes, one at a time, cancelled by the person only.
    refine : Runner
        A new mask from stored probabilities, the latest wish wins.
    measure : Runner
        The table.
    store : Runner
        Checks model files.
    """

    segment: Runner
    refine: Runner
    measure: Runner
    store: Runner

    def cancel(self) -> None:
        """Stop everything."""
        for runner in (self.segment, self.refine, self.measure, self.store):
            runner.cancel()


def ignore_progress(event: Progress) -> None:
    """Take a progress event of a job too short to show any."""


class Latest:
    """Keep one runner busy with the newest wish: wishes made meanwhile collapse into one.

    Unlike a debounce timer it never waits: a slider that is dragged updates as fast as the
    work goes.

    Parameters
    ----------
    runner : Runner
        Where the jobs run.
    make : callable
        Builds the job for the present state, or returns None when there is nothing to do.
    accept : callable
        Takes a finished result.
    """

    def __init__(
        self,
        runner: Runner,
        make: Callable[[CancelToken], Job[Any] | None],
        accept: Callable[[JobResult], None],
    ) -> None:
        self._runner = runner
        self._make = make
        self._accept = accept
        self._busy = False
        self._wanted = False

    def request(self) -> None:
        """Ask for one more result, reflecting the state at the time it starts."""
        self._wanted = True
        self._start()

    def cancel(self) -> None:
        """Forget the running job and all wishes."""
        self._runner.cancel()
        self._busy = self._wanted = False

    @property
    def busy(self) -> bool:
        """Whether a job is running or wanted."""
        return self._busy or self._wanted

    def _start(self) -> None:
        if self._busy or not self._wanted:
            return
        self._wanted = False
        token = CancelToken()
        job = self._make(token)
        if job is not None:
            self._busy = True
            self._runner.start(job, token, ignore_progress, self._done)

    def _done(self, result: JobResult) -> None:
        self._busy = False
        self._accept(result)
        self._start()
