"""Does retraining do harm? Forgetting, poisoned corrections, and leaks between teacher and judge.

    python -m benchmarks.retrain_safety --own DIR --other DIR [--json F]

`--own` is a folder of the kind of image that the model was trained on, `--other` of another kind,
both with index.csv. Three parts, each left out with `--parts`:

forgetting   Retrains on the other kind, one after the other, with some accepted images of the own
             kind among what was learnt before, and without. Dice on both kinds after each.
poison       Retrains on the other kind, some images each; the masks of some retrains are spoilt in
             five ways, those of all their images. The judge decides, and Dice is measured on
             images of the part "val": these the judge has never seen. Also shown is what each
             refused candidate would have done.
leak         Evidence that grows block by block and image by image, with real masks and with pixels
             that say where they lie: whether a training view was ever cut from held-out pixels.

Seconds are CPU time of the process, so that a busy machine does not change what is found.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bundled import start_model
from benchmarks.leak import count_leaks
from benchmarks.tiles import mean_dice, read_tiles
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.evidence import REVIEWED
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.accepting import Corrected, accept, classes_of
from napari_rwkvseg.store.retraining import Pair, Retrained, RetrainOptions, retrain_model

Mask = NDArray[np.integer]
Poison = Callable[[Mask, np.random.Generator], Mask]

FIRST_POISON = 3  # retrains before the first spoilt one: with nothing learnt, all is believable
ALLOWED = 0.005  # Dice that the active model may lose at a retrain

POISONS: dict[str, Poison] = {
    "inverted": lambda mask, rng: 1 - (mask > 0),
    "shifted": lambda mask, rng: np.roll(mask, mask.shape[1] // 4, axis=1),
    "noise": lambda mask, rng: rng.integers(0, 2, mask.shape),
    "empty": lambda mask, rng: np.zeros_like(mask),
    "full": lambda mask, rng: np.ones_like(mask),
}


@dataclass(frozen=True)
class Plan:
    """What all parts share."""

    model: Model
    tuning: FinetuneOptions
    threads: int
    folder: Path

    def options(self, name: str, seed: int) -> RetrainOptions:
        """Return how to retrain in the project `name`."""
        return RetrainOptions(
            tuning=replace(self.tuning, seed=seed),
            corrections=self.folder / name,
            device="cpu",
            threads=self.threads,
        )


class Office:
    """The model in use, and the one that was kept aside last, as in the product.

    Parameters
    ----------
    plan : Plan
        What all parts share.
    name : str
        Of the project.
    """

    def __init__(self, plan: Plan, name: str) -> None:
        self.plan, self.name = plan, name
        self.model, self._aside = plan.model, None

    def retrain(self, lesson: Sequence[Pair], seed: int) -> tuple[Retrained, Model, float]:
        """Retrain on images with their full masks; what is better is in use then.

        Returns
        -------
        Retrained, Model, float
            What came out, what was learnt this time, and CPU seconds.
        """
        start, options = time.process_time(), self.plan.options(self.name, seed)
        job = retrain_model(self.model, lesson, options, clock=time.process_time, aside=self._aside)
        found = finish(job)
        found.remember()
        seconds = time.process_time() - start
        learnt = replace(found.learnt, sha256=f"{seed + 1:064x}")
        if found.verdict.answer == "better":
            self.model = learnt if found.candidate is None else found.model
        self._aside = None if self.model is learnt else learnt
        return found, learnt, seconds


def forgetting(
    plan: Plan, own: Sequence[Pair], own_val: Sequence[Pair], other: Sequence[Pair],
    other_val: Sequence[Pair],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield Dice on both kinds after each retrain on an image of the other kind."""
    for name, before in (("replay", own), ("no replay", ())):
        office = Office(plan, name)
        know(plan, name, before)
        scores = [mean_dice(office.model, val, plan.threads) for val in (own_val, other_val)]
        yield _forgetting_row(name, 0, "start", scores, 0.0)
        for number, pair in enumerate(other, start=1):
            found, _, seconds = office.retrain([pair], number)
            if found.verdict.answer == "better":
                scores = [
                    mean_dice(office.model, val, plan.threads) for val in (own_val, other_val)
                ]
            yield _forgetting_row(name, number, found.verdict.answer, scores, seconds)


def _forgetting_row(
    name: str, number: int, verdict: str, scores: Sequence[float], seconds: float
) -> dict[str, Any]:
    return {
        "part": "forgetting", "arm": name, "retrain": number, "verdict": verdict,
        "own": scores[0], "other": scores[1], "cpu_seconds": seconds,
    }  # fmt: skip


def know(plan: Plan, name: str, pairs: Sequence[Pair]) -> None:
    """Accept images as ones that the model has learnt from."""
    options = plan.options(name, 0)
    names = plan.model.card.class_names
    project = options.project(plan.model.card.name)
    images = []
    for image, mask in pairs:
        truth = classes_of(mask, image, len(names))
        corrected = Corrected(image, truth, np.full(truth.shape, REVIEWED, np.uint8))
        images.append(finish(accept(project, plan.model, corrected, names)))
    project.deal(images)
    project.note_made(plan.model.card, plan.model.card, images)


