"""How much do corrections of a few images help on a kind of image never seen before.

    python -m benchmarks.finetune_unseen --data DIR [--images 1 3 5] [--seconds 60] [--json F]

The person's corrections are the true masks of the first images of the part "train". They come in
stages: after 1 image one retrain, after 3 the next, from the best model so far, and so on. As in
the product a part of the corrections is held out, and a candidate that the judge does not find
better is not used. Dice is the mean over the images of the part "val", which nothing is chosen by.
The share of the error that is gone is 1 - (1 - Dice after) / (1 - Dice before).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_rwkvseg.api import Segmenter, load_model
from napari_rwkvseg.cli.evaluate import score_records
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Record, read_index
from napari_rwkvseg.engine.metrics import evaluate
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.dataset import read_pair
from napari_rwkvseg.store.retraining import RetrainOptions, keep, retrain_model


def dice_on(model: Model, records: Sequence[Record], threads: int) -> float:
    """Return the mean Dice over the images of some records."""
    segmenter = Segmenter(model, PredictOptions(device="cpu", threads=threads))
    return evaluate(finish(score_records(segmenter, records))).foreground.dice_mean


def retrain_once(
    model: Model, records: Sequence[Record], options: RetrainOptions, folder: Path
) -> tuple[Model, dict[str, Any]]:
    """Retrain on the true masks of some records; return the candidate and what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = [read_pair(record) for record in records]
    found = finish(retrain_model(model, pairs, options))
    candidate = keep(found, folder / "candidate.safetensors", None)
    return candidate, {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "steps": candidate.card.steps,
        "verdict": found.verdict.answer,
        "reason": found.verdict.reason,
    }


def run(parsed: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures of all stages."""
    train, val = read_index(parsed.data, "train"), read_index(parsed.data, parsed.split)
    model = load_model(parsed.model).model
    before = dice_on(model, val, parsed.threads)
    options = RetrainOptions(
        tuning=FinetuneOptions(seconds=parsed.seconds, seed=parsed.seed),
        corrections=folder / "corrections",
        device="cpu",
        threads=parsed.threads,
    )
    stages = []
    for images in parsed.images:
        options = replace(options, tuning=replace(options.tuning, seed=parsed.seed + images))
        candidate, cost = retrain_once(model, train[:images], options, folder)
        dice = dice_on(candidate, val, parsed.threads)
        gone = 1 - (1 - dice) / max(1 - before, 1e-9)
        stages.append({"images": images, "dice": dice, "error_gone": gone, **cost})
        print(json.dumps(stages[-1]), flush=True)
        if cost["verdict"] == "better":
            model = candidate
    return {
        "data": parsed.data.name,
        "split": parsed.split,
        "n": len(val),
        "model": parsed.model,
        "threads": parsed.threads,
        "dice_before": before,
        "stages": stages,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = run(parsed, Path(folder))
    print(json.dumps(figures, indent=2))
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
