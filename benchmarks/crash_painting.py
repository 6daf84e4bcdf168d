"""Killing a program that paints: what of its strokes can be restored, and what keeping them costs.

The child paints on a real Labels layer with the autosave at work, in one thread as napari does,
while a second thread writes. Strokes have labels of their own, so that each can be looked for.
"""

from __future__ import annotations

import queue
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from benchmarks.forked import Forked, Say
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress, finish
from napari_rwkvseg.store import journal
from napari_rwkvseg.store.recovery import find_unclean
from napari_rwkvseg.workflow.autosave import Autosave
from napari_rwkvseg.workflow.runner import JobResult

PROMISE = 1.0  # s: no stroke older than this may be lost
BRUSH = 21  # pixels
STEPS = 8  # places of the brush in a stroke
REACH = STEPS * BRUSH  # pixels from its first place that a stroke may touch
FIRST_LABEL = 1000  # of strokes; the mask beneath has smaller ones


class Loop:
    """A main thread without a window: timers, and results that other threads hand in."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.busy = self.cpu = 0.0  # s spent in callbacks: on the clock, and at work

    def after(self, function: Callable[[], None], seconds: float) -> None:
        """Call a function so many seconds later."""
        self._timers.append((time.monotonic() + seconds, function))

    def run(self, seconds: float) -> None:
        """Call what is due, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for function in [*self._due(), *self._handed_in()]:
                start, work = time.perf_counter(), time.thread_time()
                function()
                self.busy += time.perf_counter() - start
                self.cpu += time.thread_time() - work
            time.sleep(0.002)

    def _due(self) -> Iterator[Callable[[], None]]:
        now = time.monotonic()
        for timer in [timer for timer in self._timers if timer[0] <= now]:
            self._timers.remove(timer)
            yield timer[1]

    def _handed_in(self) -> Iterator[Callable[[], None]]:
        while not self.inbox.empty():
            yield self.inbox.get()


class ThreadRunner:
    """Runs jobs in a thread and hands their results to the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def start(
        self,
        job: Job[Any],
        token: CancelToken,
        on_progress: Callable[[Progress], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        """Run a job."""

        def body() -> None:
            result = JobResult(finish(job))
            self._loop.inbox.put(lambda: on_done(result))

        threading.Thread(target=body, daemon=True).start()

    def cancel(self) -> None:
        """Let the job end by itself."""


def picture(side: int) -> NDArray[np.uint8]:
    """Return an image."""
    return np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)


def first_mask(side: int) -> NDArray[np.int32]:
    """Return what a model may have found: objects on a grid."""
    mask = np.zeros((side, side), np.int32)
    for number in range(100):
        row, column = (int((0.05 + 0.1 * k) * side) for k in divmod(number, 10))
        mask[row : row + side // 20, column : column + side // 20] = number + 1
    return mask


def stroke(layer: Any, number: int, seed: int) -> tuple[slice, slice]:
    """Paint a stroke; return the square in which it lies."""
    random_ = random.Random(f"{seed} {number}")
    y, x = (random_.uniform(0, side - 1) for side in layer.data.shape)
    dy, dx = random_.uniform(-1, 1), random_.uniform(-1, 1)
    with layer.block_history():
        for step in range(STEPS):
            place = (y + step * dy * BRUSH / 2, x + step * dx * BRUSH / 2)
            layer.paint(place, FIRST_LABEL + number)
    return tuple(slice(max(0, int(c) - REACH), int(c) + REACH) for c in (y, x))  # type: ignore[return-value]


def new_layer(side: int) -> Any:
    """Return a Labels layer as a run leaves it."""
    layer = ViewerModel().add_labels(first_mask(side))
    layer.brush_size = BRUSH
    return layer


def paint(root: Path, side: int, seed: int, strokes: int, watched: bool, say: Say) -> None:
    """Paint strokes at a person's pace and say when each was done, and what it cost."""
    loop, layer = Loop(), new_layer(side)
    autosave = Autosave(root, ThreadRunner(loop), loop.after)
    if watched:
        autosave.watch(layer, picture(side))
    pace = random.Random(seed)
    for number in range(strokes):
        start, busy, cpu = time.perf_counter(), loop.busy, loop.cpu
        stroke(layer, number, seed)
        spent = time.perf_counter() - start
        done = time.time()
        loop.run(pace.uniform(0.02, 0.3))
        costs = {"callbacks_ms": 1000 * (loop.busy - busy), "cpu_ms": 1000 * (loop.cpu - cpu)}
        say(number=number, time=done, paint_ms=1000 * spent, **costs)


