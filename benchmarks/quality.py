"""What each part of our network is worth, and how it stands beside others on equal terms.

    python -m benchmarks.quality --data ROOT --json F [--kinds K …] [--only M …] [--seeds 0 1 2]
        [--steps 300] [--crop 128] [--batch 4] [--learning-rate R] [--held-back]

ROOT holds the data folders. A cell is a kind of image, a method and a seed: the method learns from
the part "train" under a budget that is the same for all and is scored on every image of the part
"val", which nothing is chosen by. All classes count as one foreground; large images are averaged
over blocks first (`KINDS`), for all methods alike. The file is written after every cell, and cells
that it holds are skipped, so that a run can be stopped and goes on. `benchmarks.quality_table`
turns the file into tables.

A rate that suits one network ruins another, so that each has its own (`RATES`): that of two which
was better when a part of "train" was held back:

    python -m benchmarks.quality --data ROOT --json F --kinds nuclei --seeds 100 --held-back
        --learning-rate R
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.methods import METHODS, RATES, Method, Network
from benchmarks.sharing import alone_with
from benchmarks.timing import cpu_seconds, gmac, parameters
from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.dataset import Sample, read_index
from napari_rwkvseg.engine.metrics import overlap
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.dataset import read_samples

PERCENTILES = (1.0, 99.8)
COUNTED_SIZE = 256  # at which multiply-adds and time are counted
TURNS = 7
HELD_BACK = 5  # one of so many records, to choose by
UPRIGHT = Augmentation(scale=1.2, turn=15, quarters=False, elastic=0.03, grey=0, invert=0)


@dataclass(frozen=True)
class Kind:
    """A kind of image.

    Attributes
    ----------
    folder : str
        Of the data.
    blocks : int
        Side of the blocks that are averaged first, in pixels: the budget must do for objects that
        fill an image.
    slices : int
        Every which plane of a volume is used; neighbours hardly differ.
    augmentation : Augmentation
        Of the views.
    """

    folder: str
    blocks: int = 1
    slices: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)


KINDS = {
    "nuclei": Kind("dsb2018_nuclei"),
    "polyp": Kind("kvasir_seg_polyp", blocks=4),
    "vessels": Kind("chase_db1_vessels", blocks=2),
    "hippocampus": Kind("hippocampus_mr", slices=4, augmentation=UPRIGHT),
    "ultrasound": Kind("busi_subset_us", blocks=2),
    "membranes": Kind("isbi2012_em"),
}

LEARNT_SOON = ("nuclei", "vessels", "membranes")
"""Kinds that the budget is enough for: none of the networks learns what a polyp is in 300 steps."""


def read_part(root: Path, kind: Kind, part: str) -> tuple[Sample, ...]:
    """Return the planes of a part of a kind, RGB, two classes, shrunk as the kind says."""
    records = read_index(root / kind.folder, part)
    samples = finish(read_samples(records, 3, PERCENTILES))
    return tuple(_shrunk(sample, kind.blocks) for sample in _thinned(samples, kind.slices))


def parts_of(root: Path, kind: Kind, held_back: bool) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return what is learnt from and what is scored: "train" and "val", or two parts of "train"."""
    train = read_part(root, kind, "train")
    if not held_back:
        return train, read_part(root, kind, "val")
    names = list(dict.fromkeys(sample.record for sample in train))
    chosen = set(names[::HELD_BACK])
    return (
        [sample for sample in train if sample.record not in chosen],
        [sample for sample in train if sample.record in chosen],
    )


def _thinned(samples: Sequence[Sample], slices: int) -> Iterator[Sample]:
    """Yield every `slices`-th plane of each record, from the middle of its share."""
    place, before = 0, ""
    for sample in samples:
        place = place + 1 if sample.record == before else 0
        before = sample.record
        if place % slices == slices // 2:
            yield sample


def _shrunk(sample: Sample, blocks: int) -> Sample:
    """Average the image over blocks; a block is foreground if at least half of it is."""
    if blocks == 1:
        return sample
    image = _means(np.asarray(sample.image, np.float32), blocks).astype(np.float16)
    truth = _means(np.asarray(sample.truth, np.float32)[..., None], blocks)[..., 0] >= 0.5
    return replace(sample, image=image, truth=truth.astype(np.uint8))


