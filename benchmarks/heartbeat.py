"""How long an event loop is held at most, and by whom.

A timer beats in the thread of the window; between two beats nobody could click anything. What a
beat comes late for is either work or the machine: other programs that take the processors. The
kernel knows how long each thread was ready to run and had to wait, so that can be told apart.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from qtpy.QtCore import QObject, Qt, QTimer

BEAT_MS = 5
LATE = 0.03  # seconds without a beat after which the watcher looks where the thread is
TASKS = Path("/proc/self/task")  # Linux; elsewhere no wait is known, and all time counts as held
DEPTH = 8  # frames of a stack that are kept, innermost first


@dataclass(frozen=True)
class Hold:
    """The time between two beats.

    Attributes
    ----------
    wall : float
        Seconds by the clock.
    cpu : float
        Of them, the thread of the window was at work.
    waited : float
        How long threads of this process were ready to run and waited for a processor, summed.
    where : tuple of str
        Where that thread was about the middle of the time, innermost first; if no thread of
        Python could run, where the other threads were right after.
    """

    wall: float = 0.0
    cpu: float = 0.0
    waited: float = 0.0
    where: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the loop was held for certain: all of `wall` where no thread had to wait."""
        return max(self.cpu, self.wall - self.waited)


class Heartbeat(QObject):
    """Keeps the longest hold of the event loop of the thread it is made in.

    Parameters
    ----------
    watch : bool
        Whether a second thread looks who holds the loop; that costs a little time itself.
    """

    def __init__(self, watch: bool = False) -> None:
        super().__init__()
        self.longest = Hold()
        self._waits = Waits()
        self._watcher = Watcher(threading.get_ident()) if watch else None
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self.reset()
        self._timer.start(BEAT_MS)

    def reset(self) -> None:
        """Forget what was measured."""
        self.longest = Hold()
        self._remember()

    def stop(self) -> None:
        """Beat no more."""
        self._timer.stop()
        self._waits.close()
        if self._watcher is not None:
            self._watcher.stop()

    def _remember(self) -> None:
        self._last = time.perf_counter(), time.thread_time(), self._waits.total()
        if self._watcher is not None:
            self._watcher.expect_beat()

    def _beat(self) -> None:
        wall, cpu = time.perf_counter() - self._last[0], time.thread_time() - self._last[1]
        where = () if self._watcher is None else self._watcher.seen()
        hold = Hold(wall, cpu, self._waits.total() - self._last[2], where)
        if hold.seconds > self.longest.seconds:
            self.longest = hold
        self._remember()


class Waits:
    """How long the threads of this process waited for a processor; 0 where nobody counts that."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        # whole nanoseconds, for sums of floats depend on their order and could fall
        self._ended = 0
        self._waited: dict[str, int] = {}

    def total(self) -> float:
        """Return seconds since the process started, summed over all threads that were seen."""
        if not TASKS.exists():
            return 0.0
        threads = {thread.name for thread in TASKS.iterdir()}
        for thread in threads - self._files.keys():
            with suppress(OSError):
                self._files[thread] = os.open(TASKS / thread / "schedstat", os.O_RDONLY)
        for thread in tuple(self._files):
            with suppress(OSError):  # it ended: what it waited stays counted
                self._waited[thread] = int(os.pread(self._files[thread], 99, 0).split()[1])
            if thread not in threads:
                os.close(self._files.pop(thread))
                self._ended += self._waited.pop(thread, 0)
        return (self._ended + sum(self._waited.values())) / 1e9

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()


class Watcher(threading.Thread):
    """Looks where a thread is while its next beat is late.

    Parameters
    ----------
    watched : int
        Identity of the thread.
    """

    def __init__(self, watched: int) -> None:
        super().__init__(daemon=True, name="watcher")
        self._watched = watched
        self._samples: list[tuple[str, ...]] = []
        self._since = time.perf_counter()
        self._stopped = threading.Event()
        self.start()

    def expect_beat(self) -> None:
        """Start to count anew: a beat has come."""
        self._samples = []
        self._since = time.perf_counter()

    def seen(self) -> tuple[str, ...]:
        """Return where the thread was about half-way through."""
        samples = self._samples
        return samples[len(samples) // 2] if samples else ()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Sample until stopped."""
        before = time.perf_counter()
        while not self._stopped.wait(LATE / 6):
            now = time.perf_counter()
            if now - self._since > LATE:
                blocked = now - before > LATE
                self._samples.append(self._others() if blocked else self._of_watched())
            before = now

    def _of_watched(self) -> tuple[str, ...]:
        return describe(sys._current_frames().get(self._watched))

    def _others(self) -> tuple[str, ...]:
        skipped = {self._watched, self.ident}
        frames = (f for ident, f in sys._current_frames().items() if ident not in skipped)
        return "another thread held the interpreter, perhaps:", *(
            " < ".join(describe(frame)) for frame in frames
        )


def describe(frame: FrameType | None) -> tuple[str, ...]:
    """Return the innermost frames of a stack, like "masks.py:151 _assign"."""
    lines: list[str] = []
    while frame is not None and len(lines) < DEPTH:
        code = frame.f_code
        if "importlib" not in code.co_filename:
            lines.append(
                f"{'/'.join(Path(code.co_filename).parts[-2:])}:{frame.f_lineno} {code.co_name}"
            )
        frame = frame.f_back
    return tuple(lines)
