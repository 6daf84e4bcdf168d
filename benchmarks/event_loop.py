"""How long the window is held at most: opening the dock, segmenting, correcting, exploring.

    python -m benchmarks.event_loop [--json FILE] [--rounds 3] [--side 2048]

Needs a display. Each round is a fresh process, for most of what holds a window is done only once
in each: imports, the first layer of a kind, the first drawing. `held` is the part of the longest
time between two beats of a timer of 5 ms for which no thread of the process waited for a
processor, and at least what the thread of the window worked; `wall` is the same time by the
clock. The smallest and the median of the rounds are given, and who held the loop in the worst.
The last row is napari's own: adding a mask of one pixel.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, QTimer

from benchmarks.heartbeat import Heartbeat, Hold
from napari_rwkvseg.store.library import DATA_VARIABLE

SIDE = 2048
REST = 0.5  # seconds to let pass: drawing goes on after the state has settled
PATIENCE = 300.0  # seconds for a run on a busy machine
PERIOD = 32  # pixels from one disc of the test image to the next

Phase = tuple[str, Hold]


def discs(side: int) -> NDArray[np.uint8]:
    """Return an image of bright discs, about 4000 at 2048²."""
    y, x = np.mgrid[:side, :side] % PERIOD - PERIOD // 2
    return np.where(y**2 + x**2 < 64, 200, 10).astype(np.uint8)


def open_from_menu(viewer: napari.Viewer) -> Any:
    """Open the dock as its menu entry does; nothing of the package is imported before."""
    return viewer.window.add_plugin_dock_widget("napari-rwkvseg", "RWKV Segmentation")[1]


class Session:
    """A person at a window with one large image.

    Parameters
    ----------
    side : int
        Of the image, pixels.
    open_dock : callable
        Opens the dock in a viewer and returns it.
    watch : bool
        Whether to find out who holds the loop.
    """

    def __init__(
        self,
        side: int,
        open_dock: Callable[[napari.Viewer], Any] = open_from_menu,
        watch: bool = True,
    ) -> None:
        self._side, self._open = side, open_dock
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1400, 900)
        self.viewer.add_image(discs(side), name="large")
        pass_time(2 * REST)  # drawing the image itself is napari's
        self._heart = Heartbeat(watch)
        self.dock: Any = None

    def close(self) -> None:
        """Stop the clock and close the window."""
        self._heart.stop()
        self.viewer.close()

    def segmenting(self) -> Iterator[Phase]:
        """Open the dock, segment twice, move the threshold."""
        yield "open the dock", self._longest(self._open_dock)
        yield "first Segment", self._longest(self._segment)
        yield "second Segment", self._longest(self._segment)
        yield "refine", self._longest(self._refine)

    def correcting(self) -> Iterator[Phase]:
        """Turn to the Correct tab, change the mask, accept all of it, retrain."""
        yield "turn to Correct", self._longest(self._turn_to_correct)
        yield "change the mask", self._longest(self._change_mask)
        yield "accept", self._longest(self._accept)
        yield "retrain", self._longest(self._retrain)

    def yardstick(self) -> Phase:
        """Let napari add the smallest mask: work in one piece that no plugin can divide."""
        return "napari alone", self._longest(self._add_one_pixel)

    def exploring(self) -> Iterator[Phase]:
        """Explore the image, choose a head, ask what the middle looked at, stop."""
        yield "first Explore", self._longest(self._explore)
        yield "another head", self._longest(self._choose_head)
        yield "receptive field", self._longest(self._ask)
        yield "stop exploring", self._longest(self._stop_exploring)

    def _longest(self, act: Callable[[], None]) -> Hold:
        self._heart.reset()
        act()
        pass_time(REST)
        return self._heart.longest

    def _open_dock(self) -> None:
        self.dock = self._open(self.viewer)

    def _segment(self) -> None:
        self.dock.tabs.page("Segment").run.button.click()
        self._settle()

    def _refine(self) -> None:
        threshold = self.dock.tabs.page("Segment").result.threshold
        threshold.setValue(threshold.value() + 0.1)
        self._settle()

    def _add_one_pixel(self) -> None:
        self.viewer.add_labels(np.zeros((1, 1), np.uint8))

    def _settle(self) -> None:
        state, results = self.dock.workflow.state, self.dock.workflow.results
        wait_until(lambda: not state.running)
        pass_time(REST)  # the mask is filled in later turns; only then it is measured
        wait_until(lambda: not results.busy)

    def _turn_to_correct(self) -> None:
        self.dock.tabs.show_page("Correct")
        state = self.dock.tabs.page("Correct").correcting.state
        wait_until(lambda: state.count.unseen == self._side**2)

    def _change_mask(self) -> None:
        """Move the mask of a quarter of the image by a few pixels, as one stroke."""
        page = self.dock.tabs.page("Correct")
        mask = page.correcting.subjects.current.layer
        corner = np.s_[: self._side // 2, : self._side // 2]
        moved = np.roll(mask.data[corner], 4, axis=0)
        wrong = np.nonzero(moved != mask.data[corner])
        mask.data_setitem(wrong, moved[wrong])
        wait_until(lambda: page.correcting.state.count.changed == len(wrong[0]))

    def _accept(self) -> None:
        from napari_rwkvseg.workflow.correct import Part

        page = self.dock.tabs.page("Correct")
        page.accept.parts[Part.IMAGE].click()
        wait_until(lambda: page.correcting.state.count.unseen == 0)

    def _retrain(self) -> None:
        page = self.dock.tabs.page("Correct")
        page.retrain.button.click()
        wait_until(lambda: not page.correcting.state.running and page.card.isVisible())
        self._settle()

    def _explore(self) -> None:
        self.dock.tabs.show_page("Scan explorer")
        page = self.dock.tabs.page("Scan explorer")
        page.button.click()
        wait_until(lambda: page.explorer.layers.layer("path") is not None)

    def _choose_head(self) -> None:
        from napari_rwkvseg.workflow.explorer import Shown

        self.dock.tabs.page("Scan explorer").explorer.choose(Shown(2, 1))

    def _stop_exploring(self) -> None:
        page = self.dock.tabs.page("Scan explorer")
        page.button.click()
        wait_until(lambda: not any("explorer" in layer.name for layer in self.viewer.layers))

    def _ask(self) -> None:
        from napari_rwkvseg.workflow.explorer import Look  # not before the dock is measured

        explorer = self.dock.tabs.page("Scan explorer").explorer
        explorer.set_look(Look.NETWORK)
        explorer.set_asking(True)
        explorer.look_at((self._side // 2, self._side // 2))
        wait_until(lambda: explorer.layers.layer("look") is not None)


def wait_until(done: Callable[[], bool]) -> None:
    """Run the event loop until something is the case.

    Raises
    ------
    TimeoutError
        If it is not for too long.
    """
    loop, timer = QEventLoop(), QTimer()
    end = time.monotonic() + PATIENCE
    timer.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    timer.start(20)
    loop.exec()
    timer.stop()
    if not done():
        raise TimeoutError(f"the window was not done after {PATIENCE:.0f} s")


def pass_time(seconds: float) -> None:
    """Run the event loop for a while."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def as_row(phase: Phase) -> dict[str, Any]:
    """Return a hold as JSON takes it, times in milliseconds."""
    name, hold = phase
    return {
        "phase": name,
        "held": hold.seconds * 1e3,
        "wall": hold.wall * 1e3,
        "cpu": hold.cpu * 1e3,
        "waited": hold.waited * 1e3,
        "where": list(hold.where),
    }


