"""The benchmark of corrections on an unseen kind of image: it runs, and its figures add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from benchmarks import finetune_unseen
from napari_rwkvseg.engine.dataset import Record
from napari_rwkvseg.store.model_file import write_model
from tests.corrected import discs, model


def test_each_stage_is_scored_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["name,image,mask,split"]
    for seed, split in enumerate(("train", "train", "val")):
        image, mask = discs(seed)
        tifffile.imwrite(tmp_path / f"{seed}.tif", image)
        tifffile.imwrite(tmp_path / f"{seed}m.tif", mask)
        lines.append(f"d{seed},{seed}.tif,{seed}m.tif,{split}")
    (tmp_path / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    start, out = tmp_path / "start.safetensors", tmp_path / "figures.json"
    write_model(start, model(border=0.9))

    paths = ["--data", str(tmp_path), "--model", str(start), "--json", str(out)]
    finetune_unseen.main([*paths, "--images", "1", "2", "--seconds", "0.1", "--seeds", "0", "1"])

    figures = json.loads(out.read_text(encoding="utf-8"))
    assert (figures["n"], figures["split"]) == (1, "val")
    assert [[stage["images"] for stage in run] for run in figures["runs"]] == [[1, 2]] * 2
    assert [stage["images"] for stage in figures["stages"]] == [1, 2]
    before = figures["dice_before"]
    assert 0 < before < 1
    for stage in [stage for run in figures["runs"] for stage in run]:
        assert stage["error_gone"] == pytest.approx(1 - (1 - stage["dice"]) / (1 - before))
        assert stage["verdict"] in ("better", "cannot tell", "worse")
        assert stage["steps"] >= 1
    for number, stage in enumerate(figures["stages"]):
        alike = [run[number] for run in figures["runs"]]
        assert stage["seeds"] == 2
        assert stage["dice"] == pytest.approx((alike[0]["dice"] + alike[1]["dice"]) / 2)
        spread = abs(alike[0]["dice"] - alike[1]["dice"]) / 2**0.5
        assert stage["dice_sd"] == pytest.approx(spread, abs=1e-12)
        assert stage["longest_seconds"] == max(one["seconds"] for one in alike)
        assert stage["better"] == sum(one["verdict"] == "better" for one in alike)
    assert '"error_gone"' in capsys.readouterr().out


def test_another_seed_draws_other_images_and_none_twice() -> None:
    records = [Record(str(n), Path(f"{n}.tif"), Path(f"{n}m.tif"), "train") for n in range(20)]
    orders = [finetune_unseen.drawn(records, seed) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(record.name for record in orders[2]) == sorted(r.name for r in records)
