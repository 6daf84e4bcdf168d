"""`train`: a model from scratch, from a folder of images with masks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from napari_rwkvseg.cli.common import Commands, add_compute, run_with_bar
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.errors import RwkvSegError


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("train", help="train a model from scratch", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--out", type=Path, required=True, help="model file (.safetensors)")
    parser.add_argument("--size", default="base", choices=("tiny", "base"))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--crop", type=int, default=192, metavar="PIXELS", help="side of a view")
    parser.add_argument("--batch", type=int, default=8, help="views per step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on after an interrupted run")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="names in label order")
    parser.add_argument("--card", type=Path, help="JSON file with title, licence, attribution …")
    add_compute(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Train and write the model; print where it is and how good."""
    from napari_rwkvseg.engine.train import TrainOptions  # imports torch: only when needed
    from napari_rwkvseg.store.training import TrainingRun, train_model

    options = TrainOptions(
        size=parsed.size,
        steps=parsed.steps,
        crop=parsed.crop,
        batch=parsed.batch,
        seed=parsed.seed,
    )
    card = read_card(parsed)
    run = TrainingRun(
        data=parsed.data,
        out=parsed.out,
        card=card,
        options=options,
        device=parsed.device,
        threads=parsed.threads,
        card_file=parsed.card.name if parsed.card else "",
        resume=parsed.resume,
    )
    model = run_with_bar(train_model(run), f"Training {card.name}")
    scores = model.card.metrics
    sys.stdout.write(
        f"{parsed.out}: Dice {scores['dice_mean']:.4f}, IoU {scores['iou_mean']:.4f} "
        f"on {scores['n']} validation images\n"
    )
    return 0


def read_card(parsed: argparse.Namespace) -> ModelCard:
    """Return the card that the options describe.

    Raises
    ------
    RwkvSegError
        If the card's file cannot be read.
    """
    card = {
        "name": parsed.out.stem,
        "title": parsed.out.stem.capitalize(),
        "modality": "not stated",
        "class_names": ["foreground"],
    }
    if parsed.card is not None:
        try:
            card |= json.loads(parsed.card.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RwkvSegError(f"{parsed.card}: {error}. Name a JSON file.") from error
    if parsed.classes:
        card["class_names"] = parsed.classes
    return ModelCard.from_dict(card)
