"""How much do corrections of a few images help on a kind of image never seen before.

    python -m benchmarks.finetune_unseen --data DIR [--images 1 3 5] [--seconds 60] [--seeds 0 1 2]

The person's corrections are the true masks of images of the part "train", drawn by the seed: the
names of files are often in the order of diagnoses, so that the first ones are all of one kind. They
come in stages: after 1 image one retrain, after 3 the next, from the model in use, and so on. As in
the product a part of the corrections is held out, and a candidate that the judge does not find
better is kept aside, to be tested again on what is corrected next. Dice is that of the candidate
and that of the model in use, the mean over the images of the part "val", which nothing is chosen
by. The share of the error that is gone is 1 - (1 - Dice after) / (1 - Dice before).
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

import numpy as np

from benchmarks.bundled import start_model
from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.cli.evaluate import score_records
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Record, read_index
from napari_rwkvseg.engine.metrics import evaluate
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.dataset import read_pair
from napari_rwkvseg.store.retraining import RetrainOptions, keep, retrain_model

PARTS = ("", "_active")  # of what was learnt last, and of the model in use


def dice_on(model: Model, records: Sequence[Record], threads: int) -> float:
    """Return the mean Dice over the images of some records."""
    segmenter = Segmenter(model, PredictOptions(device="cpu", threads=threads))
    return evaluate(finish(score_records(segmenter, records))).foreground.dice_mean


def retrain_once(
    model: Model,
    aside: Model | None,
    records: Sequence[Record],
    options: RetrainOptions,
    folder: Path,
) -> tuple[Model, Model, dict[str, Any]]:
    """Retrain on the true masks of some records.

    Returns
    -------
    Model, Model, dict
        What was learnt, with a checksum; what is active now; and what it cost.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = [read_pair(record) for record in records]
    found = finish(retrain_model(model, pairs, options, aside=aside))
    result = keep(found, folder / "candidate.safetensors", None)
    candidate = found.candidate or result
    return (
        candidate,
        result if found.verdict.answer == "better" else model,
        {
            "seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "steps": candidate.card.steps,
            "verdict": found.verdict.answer,
            "reason": found.verdict.reason,
            "kept_aside_before": found.candidate is not None,
        },
    )


def drawn(records: Sequence[Record], seed: int) -> list[Record]:
    """Return records in an order that depends on the seed alone."""
    return [records[number] for number in np.random.default_rng(seed).permutation(len(records))]


def run(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all stages for all seeds, and their mean and standard deviation."""
    train, val = read_index(parsed.data, "train"), read_index(parsed.data, parsed.split)
    model = start_model(parsed.model)
    before = dice_on(model, val, parsed.threads)
    runs = []
    for seed in parsed.seeds:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(stages(parsed, model, drawn(train, seed), val, before, seed, Path(folder)))
    return {
        "data": parsed.data.name,
        "split": parsed.split,
        "n": len(val),
        "model": parsed.model,
        "threads": parsed.threads,
        "dice_before": before,
        "runs": runs,
        "stages": [summary(stage) for stage in zip(*runs, strict=True)],
    }


def summary(stage: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation over the seeds, and the longest retrain."""
    figures: dict[str, Any] = {"images": stage[0]["images"], "seeds": len(stage)}
    for name in (f"{measure}{part}" for measure in ("dice", "error_gone") for part in PARTS):
        values = [one[name] for one in stage]
        figures[name] = float(np.mean(values))
        figures[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    figures["longest_seconds"] = max(one["seconds"] for one in stage)
    figures["better"] = sum(one["verdict"] == "better" for one in stage)
    return figures


def stages(
    parsed: argparse.Namespace,
    model: Model,
    train: Sequence[Record],
    val: Sequence[Record],
    before: float,
    seed: int,
    folder: Path,
) -> list[dict[str, Any]]:
    """Return the figures of all stages of one run."""
    options = RetrainOptions(
        tuning=FinetuneOptions(seconds=parsed.seconds, seed=seed),
        corrections=folder / "corrections",
        device="cpu",
        threads=parsed.threads,
    )
    figures: list[dict[str, Any]] = []
    active, aside = before, None
    for images in parsed.images:
        options = replace(options, tuning=replace(options.tuning, seed=seed + images))
        candidate, now, cost = retrain_once(model, aside, train[:images], options, folder)
        dice = dice_on(candidate, val, parsed.threads)
        if now is not model:
            active = dice if now is candidate else dice_on(now, val, parsed.threads)
        aside = candidate if now is not candidate else None
        model = now
        scores = {"dice": dice, "dice_active": active}
        gone = {f"error_gone{part}": share_gone(before, scores[f"dice{part}"]) for part in PARTS}
        figures.append({"seed": seed, "images": images, **scores, **gone, **cost})
        print(json.dumps(figures[-1]), flush=True)
    return figures


def share_gone(before: float, after: float) -> float:
    """Return how much of the error of a first Dice is gone at a second one."""
    return 1 - (1 - after) / max(1 - before, 1e-9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args(arguments)
    figures = run(parsed)
    print(json.dumps(figures["stages"], indent=2))
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
