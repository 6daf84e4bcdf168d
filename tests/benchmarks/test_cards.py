"""Cards: scores as users get them, the spread over seeds, what failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks import cards
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


def test_the_first_model_is_written_with_scores_and_their_spread(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file, border in zip(files, (0.5, 0.9), strict=True):
        write_model(file, model(border=border))
    out = tmp_path / "discs.safetensors"
    paths = ["--models", *map(str, files), "--data", str(data), "--out", str(out)]
    cards.main([*paths, "--limits", "Squares."])
    made, first = read_model(out), read_model(files[0])
    assert (made.card.name, made.card.limits) == ("discs", "Squares.")
    assert made.card.metrics["seeds"] == 2
    assert made.card.metrics["n"] == 2
    ours, theirs = (cards.summary_of(cards.score_model(cards.load_model(f), [data])) for f in files)
    assert made.card.metrics["dice_mean"] == ours.dice_mean
    spread = np.std([ours.dice_mean, theirs.dice_mean], ddof=1)
    assert made.card.metrics["dice_seeds_sd"] == pytest.approx(spread)
    assert spread > 0
    assert replace(made.card, metrics={}, limits="") == replace(
        first.card, metrics={}, name="discs"
    )
    assert capsys.readouterr().out.count("worst: d") == 2


def test_one_seed_has_no_spread() -> None:
    metrics = cards.metrics_of([Summary(3, 0.9, 0.1, 0.8, 0.2)])
    assert metrics == {"dice_mean": 0.9, "dice_sd": 0.1, "iou_mean": 0.8, "iou_sd": 0.2, "n": 3}
