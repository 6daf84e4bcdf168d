"""Dice over the minutes of a simulated person who corrects, retrains, and corrects again.

    python -m benchmarks.human_loop --data DIR [--own DIR] [--json F]

The person opens images of the part "train" one by one, sees what the active model finds, corrects
the worst errors block by block, and after some images the model is retrained on all that was
accepted. Dice is the mean over images of the part "val", which nothing is chosen by. What a person
can do in a second is stated in `benchmarks.simulated_user`. Arms:

next, random, nth   Ours; images and blocks chosen as `suggest` says, by chance, evenly spread.
                    The judge decides which model is active.
scratch             The same network with random weights, trained anew after each round on the
                    corrections of the first of these arms, for the same seconds, no judge.
unet                A U-Net of about the same size that goes on learning from round to round
                    on the same corrections; first for a while on the folder `--own`, if named.

Without any retraining Dice stays that of round 0, however long the person corrects.
Minutes are those of the person alone; seconds are CPU time of the process.
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
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.bundled import start_model
from benchmarks.peer_training import Planes, peer_dice, train_peer
from benchmarks.peers import PlainUNet
from benchmarks.simulated_user import Choice, Desk, EveryNth, Random, Suggested, work_through
from benchmarks.tiles import mean_dice, read_tiles
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.evidence import REVIEWED, Evidence
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import measure_window, normalise, to_channels
from napari_rwkvseg.engine.predict import predict
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.store.accepting import Corrected, accept
from napari_rwkvseg.store.retraining import Pair, RetrainOptions, retrain_accepted

OURS = ("next", "random", "nth")
SMALL = (16, 32, 64, 128, 256)  # channels of the U-Net: 1.9 million parameters

Row = dict[str, Any]
Teach = Callable[[Sequence[Evidence], FinetuneOptions], nn.Module]


@dataclass(frozen=True)
class Study:
    """What all arms share.

    Attributes
    ----------
    model : Model
        Where ours starts.
    train, val : list of (ImageData, ndarray)
        What the person may open, and what Dice is measured on.
    tuning : FinetuneOptions
        Of every retrain.
    images, per_retrain : int
        Images that are opened in all, and between two retrains.
    seconds : float
        That the person gives to an image.
    seed, threads : int
        Of all that is drawn; of the processor.
    """

    model: Model
    train: list[Pair]
    val: list[Pair]
    tuning: FinetuneOptions
    images: int
    per_retrain: int
    seconds: float
    seed: int
    threads: int


class Office:
    """One person with one project: what is on the desk, what was accepted, which model is active.

    Parameters
    ----------
    study : Study
        What to do.
    choice : Choice
        How images and blocks are chosen.
    folder : Path
        Of the project.
    """

    def __init__(self, study: Study, choice: Choice, folder: Path) -> None:
        self.study, self.choice = study, choice
        self.model, self.minutes = study.model, 0.0
        self._aside: Model | None = None
        self.options = RetrainOptions(
            tuning=study.tuning, corrections=folder, device="cpu", threads=study.threads
        )
        self.project = self.options.project(study.model.card.name)
        self.ids: list[str] = []
        self._left = list(range(len(study.train)))
        self._planes = [plane_of(image, study.model) for image, _ in study.train]
        self._levels = [np.zeros(mask.shape, np.uint8) for _, mask in study.train]

    def work(self) -> float:
        """Open and correct as many images as lie between two retrains; return CPU seconds."""
        start = time.process_time()
        for _ in range(self.study.per_retrain):
            number = self.choice.image(self._look, self._left, len(self._planes))
            desk = self._look(number)
            self._left.remove(number)
            truth = (self.study.train[number][1] > 0).astype(np.uint8)
            self.minutes += work_through(desk, truth, self.choice.area, self.study.seconds) / 60
            self._accept(number, desk)
        return time.process_time() - start

    def retrain(self, seed: int) -> Row:
        """Retrain on all that was accepted; a better model becomes active."""
        options = replace(self.options, tuning=replace(self.study.tuning, seed=seed))
        start = time.process_time()
        try:
            job = retrain_accepted(
                self.model, self.ids, options, clock=time.process_time, aside=self._aside
            )
            found = finish(job)
            found.remember()
        except ValueError as error:  # nothing is held out yet
            return {"verdict": "too few", "reason": str(error), "cpu_seconds": 0.0}
        seconds = time.process_time() - start
        learnt = replace(found.learnt, sha256=f"{seed:064x}")
        better = found.verdict.answer == "better"
        if better:
            self.model = learnt if found.candidate is None else found.model
        self._aside = None if self.model is learnt else learnt
        candidate = mean_dice(learnt, self.study.val, self.study.threads)
        return {
            "verdict": found.verdict.answer, "reason": found.verdict.reason,
            "kept_aside_before": found.candidate is not None,
            "candidate": candidate, "cpu_seconds": seconds,
        }  # fmt: skip

    def lessons(self) -> list[Evidence]:
        """Return all that may be learnt from."""
        names = self.model.card.class_names
        return [piece for image in self.ids for piece in self.project.to_learn(image, names)]

    def _look(self, number: int) -> Desk:
        """Return an image with what the active model finds; nothing new is found in opened ones."""
        plane, levels = self._planes[number], self._levels[number]
        if number not in self._left:
            return Desk(np.zeros((1, *levels.shape)), plane, np.zeros_like(levels), levels)
        options = PredictOptions(device="cpu", threads=self.study.threads)
        found = finish(predict(self.model, self.study.train[number][0], options))
        return Desk(found.probability, plane, found.classes(), levels)

    def _accept(self, number: int, desk: Desk) -> None:
        corrected = Corrected(self.study.train[number][0], desk.mask, desk.levels)
        names = self.model.card.class_names
        self.ids.append(finish(accept(self.project, self.model, corrected, names)))


def plane_of(image: ImageData, model: Model) -> NDArray[np.float32]:
    """Return an image of a single plane as the network reads it, shape (H, W, C)."""
    window, _ = measure_window(image, model.card.percentiles)
    channels = model.network.config.in_channels
    return normalise(to_channels(image.plane(()), channels, image.name), window)


def ours(study: Study, arm: str, folder: Path, peers: dict[str, Teach]) -> Iterator[Row]:
    """Yield the rounds of one arm, and after each what the peers make of its corrections."""
    choices: dict[str, Choice] = {
        "next": Suggested(), "random": Random(study.seed), "nth": EveryNth(study.images),
    }  # fmt: skip
    office = Office(study, choices[arm], folder / arm)
    planes: Planes = [(plane_of(image, study.model), mask) for image, mask in study.val]
    dice = aside = mean_dice(study.model, study.val, study.threads)
    yield {"arm": arm, "round": 0, "minutes": 0.0, "dice": dice}
    for number in range(1, study.images // study.per_retrain + 1):
        chosen = office.work()
        found = office.retrain(study.seed + number)
        dice, aside = active_dice(found, dice, aside), found.get("candidate", aside)
        about = {"round": number, "minutes": office.minutes}
        yield {"arm": arm, **about, "dice": dice, "choosing_cpu_seconds": chosen, **found}
        lessons = office.lessons()
        for name, teach in peers.items():
            start = time.process_time()
            network = teach(lessons, replace(study.tuning, seed=study.seed + number))
            seconds = time.process_time() - start
            reached = peer_dice(network, planes)
            yield {"arm": name, **about, "dice": reached, "cpu_seconds": seconds}


def active_dice(found: Row, before: float, aside: float) -> float:
    """Return the Dice of the active model after a retrain.

    Parameters
    ----------
    found : dict
        From `Office.retrain`.
    before, aside : float
        Of the model that was active, and of the candidate before this one.
    """
    if found["verdict"] != "better":
        return before
    return float(aside if found["kept_aside_before"] else found["candidate"])


def from_scratch(study: Study) -> Teach:
    """Return how our network is trained anew, from random weights."""

    def teach(lessons: Sequence[Evidence], tuning: FinetuneOptions) -> nn.Module:
        torch.manual_seed(tuning.seed)
        network = build_network(study.model.network.config)
        train_peer(network, lessons, tuning)
        return network

    return teach


def unet(study: Study, own: Sequence[Pair], seconds: float) -> Teach:
    """Return how a U-Net goes on learning; it starts with some seconds on other images."""
    torch.manual_seed(study.seed)
    network = PlainUNet(SMALL)
    if own:
        before = [_whole(n, pair, study.model) for n, pair in enumerate(own)]
        train_peer(network, before, replace(study.tuning, seconds=seconds))

    def teach(lessons: Sequence[Evidence], tuning: FinetuneOptions) -> nn.Module:
        train_peer(network, lessons, tuning)
        return network

    return teach


def _whole(number: int, pair: Pair, model: Model) -> Evidence:
    """Return an image with its full mask as evidence."""
    truth = (pair[1] > 0).astype(np.uint8)
    levels = np.full(truth.shape, REVIEWED, np.uint8)
    return Evidence(str(number), 0, plane_of(pair[0], model), truth, levels)


def summarise(rows: Sequence[Row]) -> Row:
    """Return the last and the best Dice of each arm, and after how many minutes who had them."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    first = next(arm for arm in arms if arm in OURS)
    summary: Row = {"start": rows[0]["dice"]}
    for arm in arms:
        curve = [row for row in rows if row["arm"] == arm and row["round"]]
        last = curve[-1]
        best = max(row["dice"] for row in curve)
        summary[arm] = {
            "dice": last["dice"],
            "best dice": best,
            "minutes until it had that": minutes_to(rows, arm, best),
            f"minutes until {first} had that": minutes_to(rows, first, best),
            "dice, mean of the rounds": float(np.mean([row["dice"] for row in curve])),
            "minutes": last["minutes"],
            f"minutes until {first} had this Dice": minutes_to(rows, first, last["dice"]),
            "cpu seconds per retrain": float(np.mean([row["cpu_seconds"] for row in curve])),
        }
    return summary


