"""The benchmark of the simulated person: it runs, and its figures add up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import human_loop
from benchmarks.human_loop import active_dice, minutes_to, summarise
from benchmarks.peer_training import peer_dice, train_peer
from benchmarks.peers import PlainUNet
from tests.benchmarks.folders import folder_of_discs, small_model
from tests.corrected import QUICK, corrected, network


def test_every_arm_is_followed_over_the_rounds(tmp_path: Path) -> None:
    data = folder_of_discs(tmp_path / "data", ["train"] * 4 + ["val"])
    start, out = small_model(tmp_path / "start.safetensors"), tmp_path / "figures.json"
    paths = ["--data", str(data), "--own", str(data), "--model", str(start), "--json", str(out)]
    sizes = ["--images", "4", "--per-retrain", "2", "--seconds", "0.1", "--own-seconds", "0.1"]
    human_loop.main([*paths, *sizes, "--arms", "next", "nth", "scratch", "--crop", "32"])

    figures = json.loads(out.read_text(encoding="utf-8"))
    rounds = [(row["arm"], row["round"]) for row in figures["rows"]]
    first = [("next", 0), ("next", 1), ("scratch", 1), ("next", 2), ("scratch", 2)]
    assert rounds == [*first, ("nth", 0), ("nth", 1), ("nth", 2)]
    minutes = [row["minutes"] for row in figures["rows"] if row["arm"] == "next"]
    assert 0 == minutes[0] < minutes[1] < minutes[2]
    assert set(figures["summary"]) == {"start", "next", "scratch", "nth"}


def test_the_summary_says_when_ours_had_the_dice_of_the_others() -> None:
    def row(arm: str, number: int, dice: float) -> dict[str, object]:
        return {
            "arm": arm, "round": number, "minutes": 2.0 * number, "dice": dice, "cpu_seconds": 3.0,
        }  # fmt: skip

    rows = [row("next", n, dice) for n, dice in enumerate((0.1, 0.5, 0.8))]
    rows += [row("scratch", n, dice) for n, dice in ((1, 0.6), (2, 0.4))]
    found = summarise(rows)
    assert found["scratch"]["minutes"] == 4
    assert found["scratch"]["minutes until next had this Dice"] == 2
    assert found["scratch"]["best dice"] == 0.6
    assert found["scratch"]["minutes until it had that"] == 2
    assert found["scratch"]["minutes until next had that"] == 4
    assert found["next"]["dice, mean of the rounds"] == pytest.approx(0.65)
    assert minutes_to(rows, "next", 0.9) is None


@pytest.mark.parametrize(
    ("verdict", "kept_aside_before", "expected"),
    [("better", False, 0.7), ("better", True, 0.6), ("cannot tell", False, 0.5)],
)
def test_a_model_proven_later_keeps_the_dice_that_it_had(
    verdict: str, kept_aside_before: bool, expected: float
) -> None:
    found = {"verdict": verdict, "kept_aside_before": kept_aside_before, "candidate": 0.7}
    assert active_dice(found, before=0.5, aside=0.6) == expected
    assert active_dice({"verdict": "too few"}, before=0.5, aside=0.6) == 0.5


def test_a_peer_learns_from_corrections() -> None:
    torch.manual_seed(0)
    planes = [corrected(seed) for seed in range(2)]
    val = [(plane.image, plane.truth) for plane in (corrected(7), corrected(8))]
    peer = PlainUNet((4, 8))
    color = [replace(plane, image=plane.image.repeat(3, axis=2)) for plane in planes]
    before = peer_dice(peer.eval(), [(image.repeat(3, axis=2), mask) for image, mask in val])
    steps = train_peer(peer, color, replace(QUICK, steps=40, rate=1e-2))
    after = peer_dice(peer, [(image.repeat(3, axis=2), mask) for image, mask in val])
    assert steps == 40
    assert not peer.training
    assert after > max(0.9, before)


def test_a_peer_stops_when_the_seconds_are_over() -> None:
    ticks = iter(range(100))
    options = replace(QUICK, steps=None, seconds=5.0)
    assert train_peer(network(), [corrected()], options, lambda: float(next(ticks))) == 4


def test_dice_of_a_peer_is_that_of_the_whole_image_whatever_its_sides() -> None:
    plane = corrected(size=50)
    assert peer_dice(network(), [(plane.image, plane.truth)]) > 0.99
    nothing = np.zeros_like(plane.truth)
    assert peer_dice(network(), [(plane.image, nothing)]) == 0
