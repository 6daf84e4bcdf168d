"""What several commands share: where to compute, and a progress bar for people at a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TypeVar

from tqdm import tqdm

from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import Job, Progress, finish

T = TypeVar("T")
Commands = argparse._SubParsersAction  # the only name argparse has for it


def add_compute(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where and how to compute."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--threads", type=_threads, metavar="N", help="default: all cores but one")


def add_flips(parser: argparse.ArgumentParser) -> None:
    """Add the choice to average over mirror images."""
    parser.add_argument(
        "--flips",
        action=argparse.BooleanOptionalAction,
        help="average over mirror images: four times the work, a little better where nothing has "
        "an orientation (default: where the model shrinks images, so that it costs little)",
    )


def add_tile(parser: argparse.ArgumentParser) -> None:
    """Add the side of a tile."""
    parser.add_argument(
        "--tile", type=int, default=512, metavar="PIXELS", help="side of a tile (default 512)"
    )


def predict_options(parsed: argparse.Namespace) -> PredictOptions:
    """Return what the options of `add_compute`, `add_tile` and `add_flips` say."""
    return PredictOptions.for_tile(parsed.tile, parsed.device, parsed.threads, parsed.flips)


def run_with_bar(job: Job[T], title: str) -> T:
    """Run a job to its end; on a terminal a bar on standard error shows progress and time left."""
    with tqdm(desc=title, unit="step", disable=not sys.stderr.isatty(), leave=False) as bar:
        return finish(job, lambda event: _show(bar, event))


def in_words(error: OSError) -> str:
    """Return one sentence about what the system refused, and what to look at."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    about = f"{error.filename}: " if error.filename else ""
    return f"{about}{error.strerror}. Check the path, its permissions and the room on the disk."


def _threads(text: str) -> int:
    """Return a number of threads; more than there are cores would only hinder each other."""
    if (wanted := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return min(wanted, os.cpu_count() or 1)


def _show(bar: tqdm[None], event: Progress) -> None:
    bar.total = event.total
    if event.metrics:
        bar.set_postfix({name: f"{value:.4g}" for name, value in event.metrics}, refresh=False)
    if event.done < bar.n:  # another stage has begun
        bar.reset(event.total)
    bar.update(event.done - bar.n)
