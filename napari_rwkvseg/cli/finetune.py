"""`finetune`: a better model from corrected masks, or an honest no."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rwkvseg.cli.common import Commands, add_compute, run_with_bar
from napari_rwkvseg.store.library import Library

if TYPE_CHECKING:
    from napari_rwkvseg.store.retraining import Retrained

START = "vessels"  # see "Where to start" in benchmarks/RESULTS.md


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "finetune",
        help="retrain a model on corrected masks",
        description="Learn from the images and full masks of the part named train. A quarter "
        "of the blocks of the first images, later every fifth image, is held out once and for all; "
        "old and new model are compared there. The corrections, pixels included and names not, are "
        "kept in a folder, so that later runs neither forget them nor deal them anew.",
    )
    parser.add_argument(
        "--model",
        default=START,
        help=f"name or file (default {START}: on kinds that no model knows it learns best)",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--out", type=Path, required=True, help="model file (.safetensors)")
    parser.add_argument("--seconds", type=float, default=60, help="for everything (default 60)")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="so many at most, however long they take, to repeat a run bit for bit",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="names in label order")
    parser.add_argument(
        "--corrections", type=Path, metavar="DIR", help="where corrections are kept"
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="add it to the library; it becomes active only if it is better",
    )
    add_compute(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Retrain, write the candidate, and say whether it is better."""
    from napari_rwkvseg.engine.tuner import FinetuneOptions  # imports torch: only when needed
    from napari_rwkvseg.store.retraining import RetrainOptions, keep, retrain_folder
    from napari_rwkvseg.store.second_chance import kept_aside

    library = Library()
    options = RetrainOptions(
        class_names=tuple(parsed.classes or ()),
        tuning=FinetuneOptions(seconds=parsed.seconds, steps=parsed.steps, seed=parsed.seed),
        corrections=parsed.corrections,
        device=parsed.device,
        threads=parsed.threads,
    )
    model = library.load(parsed.model)
    aside = kept_aside(library, model.card.name, model.sha256) if parsed.install else None
    job = retrain_folder(model, parsed.data, options, aside=aside)
    found = run_with_bar(job, f"Retraining {parsed.model}")
    model = keep(found, parsed.out, library if parsed.install else None)
    sys.stdout.write(describe(found, parsed.out, model.sha256, parsed.install))
    return 0


def describe(found: Retrained, out: Path, sha256: str, install: bool) -> str:
    """Return what came out, in words."""
    verdict = found.verdict
    lines = [f"{verdict.answer.capitalize()}: {verdict.reason}"]
    for score in verdict.fresh.classes:
        lines.append(
            f"  {score.name:14s} Dice {score.old.dice:.3f} to {score.new.dice:.3f}, "
            f"IoU {score.old.iou:.3f} to {score.new.iou:.3f}"
        )
    if verdict.replay is not None:
        old, new = verdict.replay.old_dice, verdict.replay.new_dice
        lines.append(f"  {'learnt before':14s} Dice {old:.3f} to {new:.3f}")
    lines.append(f"{out.name} is version {sha256[:8]} of {found.model.card.name}.")
    if found.candidate is not None:
        lines.append("It was kept aside before; what was corrected since proves it better.")
        lines.append("What was learnt now is no better than that, and is kept aside.")
    if install and verdict.answer == "better":
        lines.append("It is active now.")
    elif install:
        lines.append("It is kept aside; the active version stays as it was.")
    return "\n".join([*lines, ""])
