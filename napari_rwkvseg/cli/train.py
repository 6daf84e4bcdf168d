"""`train`: a model from scratch, from folders of images with masks."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from napari_rwkvseg.cli.common import Commands, add_compute, run_with_bar
from napari_rwkvseg.store.model_path import check_model_path, model_name

RECIPE_ENTRIES = ("size", "start", "steps", "crop", "batch", "seed")


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a model from scratch",
        description="A model from scratch, from folders of images with masks. Several folders are "
        "learnt at once, each drawn as often as the others; name one class then. Options go before "
        "what the recipe says.",
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="with index.csv"
    )
    parser.add_argument("--out", type=Path, required=True, help="model file (.safetensors)")
    parser.add_argument(
        "--recipe", type=Path, help="JSON file: card (title, classes, licence …) and training"
    )
    parser.add_argument("--size", choices=("tiny", "base"), help="default base")
    parser.add_argument(
        "--start", metavar="MODEL", help="begin at the weights of this model; same size"
    )
    parser.add_argument("--steps", type=int, help="default 5000")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="side of a view, default 192")
    parser.add_argument("--batch", type=int, help="views per step, default 8")
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument("--resume", action="store_true", help="go on after an interrupted run")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="names in label order")
    add_compute(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Train and write the model; print where it is and how good."""
    from napari_rwkvseg.store.recipe import Recipe, read_recipe  # imports torch: only when needed
    from napari_rwkvseg.store.training import TrainingRun, train_model

    check_model_path(parsed.out)
    recipe = Recipe() if parsed.recipe is None else read_recipe(parsed.recipe)
    if parsed.classes:
        recipe = replace(recipe, card={**recipe.card, "class_names": parsed.classes})
    given = {name: getattr(parsed, name) for name in RECIPE_ENTRIES}
    options = recipe.options({name: value for name, value in given.items() if value is not None})
    run = TrainingRun(
        data=tuple(parsed.data),
        out=parsed.out,
        card=recipe.model_card(model_name(parsed.out), options),
        options=options,
        device=parsed.device,
        threads=parsed.threads,
        recipe=recipe.file,
        classes=tuple(parsed.classes or ()),
        resume=parsed.resume,
    )
    model = run_with_bar(train_model(run), f"Training {run.card.name}")
    scores = model.card.metrics
    sys.stdout.write(
        f"{parsed.out}: Dice {scores['dice_mean']:.4f}, IoU {scores['iou_mean']:.4f} "
        f"on {scores['n']} validation images\n"
    )
    return 0
