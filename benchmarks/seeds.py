"""Other seeds of a bundled model: train it again, score it as `evaluate` does, keep the score.

    python -m benchmarks.seeds NAME --data DIR [DIR …] --folder F [--seeds 1 2] [--json FILE]

Trains by the recipe NAME.json, or for NAME-tiny by that of NAME at that size, on one thread. Models
and checkpoints lie in F, so that a run that was stopped goes on there. `benchmarks.cards` puts mean
and spread of the scores on the card of the model that ships, which is seed 0. Scores of a recipe
that has changed since are not counted, and are replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scores import score_model, summary_of
from benchmarks.sharing import alone_with
from napari_rwkvseg.api import load_model
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.recipe import Recipe, read_recipe
from napari_rwkvseg.store.training import TrainingRun, train_model

RECIPES = Path(__file__).parent / "recipes"
SCORES = Path(__file__).parent / "seeds.json"
TINY = "-tiny"

Scores = dict[str, dict[str, dict[str, Any]]]
"""Dice, IoU and n on "val", and how it was trained, by model and seed."""


def recipe_of(name: str, folder: Path = RECIPES) -> tuple[Recipe, dict[str, str]]:
    """Return the recipe of a bundled model, and what goes before it."""
    own = folder / f"{name}.json"
    if own.exists() or not name.endswith(TINY):
        return read_recipe(own), {}
    return read_recipe(folder / f"{name.removesuffix(TINY)}.json"), {"size": "tiny"}


def training_of(name: str) -> str:
    """Return a checksum of how a bundled model is trained."""
    recipe, changes = recipe_of(name)
    how = json.dumps({**recipe.training, **changes}, sort_keys=True)
    return hashlib.sha256(how.encode()).hexdigest()[:12]


def read_scores(path: Path) -> Scores:
    """Return the scores so far."""
    scores: Scores = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return scores


def other_seeds(path: Path, name: str, own: int) -> list[dict[str, Any]]:
    """Return the scores of a model with other seeds than its own, trained as it is now."""
    if not (kept := read_scores(path).get(name, {})):
        return []  # of a model that no recipe makes, for one
    now = training_of(name)
    return [
        scores for seed, scores in kept.items() if seed != str(own) and scores["training"] == now
    ]


def score_seed(name: str, seed: int, data: Sequence[Path], folder: Path) -> Mapping[str, float]:
    """Train a model with a seed, or go on with it, and return its scores on "val"."""
    out = folder / f"{name}-{training_of(name)}-seed{seed}.safetensors"
    if not out.exists():
        recipe, changes = recipe_of(name)
        options = recipe.options({**changes, "seed": seed})
        card = recipe.model_card(name, options)
        run = TrainingRun(tuple(data), out, card, options, "cpu", 1, recipe.file, resume=True)
        finish(train_model(run))
    segmenter = load_model(out, PredictOptions(device="cpu", threads=1))
    found = summary_of(score_model(segmenter, data))
    return {"dice_mean": found.dice_mean, "iou_mean": found.iou_mean, "n": found.n}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score what the file lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="of a bundled model")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for models and checkpoints")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, default=SCORES, help="scores; added to")
    parsed = parser.parse_args(arguments)
    parsed.folder.mkdir(parents=True, exist_ok=True)
    training = training_of(parsed.name)
    for seed in parsed.seeds:
        kept = read_scores(parsed.json).get(parsed.name, {}).get(str(seed), {})
        if kept.get("training") == training:
            continue
        found = score_seed(parsed.name, seed, parsed.data, parsed.folder)
        with alone_with(parsed.json):  # read anew: several models may be trained side by side
            scores = read_scores(parsed.json)
            scores.setdefault(parsed.name, {})[str(seed)] = {**found, "training": training}
            write_atomic(parsed.json, json.dumps(scores, indent=1, sort_keys=True).encode())
        print(f"{parsed.name}, seed {seed}: Dice {found['dice_mean']:.4f}", flush=True)


if __name__ == "__main__":
    main()