def run_once(side: int) -> None:
    """Go through all phases in this process; print one JSON list as the last line."""
    session = Session(side)
    phases = (
        *session.segmenting(),
        *session.correcting(),
        *session.exploring(),
        session.yardstick(),
    )
    rows = [as_row(phase) for phase in phases]
    session.close()
    print(json.dumps(rows))


def fresh_process(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a module run by a new Python prints as its last line; your models stay yours."""
    command = [sys.executable, "-m", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        own = {**os.environ, DATA_VARIABLE: folder}
        done = subprocess.run(command, env=own, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def summary(rounds: Sequence[Sequence[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row per phase: the smallest and the median of the rounds, in ms, and who held it."""
    for same in zip(*rounds, strict=True):
        worst = max(same, key=lambda row: row["held"])
        row = {"phase": same[0]["phase"]}
        for clock in ("held", "wall", "cpu"):
            values = [one[clock] for one in same]
            row[f"{clock} min"], row[f"{clock} median"] = min(values), statistics.median(values)
        yield row | {"where": worst["where"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--once", action="store_true", help="one round, in this process")
    chosen = parser.parse_args(arguments)
    if chosen.once:
        run_once(chosen.side)
        return
    child = ["benchmarks.event_loop", "--once", "--side", str(chosen.side)]
    rows = list(summary([fresh_process(child) for _ in range(chosen.rounds)]))
    for row in rows:
        times = "  ".join(f"{k} {v:.0f} ms" for k, v in row.items() if isinstance(v, float))
        print(f"{row['phase']:16} {times}\n    {' < '.join(row['where'])}", flush=True)
    if chosen.json:
        conditions = {"rounds": chosen.rounds, "side": chosen.side, "unit": "ms"}
        result = {"conditions": conditions, "rows": rows}
        Path(chosen.json).write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