def poisoned_turns(count: int, spoilt: int, seed: int) -> dict[int, str]:
    """Return which of the retrains are spoilt, and how: each way equally often, in random order."""
    rng = np.random.default_rng(seed)
    turns = sorted(rng.choice(np.arange(FIRST_POISON, count), spoilt, replace=False).tolist())
    ways = rng.permutation([list(POISONS)[n % len(POISONS)] for n in range(spoilt)])
    return dict(zip(turns, ways.tolist(), strict=True))


def poison(
    plan: Plan,
    lessons: Sequence[Sequence[Pair]],
    val: Sequence[Pair],
    turns: dict[int, str],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield one row per retrain: Dice on images that the judge never saw, before and after."""
    office, rng = Office(plan, "poison"), np.random.default_rng(seed)
    dice = mean_dice(office.model, val, plan.threads)
    for number, lesson in enumerate(lessons):
        kind = turns.get(number, "good")
        if kind in POISONS:
            lesson = [(image, POISONS[kind](mask, rng)) for image, mask in lesson]
        found, learnt, seconds = office.retrain(lesson, seed + number)
        candidate, earlier = mean_dice(learnt, val, plan.threads), found.candidate is not None
        before = dice
        if found.verdict.answer == "better":
            dice = mean_dice(office.model, val, plan.threads) if earlier else candidate
        yield {
            "part": "poison", "retrain": number + 1, "labels": kind,
            "verdict": found.verdict.answer, "before": before, "candidate": candidate,
            "after": dice, "kept_aside_before": earlier,
            "share": learnt.card.metrics["share_of_the_way"],
            "cpu_seconds": seconds, "reason": found.verdict.reason,
        }  # fmt: skip


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the rows come to."""
    found: dict[str, Any] = {}
    for arm in ("replay", "no replay"):
        dices = [row["own"] for row in rows if row.get("arm") == arm]
        if dices:
            found[f"fall on the own kind, {arm}"] = dices[0] - dices[-1]
    steps = [row for row in rows if row["part"] == "poison"]
    if steps:
        spoilt = [row for row in steps if row["labels"] != "good"]
        found |= {
            "retrains": len(steps),
            "spoilt": len(spoilt),
            "spoilt and let through": sum(row["verdict"] == "better" for row in spoilt),
            "largest fall": max(row["before"] - row["after"] for row in steps),
            "falls beyond what is allowed": sum(
                row["before"] - row["after"] > ALLOWED for row in steps
            ),
            "largest fall of a refused candidate": max(
                row["before"] - row["candidate"] for row in steps
            ),
            "start": steps[0]["before"],
            "end": steps[-1]["after"],
        }
    return found


def run(parsed: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of all parts."""
    tuning = FinetuneOptions(seconds=parsed.seconds, crop=parsed.crop)
    plan = Plan(start_model(parsed.model), tuning, parsed.threads, folder)
    own_val = read_tiles(parsed.own, "val", parsed.val, parsed.side)
    other_val = read_tiles(parsed.other, "val", parsed.val, parsed.side)
    other = read_tiles(parsed.other, "train", None, parsed.side)
    if "forgetting" in parsed.parts:
        own = read_tiles(parsed.own, "train", parsed.known, parsed.side)
        yield from forgetting(plan, own, own_val, other[: parsed.retrains], other_val)
    if "poison" in parsed.parts:
        turns = poisoned_turns(parsed.stream, parsed.spoilt, parsed.seed)
        size = parsed.lesson
        lessons = [other[n * size : (n + 1) * size] for n in range(parsed.stream)]
        yield from poison(plan, lessons, other_val, turns, parsed.seed)
    if "leak" in parsed.parts:
        masks = [(mask > 0).astype(np.uint8) for _, mask in other]
        yield from count_leaks(masks, parsed.retrains, folder / "leak", parsed.seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", type=Path, required=True, help="folder of the model's own kind")
    parser.add_argument("--other", type=Path, required=True, help="folder of another kind")
    parser.add_argument("--parts", nargs="+", default=["forgetting", "poison", "leak"])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--retrains", type=int, default=10, help="of forgetting and leak")
    parser.add_argument("--known", type=int, default=4, help="images of the own kind to replay")
    parser.add_argument("--stream", type=int, default=50, help="retrains of poison")
    parser.add_argument("--lesson", type=int, default=4, help="images of each of them")
    parser.add_argument("--spoilt", type=int, default=10, help="of them with spoilt masks")
    parser.add_argument("--val", type=int, default=24, help="images of each kind to measure on")
    parser.add_argument("--side", type=int, default=256, help="of the squares images are cut into")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in run(parsed, Path(folder)):
            rows.append(row)
            print(json.dumps(row), flush=True)
    figures = {"settings": {k: str(v) for k, v in vars(parsed).items()}, "rows": rows}
    figures["summary"] = summarise(rows)
    print(json.dumps(figures["summary"], indent=2))
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
