"""How fast the scan explorer answers, and whether gates tell one kind of image from another.

    python -m benchmarks.explorer [--json FILE] [--rounds 5] [--only NAME ...] [--images DIR DIR]

`answers`: what a token looks at, worst layer and all layers; the receptive field of a pixel.
`animation`: frames a second in a real window (needs a display), on a grid of 128×128 cells.
`gates`: mean difference of the gates within the first folder, and between the two folders.
Wall time is what people feel, and it depends on what else the machine does: each row states the
load (programs that want a processor) beside the processors there are.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import report
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.gates import GateTable, gate_table
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.store.formats import read_image
from napari_rwkvseg.store.formats.opening import IMAGE_SUFFIXES
from napari_rwkvseg.store.library import Library

SIDE = 512  # px of the image that is asked about
GRID = 128  # cells per side of the animation
SECONDS = 3.0  # that each round of the animation lasts
MOST = 8  # images of a folder, evenly thinned
PARTS = ("answers", "animation", "gates")


def noise(side: int) -> ImageData:
    """Return an image of smooth noise, float32 (side, side)."""
    coarse = np.random.default_rng(0).random((side // 8, side // 8)).astype(np.float32)
    return interpret(np.kron(coarse, np.ones((8, 8), np.float32)), name="noise")


def timed(call: Callable[[], object], rounds: int) -> dict[str, Any]:
    """Return medians of wall and CPU time in milliseconds, and the slowest wall time."""
    walls, processor = [], []
    call()
    for _ in range(rounds):
        wall, used = time.perf_counter(), time.process_time()
        call()
        walls.append(1e3 * (time.perf_counter() - wall))
        processor.append(1e3 * (time.process_time() - used))
    figures = {"wall ms": statistics.median(walls), "slowest ms": max(walls)}
    return {**figures, "CPU ms": statistics.median(processor), **load()}


def load() -> dict[str, Any]:
    """Return the load of the last minute and the number of processors."""
    return {"load": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}


def answers(model: Model, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield how long it takes to tell what a pixel looked at."""
    found = finish(explain(model, noise(SIDE)))
    pixel = (SIDE // 2, SIDE // 3)
    layers = range(len(found.trace.layers))
    slowest = max(layers, key=lambda n: found.trace.layers[n].plan.tokens)
    yield {"what": "a head", **timed(lambda: found.look(slowest, 0, pixel), rounds)}
    yield {"what": "heads of a block", **timed(lambda: found.look(slowest, None, pixel), rounds)}
    yield {"what": "receptive field", **timed(lambda: found.field_heat(pixel), rounds)}


def animation(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield how often the canvas is drawn while the visit of a large grid is played."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_rwkvseg.widgets.dock import SegmentationDock
    from napari_rwkvseg.widgets.explorer.tab import ExplorerTab

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 900)
    viewer.add_image(noise(SIDE).array, name="noise")
    dock = SegmentationDock(viewer)
    viewer.window.add_dock_widget(dock, name="RWKV Segmentation")
    dock.tabs.show_page("Scan explorer")
    page = dock.tabs.page("Scan explorer")
    if not isinstance(page, ExplorerTab):
        raise TypeError(f"the tab is a {type(page).__name__}")
    page.button.click()
    spin(lambda: "Scan explorer · blocks" in viewer.layers)
    page.player.speed.setCurrentText("Slow")
    ranks = viewer.layers["Scan explorer · order"]  # of a larger grid than any tile has
    ranks.data = np.arange(GRID**2, dtype=np.int32).reshape(GRID, GRID)
    ranks.scale = ranks.scale * SIDE / (GRID * 8)
    page.explorer.state.steps = GRID**2
    frames: list[float] = []
    canvas = viewer.window._qt_viewer.canvas._scene_canvas  # nothing public tells of a drawing
    canvas.events.draw.connect(lambda _: frames.append(time.perf_counter()))
    for _ in range(rounds):
        page.explorer.show_step(0)
        page.player.play.click()
        spin_for(0.5)  # the first frames also hide the arrows
        frames.clear()
        used = time.process_time()
        spin_for(SECONDS)
        used = time.process_time() - used
        page.player.play.click()
        longest = max((1e3 * (b - a) for a, b in pairwise(frames)), default=0.0)
        yield {
            "what": f"animation of {GRID}×{GRID} cells",
            "frames/s": len(frames) / SECONDS,
            "longest gap ms": longest,
            "CPU ms per frame": 1e3 * used / max(len(frames), 1),
            **load(),
        }
    viewer.close()
    QApplication.processEvents()


def spin(until: Callable[[], bool], seconds: float = 120.0) -> None:
    """Run the event loop until something is so.

    Raises
    ------
    TimeoutError
        If that takes too long.
    """
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not until():
        QApplication.processEvents()
        if time.monotonic() > end:
            raise TimeoutError("the explorer did not draw; try again on a quieter machine")
        time.sleep(0.001)


def spin_for(seconds: float) -> None:
    """Run the event loop for some time."""
    end = time.monotonic() + seconds
    spin(lambda: time.monotonic() >= end)


def gates(model: Model, folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the mean difference of gates within the first folder, and between the folders."""
    ours, others = ([gates_of(model, path) for path in thinned(folder)] for folder in folders)
    within = [a.distance(b) for a, b in combinations(ours, 2)]
    between = [a.distance(b) for a in ours for b in others]
    for what, distances in (("within", within), ("between", between)):
        yield {
            "what": f"gates {what}",
            "mean difference": statistics.fmean(distances),
            "least": min(distances),
            "most": max(distances),
            "pairs": len(distances),
        }


def gates_of(model: Model, path: Path) -> GateTable:
    """Return the gates for an image file."""
    found: Explanation = finish(explain(model, read_image(path)))
    return gate_table(path.name, found.trace.layers)


def thinned(folder: Path) -> list[Path]:
    """Return at most `MOST` images of a folder, spread evenly."""
    files = sorted(p for p in folder.iterdir() if p.name.lower().endswith(tuple(IMAGE_SUFFIXES)))
    return files[:: max(1, -(-len(files) // MOST))]


def measure(
    model: Model, parts: Sequence[str], folders: Sequence[Path], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield all rows that were asked for."""
    if "answers" in parts:
        yield from answers(model, rounds)
    if "animation" in parts:
        yield from animation(min(rounds, 3))
    if "gates" in parts and folders:
        yield from gates(model, folders)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help='write the figures here; "-": print them')
    parser.add_argument("--model", default="nuclei", help="name or file (default nuclei)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, metavar="NAME")
    parser.add_argument("--images", type=Path, nargs=2, default=(), metavar="DIR")
    chosen = parser.parse_args(arguments)
    model = Library().load(chosen.model)
    skipped = [] if chosen.images else ["gates: give two folders with --images"]
    rows = measure(model, chosen.only, chosen.images, chosen.rounds)
    report(rows, chosen.rounds, chosen.json, skipped if "gates" in chosen.only else [])


if __name__ == "__main__":
    main()
