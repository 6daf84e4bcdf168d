"""Finish the card of a model: scores under the options that users have, over several seeds.

    python -m benchmarks.cards --model FILE --data DIR [DIR …] --out FILE [--recipe FILE]
        [--limits TEXT]

The model that ships is seed 0, fixed beforehand and not chosen by its score. It is scored as
`evaluate` does, on the part "val" of every data folder; the scores of other seeds, trained by the
same command, are those that `benchmarks.seeds` kept. The images that it does worst on are printed,
for whoever writes `--limits`. What a recipe says of a card goes before what the model says, so that
words can be mended without training again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.scores import score_model, summary_of
from benchmarks.seeds import SCORES, other_seeds
from napari_rwkvseg.api import load_model
from napari_rwkvseg.cli.evaluate import mean_over_classes
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.metrics import Summary
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.store.recipe import Recipe, read_recipe

WORST = 5  # images to look at


def metrics_of(first: Summary, others: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the entries of a card: the model's scores, and the spread over the seeds."""
    metrics: dict[str, float] = {
        "dice_mean": first.dice_mean,
        "dice_sd": first.dice_sd,
        "iou_mean": first.iou_mean,
        "iou_sd": first.iou_sd,
        "n": first.n,
    }
    if others:
        for name in ("dice", "iou"):
            values = [metrics[f"{name}_mean"], *(other[f"{name}_mean"] for other in others)]
            metrics[f"{name}_seeds_mean"] = float(np.mean(values))
            metrics[f"{name}_seeds_sd"] = float(np.std(values, ddof=1))
        metrics["seeds"] = 1 + len(others)
    return metrics


def described(card: ModelCard, recipe: Recipe) -> ModelCard:
    """Return a card with what a recipe says of it."""
    about = recipe.model_card(card.name, recipe.options({"size": card.size}))
    return replace(card, **{entry: getattr(about, entry) for entry in ("title", *recipe.card)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Score, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="whose words the card gets")
    parser.add_argument("--limits", default="", help="what the model is not good at, in words")
    parser.add_argument("--seeds", type=Path, default=SCORES, help="scores of other seeds")
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    segmenter = load_model(parsed.model, PredictOptions(device="cpu", threads=parsed.threads))
    images = score_model(segmenter, parsed.data)
    worst = sorted(images, key=lambda image: mean_over_classes(image).dice)[:WORST]
    for image in worst:
        print(f"worst: {image.name}  Dice {mean_over_classes(image).dice:.4f}")
    model, name = segmenter.model, parsed.out.stem
    others = other_seeds(parsed.seeds, name, model.card.seed)
    metrics = metrics_of(summary_of(images), others)
    limits = parsed.limits or model.card.limits
    card = replace(model.card, name=name, metrics=metrics, limits=limits)
    if parsed.recipe is not None:
        card = described(card, read_recipe(parsed.recipe))
    write_model(parsed.out, replace(model, card=card, sha256=""), half=True)
    print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
