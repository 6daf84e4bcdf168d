"""`finetune`: a better model from corrected masks, or an honest no."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rwkvseg.cli.common import Commands, add_compute, run_with_bar
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_path import check_model_path
from napari_rwkvseg.store.own_models import VALID_NAME
from napari_rwkvseg.store.target import as_target

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
    parser.add_argument(
        "--name",
        help="of the new model, and of its corrections (default: that of the old one; if it no "
        "longer finds the same classes, that of its first class)",
    )
    add_compute(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Retrain, write the candidate, and say whether it is better."""
    from napari_rwkvseg.engine.tuner import FinetuneOptions  # imports torch: only when needed
    from napari_rwkvseg.store.retraining import RetrainOptions, keep, retrain_folder
    from napari_rwkvseg.store.second_chance import kept_aside

    check_model_path(parsed.out)
    library = Library()
    options = RetrainOptions(
        class_names=tuple(parsed.classes or ()),
        tuning=FinetuneOptions(seconds=parsed.seconds, steps=parsed.steps, seed=parsed.seed),
        corrections=parsed.corrections,
        device=parsed.device,
        threads=parsed.threads,
    )
    base = library.load(parsed.model)
    model = as_target(base, options.class_names, library, parsed.name, parsed.corrections)
    if not VALID_NAME.fullmatch(model.card.name):
        raise ModelFileError(
            f"{parsed.model} calls itself {model.card.name!r}, which is no valid model name. "
            "Choose another one with --name."
        )
    aside = kept_aside(library, model.card.name, model.sha256) if parsed.install else None
    job = retrain_folder(model, parsed.data, options, aside=aside)
    found = run_with_bar(job, f"Retraining {parsed.model}")
    model = keep(found, parsed.out, library if parsed.install else None)
    lines = describe(found, parsed.out, model.sha256)
    if parsed.install:
        lines.append(installed(found, base.card.name))
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


def describe(found: Retrained, out: Path, sha256: str) -> list[str]:
    """Return what came out, in lines of words."""
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
    return lines


def installed(found: Retrained, base: str) -> str:
    """Return under which name a model was installed that was made from `base`, and its place."""
    name = found.model.card.name
    kept = f"It is in the library as {name}"
    stays = f"{base} stays as it was"
    if found.verdict.answer == "better":
        return f"{kept} and active now." if name == base else f"{kept}; {stays}."
    return f"{kept}, kept aside; {'the active version stays as it was' if name == base else stays}."