def minutes_to(rows: Sequence[Row], arm: str, dice: float) -> float | None:
    """Return the minutes after which an arm first reached a Dice; None if it never did."""
    reached = (row["minutes"] for row in rows if row["arm"] == arm and row["dice"] >= dice)
    return next(reached, None)


def run(parsed: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Yield the rows of all arms."""
    torch.set_num_threads(parsed.threads)
    study = Study(
        start_model(parsed.model),
        read_tiles(parsed.data, "train", parsed.pool, parsed.side),
        read_tiles(parsed.data, "val", parsed.val, parsed.side),
        FinetuneOptions(seconds=parsed.seconds, crop=parsed.crop),
        parsed.images, parsed.per_retrain, parsed.person_seconds, parsed.seed, parsed.threads,
    )  # fmt: skip
    peers: dict[str, Teach] = {}
    if "scratch" in parsed.arms:
        peers["scratch"] = from_scratch(study)
    if "unet" in parsed.arms:
        own = read_tiles(parsed.own, "train", parsed.own_images, parsed.side) if parsed.own else []
        peers["unet"] = unet(study, own, parsed.own_seconds)
    for number, arm in enumerate(arm for arm in OURS if arm in parsed.arms):
        yield from ours(study, arm, folder, peers if number == 0 else {})


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--own", type=Path, help="folder that the U-Net starts on")
    parser.add_argument("--own-seconds", type=float, default=60)
    parser.add_argument("--own-images", type=int, default=100)
    parser.add_argument("--arms", nargs="+", default=[*OURS, "scratch", "unet"])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--images", type=int, default=8, help="that the person opens")
    parser.add_argument("--per-retrain", type=int, default=1, help="images between two retrains")
    parser.add_argument("--pool", type=int, default=24, help="images to choose from")
    parser.add_argument("--val", type=int, help="images to measure on, by default all")
    parser.add_argument("--side", type=int, help="of squares that images are cut into")
    parser.add_argument("--person-seconds", type=float, default=120, help="per image")
    parser.add_argument("--seconds", type=float, default=15, help="of each retrain")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in run(parsed, Path(folder)):
            rows.append(row)
            print(json.dumps(row), flush=True)
    summary = summarise(rows)
    print(json.dumps(summary, indent=2))
    if parsed.json is not None:
        settings = {name: str(value) for name, value in vars(parsed).items()}
        figures = {"settings": settings, "rows": rows, "summary": summary}
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
