"""`evaluate`: Dice and IoU of a model on a data folder, as one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_rwkvseg.api import Segmenter, load_model
from napari_rwkvseg.cli.common import (
    Commands,
    add_compute,
    add_flips,
    add_tile,
    predict_options,
    run_with_bar,
)
from napari_rwkvseg.engine.dataset import Record, read_index
from napari_rwkvseg.engine.metrics import (
    Evaluation,
    ImageScore,
    Overlap,
    evaluate,
    score_image,
    summarise,
)
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.progress import Job, Progress, finish
from napari_rwkvseg.store.dataset import read_pair


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model on images with masks",
        description="Mean Dice and IoU per image, at native size. With several classes the means "
        "are over the classes of an image first.",
    )
    parser.add_argument("--model", default="nuclei", help="name or file (default nuclei)")
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--split", default="val", help="part of the data (default val)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--per-image", action="store_true", help="add the scores of each image")
    add_compute(parser)
    add_tile(parser)
    add_flips(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Score the model and print the result."""
    records = read_index(parsed.data, parsed.split)
    segmenter = load_model(parsed.model, predict_options(parsed))
    scores = run_with_bar(score_records(segmenter, records), f"Evaluating {segmenter.card.name}")
    report = make_report(segmenter, evaluate(scores), parsed)
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if parsed.json else _in_words(report))
    return 0


def score_records(segmenter: Segmenter, records: Sequence[Record]) -> Job[tuple[ImageScore, ...]]:
    """Segment every image of some records into classes and compare with its mask."""
    scores = []
    for done, record in enumerate(records, start=1):
        image, truth = read_pair(record)
        found = finish(segmenter.job(image, MaskOptions()))
        classes = len(segmenter.card.class_names)
        scores.append(score_image(record.name, found.labels, truth, classes))
        yield Progress(done, len(records), record.name)
    return tuple(scores)


def make_report(
    segmenter: Segmenter, result: Evaluation, parsed: argparse.Namespace
) -> dict[str, Any]:
    """Return the JSON object: headline figures, per class, and per image if asked for."""
    names = segmenter.card.class_names
    report: dict[str, Any] = {
        "model": segmenter.card.name,
        "data": parsed.data.name,
        "split": parsed.split,
        **asdict(summarise([mean_over_classes(image) for image in result.images])),
        "foreground": asdict(result.foreground),
        "per_class": {
            name: asdict(summary) for name, summary in zip(names, result.classes, strict=True)
        },
    }
    if parsed.per_image:
        report["per_image"] = [
            {"name": image.name, **asdict(mean_over_classes(image))} for image in result.images
        ]
    return report


def mean_over_classes(image: ImageScore) -> Overlap:
    """Return the mean over the classes of one image."""
    return Overlap(
        float(np.mean([score.dice for score in image.classes])),
        float(np.mean([score.iou for score in image.classes])),
    )


def _in_words(report: dict[str, Any]) -> str:
    lines = [f"{report['model']} on {report['data']} ({report['split']}), n = {report['n']}"]
    for name, scores in {"all": report, **report["per_class"]}.items():
        dice = f"{scores['dice_mean']:.4f} ± {scores['dice_sd']:.4f}"
        iou = f"{scores['iou_mean']:.4f} ± {scores['iou_sd']:.4f}"
        lines.append(f"{name:12s} Dice {dice}   IoU {iou}")
    return "\n".join(lines) + "\n"