def _means(image: NDArray[np.float32], blocks: int) -> NDArray[np.float32]:
    """Return the means of the whole blocks of an image (H, W, C)."""
    height, width = (side // blocks for side in image.shape[:2])
    whole = image[: height * blocks, : width * blocks]
    means: NDArray[np.float32] = whole.reshape(height, blocks, width, blocks, -1).mean(axis=(1, 3))
    return means


def measure_cell(
    method: Method, train: Sequence[Sample], val: Sequence[Sample], options: TrainOptions
) -> dict[str, Any]:
    """Let a method learn and segment; return scores of each image and CPU seconds."""
    learning = cpu_seconds(lambda: method.learn(train, options))
    start, scores = time.process_time(), []
    for sample in val:
        found = method.segment(np.asarray(sample.image, np.float32))
        scores.append(overlap(found, sample.truth))
    return {
        "n": len(scores),
        "learning rate": options.learning_rate,
        "dice": [round(score.dice, 5) for score in scores],
        "iou": [round(score.iou, 5) for score in scores],
        "training CPU s": round(learning, 2),
        "CPU s per image": round((time.process_time() - start) / len(scores), 4),
    }


def measure_cost(method: Network) -> dict[str, Any]:
    """Return parameters, multiply-adds and CPU time of a network at `COUNTED_SIZE`."""
    network = method.build().eval()
    image = torch.rand(1, 3, COUNTED_SIZE, COUNTED_SIZE)
    count = gmac(network, image)
    with torch.inference_mode():
        network(image)  # warm up
        turns = [cpu_seconds(lambda: network(image)) for _ in range(TURNS)]
    return {
        "parameters": parameters(network),
        "GMAC at 256": round(count, 4),
        "CPU ms at 256": round(statistics.median(turns) * 1e3, 2),
    }


class Record:
    """The figures so far, in a file that several programs may fill side by side.

    Parameters
    ----------
    path : Path
        JSON; read if it exists.
    budget : dict
        What all cells share; a file of another budget is refused.
    """

    def __init__(self, path: Path, budget: dict[str, Any]) -> None:
        self._path = path
        self.figures: dict[str, Any] = {"budget": budget, "costs": {}, "cells": {}}
        self._read()
        if self.figures["budget"] != budget:
            raise SystemExit(f"{path} holds figures of another budget: name another file.")

    def fill(self, group: str, key: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure and write, unless that was done before, here or by another program."""
        self._read()
        if key in self.figures[group]:
            return
        found = measure()
        with alone_with(self._path):
            self._read()  # it took a minute: others may have written
            self.figures[group][key] = found
            write_atomic(self._path, json.dumps(self.figures).encode())

    def _read(self) -> None:
        if self._path.exists():
            self.figures = json.loads(self._path.read_text("utf-8"))


def run(parsed: argparse.Namespace, record: Record) -> None:
    """Fill in all cells, seed by seed: a run that is stopped has something of everything."""
    _check_rates(parsed, record)
    for seed in parsed.seeds:
        for name in parsed.kinds:
            kind = KINDS[name]
            missing = [
                m for m in parsed.only if f"{name}/{m}/{seed}" not in record.figures["cells"]
            ]
            if not missing:
                continue
            parts = parts_of(parsed.data, kind, parsed.held_back)
            for chosen in missing:
                options = options_of(parsed, kind, chosen, seed)
                _fill_cell(record, f"{name}/{chosen}/{seed}", chosen, parts, options)


def _check_rates(parsed: argparse.Namespace, record: Record) -> None:
    """Refuse a file whose cells were learnt at rates that are not those of now."""
    for key, cell in record.figures["cells"].items():
        method = key.split("/")[1]
        if method in parsed.only and cell["learning rate"] != rate_of(parsed, method):
            raise SystemExit(f"{key} was learnt at another rate: name another file.")


def _fill_cell(
    record: Record,
    key: str,
    name: str,
    data: tuple[Sequence[Sample], Sequence[Sample]],
    options: TrainOptions,
) -> None:
    """Measure one method; leave out one whose package is missing, and say so."""
    method = METHODS[name]()
    try:
        if isinstance(method, Network):
            record.fill("costs", name, lambda: measure_cost(method))
        record.fill("cells", key, lambda: measure_cell(method, *data, options))
    except ImportError as error:
        print(f"skipped {key}: {error}; it comes with the extra bench", file=sys.stderr)
        return
    cell = record.figures["cells"][key]
    print(f"{key}  Dice {np.mean(cell['dice']):.4f}  {cell['training CPU s']} s", flush=True)


def options_of(parsed: argparse.Namespace, kind: Kind, method: str, seed: int) -> TrainOptions:
    """Return how a method learns a kind of image: the same for all but the rate."""
    return TrainOptions(
        steps=parsed.steps,
        crop=parsed.crop,
        batch=parsed.batch,
        learning_rate=rate_of(parsed, method),
        warmup=max(1, parsed.steps // 10),
        average=0.98,
        seed=seed,
        empty=0.25,
        augmentation=kind.augmentation,
    )


def rate_of(parsed: argparse.Namespace, method: str) -> float:
    """Return the rate that a method learns at: its own unless one was named for all."""
    rate: float = parsed.learning_rate or RATES[method]
    return rate


def budget_of(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return what all cells of a file share."""
    numbers = ("steps", "crop", "batch", "held_back")
    return {
        **{name: getattr(parsed, name) for name in numbers},
        "kinds": {name: asdict(kind) for name, kind in KINDS.items()},
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": 1,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the file lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data folders")
    parser.add_argument("--json", type=Path, required=True, help="figures; gone on with")
    parser.add_argument("--kinds", nargs="+", default=LEARNT_SOON, choices=KINDS)
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=METHODS, metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, help="of all networks, in place of RATES")
    parser.add_argument("--held-back", action="store_true", help='score a part of "train" instead')
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    run(parsed, Record(parsed.json, budget_of(parsed)))


if __name__ == "__main__":
    main()
