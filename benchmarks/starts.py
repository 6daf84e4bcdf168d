"""Which model is the best start for a kind of image that none of them has seen.

    python -m benchmarks.starts --data DIR [DIR …] --json F [--models M …] [--images 3]
        [--seconds 60] [--seeds 0 1 2]

As in `benchmarks.finetune_unseen` the person corrects whole images of the part "train", drawn by
the seed, and each model is retrained on the same ones for the same time. What comes out chooses a
default of the program, so that "val" stays out of it: Dice is measured on other images of "train",
the last ones of the same draw. "In use" is the model that the judge leaves active. The file is
written after every cell, and cells that it holds are skipped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bundled import start_model
from benchmarks.finetune_unseen import dice_on, drawn, retrain_once, share_gone
from benchmarks.quality import Record
from benchmarks.quality_table import over_seeds
from napari_rwkvseg.engine.dataset import read_index
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.retraining import RetrainOptions

BUNDLED = ("nuclei", "polyp", "vessels", "hippocampus")


def measure_cell(data: Path, name: str, seed: int, parsed: argparse.Namespace) -> dict[str, Any]:
    """Retrain a model on the first images of a draw; return scores on the last ones."""
    records = drawn(read_index(data, "train"), seed)
    if parsed.images >= len(records):
        raise SystemExit(f"{data} has {len(records)} training images: name fewer with --images.")
    lesson, others = records[: parsed.images], records[parsed.images :][-parsed.scored :]
    model = start_model(name)
    with tempfile.TemporaryDirectory() as folder:
        options = RetrainOptions(
            tuning=FinetuneOptions(seconds=parsed.seconds, seed=seed),
            corrections=Path(folder) / "corrections",
            device="cpu",
            threads=1,
        )
        candidate, active, cost = retrain_once(model, None, lesson, options, Path(folder))
    before, after = (dice_on(one, others, threads=1) for one in (model, candidate))
    in_use = after if active is candidate else before
    return {
        "n": len(others),
        "before": before,
        "candidate": after,
        "in use": in_use,
        "error gone": share_gone(before, after),
        **cost,
    }


def table(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table: mean ± sd over the seeds, by kind and model."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for key, cell in cells.items():
        kind, name, _ = key.split("/")
        groups.setdefault((kind, name), []).append(cell)
    lines = ["| kind | start | before | candidate | in use | better |", "|---" * 6 + "|"]
    for (kind, name), found in groups.items():
        scores = [
            over_seeds([cell[score] for cell in found], digits=3)
            for score in ("before", "candidate", "in use")
        ]
        better = sum(cell["verdict"] == "better" for cell in found)
        lines.append(f"| {kind} | {name} | {' | '.join(scores)} | {better} of {len(found)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the file lacks, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of kinds")
    parser.add_argument("--json", type=Path, required=True, help="figures; gone on with")
    parser.add_argument("--models", nargs="+", default=BUNDLED, metavar="NAME")
    parser.add_argument("--images", type=int, default=3, help="that the person corrects")
    parser.add_argument("--scored", type=int, default=40, help="other images, at most")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parsed = parser.parse_args(arguments)
    budget = {name: getattr(parsed, name) for name in ("images", "scored", "seconds")}
    record = Record(parsed.json, budget)
    for seed in parsed.seeds:
        for data in parsed.data:
            for name in parsed.models:
                key = f"{data.name}/{Path(name).stem}/{seed}"
                record.fill("cells", key, partial(measure_cell, data, name, seed, parsed))
                print(key, json.dumps(record.figures["cells"][key]), flush=True)
    print("\n".join(table(record.figures["cells"])))


if __name__ == "__main__":
    main()
