"""The benchmark of forgetting and poison: it runs, and its figures add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import retrain_safety
from benchmarks.retrain_safety import FIRST_POISON, POISONS, poisoned_turns, summarise
from benchmarks.tiles import mean_dice, read_tiles
from tests.benchmarks.folders import folder_of_discs, small_model
from tests.corrected import discs, model


def test_all_parts_run_and_are_summed_up(tmp_path: Path) -> None:
    own = folder_of_discs(tmp_path / "own", ["train", "train", "val"])
    other = folder_of_discs(tmp_path / "other", ["train"] * 4 + ["val"], first=10)
    start = small_model(tmp_path / "start.safetensors")
    out = tmp_path / "figures.json"
    paths = ["--own", str(own), "--other", str(other), "--model", str(start), "--json", str(out)]
    sizes = ["--retrains", "1", "--known", "1", "--stream", "4", "--spoilt", "1", "--lesson", "1"]
    retrain_safety.main([*paths, *sizes, "--seconds", "0.1", "--crop", "32"])

    figures = json.loads(out.read_text(encoding="utf-8"))
    rows, summary = figures["rows"], figures["summary"]
    assert Counter(row["part"] for row in rows) == {"forgetting": 4, "poison": 4, "leak": 1}
    assert [row["labels"] for row in rows if row["part"] == "poison"][:3] == ["good"] * 3
    assert (summary["retrains"], summary["spoilt"]) == (4, 1)
    assert {"fall on the own kind, replay", "fall on the own kind, no replay"} <= set(summary)
    active = [row["before"] for row in rows if row["part"] == "poison"]
    assert active[1:] == [row["after"] for row in rows if row["part"] == "poison"][:-1]


def row(labels: str, verdict: str, before: float, candidate: float, after: float) -> dict[str, Any]:
    return {
        "part": "poison", "labels": labels, "verdict": verdict, "before": before,
        "candidate": candidate, "after": after,
    }  # fmt: skip


def test_falls_of_the_active_model_count_and_those_of_refused_ones_are_told_apart() -> None:
    found = summarise(
        [
            row("good", "better", 0.5, 0.7, 0.7),
            row("noise", "worse", 0.7, 0.2, 0.7),
            row("full", "better", 0.7, 0.69, 0.69),
        ]
    )
    assert found["largest fall"] == pytest.approx(0.01)
    assert found["falls beyond what is allowed"] == 1
    assert found["largest fall of a refused candidate"] == pytest.approx(0.5)
    assert (found["spoilt"], found["spoilt and let through"]) == (2, 1)
    assert (found["start"], found["end"]) == (0.5, 0.69)


def test_every_way_to_spoil_comes_equally_often_but_not_first() -> None:
    turns = poisoned_turns(50, 10, seed=3)
    assert Counter(turns.values()) == dict.fromkeys(POISONS, 2)
    assert min(turns) >= FIRST_POISON
    assert max(turns) < 50
    assert turns == poisoned_turns(50, 10, seed=3) != poisoned_turns(50, 10, seed=4)


def test_spoilt_masks_are_what_they_are_called() -> None:
    mask = discs()[1] * 5  # instances: any number above 0
    rng = np.random.default_rng(0)
    spoilt = {name: spoil(mask, rng) for name, spoil in POISONS.items()}
    assert (spoilt["inverted"] == (mask == 0)).all()
    assert (spoilt["shifted"][:, 16:] == mask[:, :48]).all()
    assert 0.4 < spoilt["noise"].mean() < 0.6
    assert not spoilt["empty"].any()
    assert spoilt["full"].all()


def test_images_are_cut_into_tiles_with_their_masks(tmp_path: Path) -> None:
    folder = folder_of_discs(tmp_path / "data", ["train", "val"], size=70)
    tiles = read_tiles(folder, "train", side=32)
    image, mask = discs(0, 70)
    assert len(tiles) == 4
    for tile, labels in tiles:
        assert labels.shape == tile.plane_shape == (32, 32)
        found = [
            (row, column)
            for row in (0, 32)
            for column in (0, 32)
            if (image[row : row + 32, column : column + 32] == tile.array).all()
        ]
        ((row, column),) = found
        assert (labels == mask[row : row + 32, column : column + 32]).all()
    assert [len(read_tiles(folder, "train", 3, 32)), len(read_tiles(folder, "train"))] == [3, 1]
    again = read_tiles(folder, "train", side=32)
    assert all((a[1] == b[1]).all() for a, b in zip(tiles, again, strict=True))


def test_dice_is_the_mean_over_the_images(tmp_path: Path) -> None:
    pairs = read_tiles(folder_of_discs(tmp_path / "data", ["val", "val"]), "val")
    right = mean_dice(model(border=0.5), pairs)
    assert right > 0.99
    blank = [(image, np.zeros_like(mask)) for image, mask in pairs[:1]]
    assert mean_dice(model(border=0.5), [*blank, pairs[0]]) == pytest.approx(
        mean_dice(model(border=0.5), pairs[:1]) / 2
    )