def paint_in_a_hurry(root: Path, side: int, seed: int, say: Say) -> None:
    """Paint without end; with odd seeds the journal is compacted all the time."""
    if seed % 2:
        journal.SNAPSHOT_BYTES, journal.SNAPSHOT_SECONDS, journal.SNAPSHOT_TILES = 1 << 10, 0.3, 2
    paint(root, side, seed, 10_000, True, say)


def kill_while_painting(kills: int, side: int = 2048, seed: int = 0) -> dict[str, Any]:
    """Kill painters one after the other; return what was lost.

    Returns
    -------
    dict
        Kills; offers; strokes that were painted; strokes older than `PROMISE` that are lost; age in
        seconds of the oldest lost one; masks with a pixel that nobody painted.
    """
    random_ = random.Random(seed)
    offers = painted = broken = 0
    lost: list[float] = []
    for trial in range(kills):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "autosave"
            said, killed = _kill_one(root, side, trial, random_.uniform(1.2, 2.5))
            found = find_unclean(root, picture(side), (side, side))
            painted += len(said)
            if found is not None:
                offers += 1
                ages, whole = compare(found.mask, said, killed, trial)
                lost += ages
                broken += not whole
    return {
        "kills": kills,
        "offered": offers,
        "strokes": painted,
        "lost_older_than_promise": sum(age > PROMISE for age in lost),
        "oldest_lost_s": round(max(lost, default=0.0), 3),
        "broken_masks": broken,
    }


def _kill_one(
    root: Path, side: int, seed: int, seconds: float
) -> tuple[list[dict[str, Any]], float]:
    child = Forked(lambda say: paint_in_a_hurry(root, side, seed, say))
    child.wait_for_word()
    time.sleep(seconds)
    killed = child.kill()
    return child.said(), killed


def compare(
    mask: NDArray[Any], said: list[dict[str, Any]], killed: float, seed: int
) -> tuple[list[float], bool]:
    """Look for strokes in a restored mask.

    Returns
    -------
    list of float
        Ages in seconds, when the program was killed, of strokes that are not whole.
    bool
        Whether every pixel has a label that it had at some time.
    """
    layer = new_layer(mask.shape[0])
    possible = layer.data == mask
    lost = []
    for one in said:
        square = stroke(layer, one["number"], seed)
        label = FIRST_LABEL + one["number"]
        footprint = layer.data[square] == label
        possible[square] |= mask[square] == layer.data[square]
        if not (mask[square][footprint] >= label).all():  # later strokes may lie on top
            lost.append(killed - one["time"])
    for number in range(len(said), len(said) + 2):  # done, but killed before it could say so
        square = stroke(layer, number, seed)
        possible[square] |= mask[square] == layer.data[square]
    # the stroke under way when the tile was copied: some of its places only
    possible |= mask == FIRST_LABEL + len(said)
    return lost, bool(possible.all())


def cost_of_keeping(strokes: int, side: int = 2048) -> dict[str, Any]:
    """Return what the thread that paints spends per stroke, with and without autosave, in ms."""
    found: dict[str, Any] = {"side": side, "strokes": strokes}
    for name, watched in (("without", False), ("with", True)):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "autosave"
            said = _paint_to_the_end(root, side, strokes, watched)
        sums = np.array([one["paint_ms"] + one["callbacks_ms"] for one in said])
        callbacks = np.array([one["callbacks_ms"] for one in said])
        cpu = np.array([one["cpu_ms"] for one in said])
        found |= {
            f"{name}_p50_ms": round(float(np.percentile(sums, 50)), 3),
            f"{name}_p95_ms": round(float(np.percentile(sums, 95)), 3),
            f"{name}_callbacks_p95_ms": round(float(np.percentile(callbacks, 95)), 3),
            f"{name}_callbacks_cpu_p95_ms": round(float(np.percentile(cpu, 95)), 3),
        }
    return found


def _paint_to_the_end(root: Path, side: int, strokes: int, watched: bool) -> list[dict[str, Any]]:
    child = Forked(lambda say: paint(root, side, 0, strokes, watched, say))
    child.end()
    return child.said()
