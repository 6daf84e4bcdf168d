"""Finish the card of a model: scores under the options that users have, over several seeds.

    python -m benchmarks.cards --models S0 S1 S2 --data DIR [DIR …] --out FILE [--limits TEXT]

S0 is the model that ships, fixed beforehand and not chosen by its score; the others were trained by
the same command with other seeds. Each is scored as `evaluate` does, on the part "val" of every
data folder. The images that S0 does worst on are printed, for whoever writes `--limits`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_rwkvseg.api import Segmenter, load_model
from napari_rwkvseg.cli.evaluate import mean_over_classes, score_records
from napari_rwkvseg.engine.dataset import read_index
from napari_rwkvseg.engine.metrics import ImageScore, Summary, summarise
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.store.model_file import write_model

WORST = 5  # images to look at


def score_model(segmenter: Segmenter, folders: Sequence[Path]) -> tuple[ImageScore, ...]:
    """Return the scores of all validation images of some folders."""
    records = [record for folder in folders for record in read_index(folder, "val")]
    return finish(score_records(segmenter, records))


def summary_of(images: Sequence[ImageScore]) -> Summary:
    """Return mean and spread over images, each the mean over its classes."""
    return summarise([mean_over_classes(image) for image in images])


def metrics_of(summaries: Sequence[Summary]) -> dict[str, float]:
    """Return the entries of a card: the first model's scores, and the spread over the seeds."""
    first = summaries[0]
    metrics: dict[str, float] = {
        "dice_mean": first.dice_mean,
        "dice_sd": first.dice_sd,
        "iou_mean": first.iou_mean,
        "iou_sd": first.iou_sd,
        "n": first.n,
    }
    if len(summaries) > 1:
        for name in ("dice", "iou"):
            values = [getattr(summary, f"{name}_mean") for summary in summaries]
            metrics[f"{name}_seeds_mean"] = float(np.mean(values))
            metrics[f"{name}_seeds_sd"] = float(np.std(values, ddof=1))
        metrics["seeds"] = len(summaries)
    return metrics


def main(arguments: Sequence[str] | None = None) -> None:
    """Score, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limits", default="", help="what the model is not good at, in words")
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    options = PredictOptions(device="cpu", threads=parsed.threads)
    segmenters = [load_model(path, options) for path in parsed.models]
    scores = [score_model(segmenter, parsed.data) for segmenter in segmenters]
    worst = sorted(scores[0], key=lambda image: mean_over_classes(image).dice)[:WORST]
    for image in worst:
        print(f"worst: {image.name}  Dice {mean_over_classes(image).dice:.4f}")
    model = segmenters[0].model
    metrics = metrics_of([summary_of(images) for images in scores])
    limits = parsed.limits or model.card.limits
    card = replace(model.card, name=parsed.out.stem, metrics=metrics, limits=limits)
    write_model(parsed.out, replace(model, card=card, sha256=""), half=True)
    print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
