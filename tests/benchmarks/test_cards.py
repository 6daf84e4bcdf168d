"""Cards: scores as users get them, the spread over seeds, what failed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks import cards, seeds
from benchmarks.scores import score_model, summary_of
from napari_rwkvseg.api import load_model
from napari_rwkvseg.engine.metrics import Summary
from napari_rwkvseg.store.model_file import read_model, write_model
from tests.corrected import discs, model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "discs"
    folder.mkdir()
    lines = ["name,image,mask,split"]
    for seed in (0, 1):
        image, mask = discs(seed)
        tifffile.imwrite(folder / f"{seed}.tif", image)
        tifffile.imwrite(folder / f"{seed}m.tif", mask)
        lines.append(f"d{seed},{seed}.tif,{seed}m.tif,val")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_the_model_is_written_with_its_scores_and_their_spread_over_the_seeds(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out, kept = (tmp_path / name for name in ("a.safetensors", "discs.safetensors", "s"))
    write_model(file, model(border=0.5, seed=3))
    (tmp_path / "discs.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(seeds, "recipe_of", partial(seeds.recipe_of, folder=tmp_path))
    now = {"dice_mean": 0.5, "iou_mean": 0.25, "n": 2, "training": seeds.training_of("discs")}
    # of its own seed, and of a recipe that was another one then: they do not count
    scores = {"1": now, "2": {**now, "dice_mean": 0.1, "training": "before"}, "3": now}
    kept.write_text(json.dumps({"discs": scores, "other": {}}), encoding="utf-8")
    paths = ["--model", str(file), "--data", str(data), "--out", str(out), "--seeds", str(kept)]
    cards.main([*paths, "--limits", "Squares."])
    made, first = read_model(out), read_model(file)
    assert (made.card.name, made.card.limits) == ("discs", "Squares.")
    assert made.card.metrics["seeds"] == 2
    assert made.card.metrics["n"] == 2
    ours = summary_of(score_model(load_model(file), [data]))
    assert made.card.metrics["dice_mean"] == ours.dice_mean
    spread = np.std([ours.dice_mean, 0.5], ddof=1)
    assert made.card.metrics["dice_seeds_sd"] == pytest.approx(spread)
    assert made.card.metrics["iou_seeds_mean"] == pytest.approx((ours.iou_mean + 0.25) / 2)
    assert spread > 0
    assert replace(made.card, metrics={}, limits="") == replace(
        first.card, metrics={}, name="discs"
    )
    assert capsys.readouterr().out.count("worst: d") == 2


def test_the_words_of_a_recipe_go_before_those_of_the_model(tmp_path: Path, data: Path) -> None:
    file, out, recipe = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "r.json"))
    write_model(file, model(border=0.5, size="tiny", limits="Squares."))
    words = {"title": "Discs", "modality": "drawn anew", "frame_side": 40}
    recipe.write_text(json.dumps({"card": words, "training": {"size": "base"}}), encoding="utf-8")
    paths = ["--model", str(file), "--data", str(data), "--out", str(out)]
    cards.main([*paths, "--recipe", str(recipe), "--seeds", str(tmp_path / "none.json")])
    made = read_model(out).card
    assert (made.title, made.modality, made.frame_side) == ("Discs (tiny)", "drawn anew", 40)
    assert (made.limits, made.class_names, made.size) == ("Squares.", ("disc",), "tiny")


def test_one_seed_has_no_spread() -> None:
    metrics = cards.metrics_of(Summary(3, 0.9, 0.1, 0.8, 0.2), [])
    assert metrics == {"dice_mean": 0.9, "dice_sd": 0.1, "iou_mean": 0.8, "iou_sd": 0.2, "n": 3}


def test_a_tiny_model_without_a_recipe_of_its_own_follows_that_of_base(tmp_path: Path) -> None:
    for name in ("a", "b", "b-tiny"):
        (tmp_path / f"{name}.json").write_text("{}", encoding="utf-8")
    assert seeds_of("a", tmp_path) == ("a.json", {})
    assert seeds_of("a-tiny", tmp_path) == ("a.json", {"size": "tiny"})
    assert seeds_of("b-tiny", tmp_path) == ("b-tiny.json", {})


def seeds_of(name: str, folder: Path) -> tuple[str, dict[str, str]]:
    recipe, changes = seeds.recipe_of(name, folder)
    return recipe.file, changes


def test_seeds_are_trained_once_and_their_scores_kept(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index = data / "index.csv"
    lines = index.read_text("utf-8").splitlines()
    index.write_text("\n".join([*lines, lines[1].replace("val", "train")]), encoding="utf-8")
    training = {"size": "tiny", "steps": 2, "crop": 32, "batch": 1}
    (tmp_path / "discs.json").write_text(json.dumps({"training": training}), encoding="utf-8")
    monkeypatch.setattr(seeds, "recipe_of", partial(seeds.recipe_of, folder=tmp_path))
    scores, folder = tmp_path / "scores.json", tmp_path / "models"
    scores.write_text(json.dumps({"other": {"1": {"dice_mean": 0.5}}}), encoding="utf-8")
    command = ["discs", "--data", str(data), "--folder", str(folder), "--json", str(scores)]
    seeds.main([*command, "--seeds", "1"])
    seeds.main([*command, "--seeds", "1", "2"])
    assert capsys.readouterr().out.count("Dice") == 2  # seed 1 was not trained again
    kept = seeds.read_scores(scores)
    assert kept["other"] == {"1": {"dice_mean": 0.5}}
    assert list(kept["discs"]) == ["1", "2"]
    file = folder / f"discs-{seeds.training_of('discs')}-seed2.safetensors"
    again = summary_of(score_model(load_model(file), [data]))
    assert kept["discs"]["2"]["dice_mean"] == pytest.approx(again.dice_mean)
    assert kept["discs"]["2"]["n"] == 2
    assert read_model(file).card.seed == 2
    other = {"training": {**training, "steps": 1}}
    (tmp_path / "discs.json").write_text(json.dumps(other), encoding="utf-8")
    seeds.main([*command, "--seeds", "1"])
    assert capsys.readouterr().out.count("Dice") == 1  # that of the old recipe is replaced
    assert seeds.read_scores(scores)["discs"]["1"]["training"] == seeds.training_of("discs")
