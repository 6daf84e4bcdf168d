"""The benchmark of where `suggest` leads: errors are counted in the blocks that it names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import next_places
from benchmarks.next_places import first_blocks, measure, unsure_blocks
from benchmarks.simulated_user import Desk, EveryNth, Suggested
from napari_rwkvseg.engine.holdout import block_areas
from napari_rwkvseg.engine.image import interpret
from tests.benchmarks.folders import folder_of_discs, small_model
from tests.corrected import discs, model

AREAS = block_areas((64, 64))


def desk() -> Desk:
    probability = np.zeros((1, 64, 64), np.float16)
    for number, area in enumerate((AREAS[0, 3], AREAS[2, 2])):
        probability[0][area] = 0.5 - 0.1 * number
    nothing = np.zeros((64, 64), np.uint8)
    return Desk(probability, discs()[0][..., None], nothing, nothing)


def test_the_least_sure_blocks_come_first() -> None:
    assert unsure_blocks(desk(), 2) == [AREAS[0, 3], AREAS[2, 2]]
    assert first_blocks(Suggested(), desk(), 2) == [AREAS[0, 3], AREAS[2, 2]]
    assert not desk().levels.any()


def test_there_are_no_more_than_all_blocks() -> None:
    assert len(first_blocks(EveryNth(1), desk(), 99)) == len(AREAS)


def test_errors_are_counted_where_each_way_leads() -> None:
    image, mask = discs()
    image[:] = np.where(mask > 0, 0.9, 0.1)
    image[AREAS[1, 2]] = 0.5  # right on the border: the model is unsure, and wrong here alone
    image[0, :2] = 0, 1
    truth = mask.copy()
    truth[AREAS[1, 2]] = 0
    found = measure(model(border=0.499), [(interpret(image, name="drawn", axes="yx"), truth)], 1)
    assert found["uncertainty"] > 0.9
    assert found["suggest"] == found["uncertainty"]
    assert found["mean"] == pytest.approx(found["suggest"] / 16, abs=0.002)
    assert found["first quarter of the ranked images"] == pytest.approx(found["mean"])


def test_every_folder_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [folder_of_discs(tmp_path / name, ["train"] * 2) for name in "ab"]
    start, out = small_model(tmp_path / "start.safetensors", 0.5), tmp_path / "figures.json"
    paths = ["--data", *map(str, folders), "--model", str(start), "--json", str(out)]
    next_places.main(paths)
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert set(figures) == {"a", "b"}
    assert figures["a"]["n"] == 2
    assert "every n-th" in capsys.readouterr().out
