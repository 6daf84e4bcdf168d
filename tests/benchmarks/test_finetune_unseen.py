"""The benchmark of corrections on an unseen kind of image: it runs, and its figures add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from benchmarks import finetune_unseen
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
    finetune_unseen.main([*paths, "--images", "1", "2", "--seconds", "0.1"])

    figures = json.loads(out.read_text(encoding="utf-8"))
    assert (figures["n"], figures["split"]) == (1, "val")
    assert [stage["images"] for stage in figures["stages"]] == [1, 2]
    before = figures["dice_before"]
    assert 0 < before < 1
    for stage in figures["stages"]:
        assert stage["error_gone"] == pytest.approx(1 - (1 - stage["dice"]) / (1 - before))
        assert stage["verdict"] in ("better", "cannot tell", "worse")
        assert stage["steps"] >= 1
    assert '"error_gone"' in capsys.readouterr().out
