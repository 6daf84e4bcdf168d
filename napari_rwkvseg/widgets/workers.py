"""Threads, and only here: run an engine job, report in the GUI thread, stop with the window."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QThreadPool, Signal
from superqt.utils import create_worker

from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Job, Progress, finish
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.workflow.runner import JobResult

THREADS = 32  # two for each runner of a dock: a cancelled job may end beside the next one

logger = logging.getLogger(__name__)


class JobRunner(QObject):
    """Run one job at a time in a thread; results of older jobs are dropped.

    The worker is a plain function that consumes the job and returns a `JobResult`: superqt's
    generator workers lose `RuntimeError`, and no worker reports `SystemExit`.
    """

    _progressed = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        _widen_pool()
        self._generation = 0
        self._token = CancelToken()
        self._on_progress: Callable[[Progress], None] | None = None
        self._on_done: Callable[[JobResult], None] | None = None
        self._progressed.connect(self._report)

    @property
    def busy(self) -> bool:
        """Whether a job is running whose result is still wanted."""
        return self._on_done is not None

    def start(
        self,
        job: Job[Any],
        token: CancelToken,
        on_progress: Callable[[Progress], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        """Run `job` in a thread; a job still running is cancelled.

        Parameters
        ----------
        job : generator of Progress
            Must poll `token` at least twice a second.
        token : CancelToken
            Raised by `cancel`.
        on_progress, on_done : callable
            Called in the GUI thread with each `Progress` and with the `JobResult`.
        """
        self.cancel()
        generation = self._generation
        self._token, self._on_progress, self._on_done = token, on_progress, on_done

        def body() -> tuple[int, JobResult]:
            return generation, run_job(job, lambda event: self._emit(generation, event))

        worker = create_worker(body)
        worker.returned.connect(self._finish)
        worker.start()

    def cancel(self) -> None:
        """Stop the running job; nothing more is heard of it."""
        self._token.cancel()
        self._generation += 1
        self._on_progress = self._on_done = None

    def _emit(self, generation: int, event: Progress) -> None:
        """Hand an event to the GUI thread, which may have deleted this object meanwhile."""
        try:
            self._progressed.emit(generation, event)
        except RuntimeError:
            self._token.cancel()

    def _report(self, generation: int, event: Progress) -> None:
        if generation == self._generation and self._on_progress is not None:
            self._on_progress(event)

    def _finish(self, numbered: tuple[int, JobResult]) -> None:
        generation, result = numbered
        on_done = self._on_done
        if generation != self._generation or on_done is None:
            return
        self._on_progress = self._on_done = None
        on_done(result)


def _widen_pool() -> None:
    """Let jobs run beside each other on any computer: Qt allows as many as there are cores.

    On two of them two long jobs would keep strokes from the disk. The pool is the one that all
    plugins share, because that is the one napari waits for when it quits.
    """
    pool = QThreadPool.globalInstance()
    pool.setMaxThreadCount(max(THREADS, pool.maxThreadCount()))


def run_job(job: Job[Any], on_progress: Callable[[Progress], None]) -> JobResult:
    """Run a job to its end and turn whatever happens into a result.

    Parameters
    ----------
    job : generator of Progress
        Its return value becomes `JobResult.value`.
    on_progress : callable
        Called with each event, in this thread.

    Returns
    -------
    JobResult
        Exceptions become one sentence; the traceback of an unexpected one goes to the log.
    """
    try:
        return JobResult(value=finish(job, on_progress))
    except Cancelled:
        return JobResult(cancelled=True)
    except RwkvSegError as error:
        return JobResult(error=str(error))
    except MemoryError:
        return JobResult(
            error="There is not enough memory. Close other programs; to segment, a smaller region "
            "helps, and so do smaller tiles under Preferences > RWKV Segmentation."
        )
    except BaseException as error:  # the one place that turns anything into a result
        logger.exception("a job failed")
        return JobResult(
            error=f"The run failed ({type(error).__name__}: {error}). No layer was changed. "
            "The log holds the details for a report."
        )


class WindowGuard(QObject):
    """Calls `stop` when the window closes: its `Close` may still be declined, its hiding not.

    Minimising hides a window too, but spontaneously.
    """

    def __init__(self, stop: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._stop = stop

    def eventFilter(self, window: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Watch for the window being hidden by the program."""
        if event.type() == QEvent.Type.Hide and not event.spontaneous():
            self._stop()
        return False
