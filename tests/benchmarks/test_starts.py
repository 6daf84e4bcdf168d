"""The benchmark of starts: each is retrained on the same images and scored on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import starts
from tests.benchmarks.folders import folder_of_discs, small_model


def cells_of(path: Path) -> dict[str, Any]:
    cells: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def test_each_start_learns_from_the_same_images_and_is_scored_on_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder_of_discs(tmp_path / "discs", ["train"] * 4 + ["val"])
    good, poor = (
        small_model(tmp_path / f"{name}.safetensors", border)
        for name, border in (("good", 0.5), ("poor", 0.9))
    )
    taught, asked = [], []
    retrain_once, dice_on = starts.retrain_once, starts.dice_on

    def retrain(model: Any, aside: Any, records: Any, *others: Any) -> Any:
        taught.append([record.name for record in records])
        return retrain_once(model, aside, records, *others)

    def score(model: Any, records: Any, threads: int) -> float:
        asked.append({record.name for record in records})
        return dice_on(model, records, threads)

    monkeypatch.setattr(starts, "retrain_once", retrain)
    monkeypatch.setattr(starts, "dice_on", score)
    models = ["--models", str(good), str(poor)]
    out = ["--json", str(tmp_path / "figures.json")]
    small = ["--images", "2", "--scored", "1", "--seconds", "0.1", "--seeds", "0"]
    starts.main(["--data", str(data), *models, *out, *small])

    assert len(taught) == 2
    assert taught[0] == taught[1]
    assert asked == [asked[0]] * 4
    assert len(asked[0]) == 1
    assert not asked[0] & {*taught[0], "d4"}
    cells = cells_of(tmp_path / "figures.json")
    assert set(cells) == {"discs/good/0", "discs/poor/0"}
    assert cells["discs/good/0"]["before"] > cells["discs/poor/0"]["before"]
    for cell in cells.values():
        assert cell["n"] == 1
        better = cell["verdict"] == "better"
        assert cell["in use"] == (cell["candidate"] if better else cell["before"])
    assert "| discs | good |" in capsys.readouterr().out

    starts.main(["--data", str(data), *models, *out, *small])
    assert len(taught) == 2  # nothing is measured twice


def test_a_draw_without_other_images_is_refused(tmp_path: Path) -> None:
    data = folder_of_discs(tmp_path / "discs", ["train", "train", "val"])
    model = small_model(tmp_path / "start.safetensors")
    with pytest.raises(SystemExit, match="discs has 2 training images"):
        starts.main(
            ["--data", str(data), "--json", str(tmp_path / "f.json"), "--models", str(model)]
        )


def test_the_table_gives_mean_and_spread_over_the_seeds() -> None:
    def cell(dice: float, verdict: str) -> dict[str, Any]:
        return {"before": 0.5, "candidate": dice, "in use": 0.5, "verdict": verdict}

    cells = {
        "discs/a/0": cell(0.6, "better"),
        "discs/a/1": cell(0.8, "worse"),
        "discs/b/0": cell(0.7, "worse"),
    }
    assert starts.table(cells)[2:] == [
        "| discs | a | 0.500 ± 0.000 | 0.700 ± 0.141 | 0.500 ± 0.000 | 1 of 2 |",
        "| discs | b | 0.500 | 0.700 | 0.500 | 0 of 1 |",
    ]
