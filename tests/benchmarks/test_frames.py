"""The benchmark of frames: enlarged as another camera would show them, read in two ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frames
from napari_rwkvseg.engine.dataset import read_index
from napari_rwkvseg.engine.scale import with_shrink
from napari_rwkvseg.store.model_file import write_model
from tests.benchmarks.folders import folder_of_discs
from tests.corrected import model


def test_an_enlarged_frame_keeps_its_scene(tmp_path: Path) -> None:
    record = read_index(folder_of_discs(tmp_path / "discs", ["val"]), "val")[0]
    image, mask = frames.enlarged(record, 1)
    large, larger = frames.enlarged(record, 1.5)
    assert (image.shape, mask.shape, large.shape, larger.shape) == ((64, 64),) * 2 + ((96, 96),) * 2
    assert large.dtype == image.dtype
    assert large.mean() == pytest.approx(image.mean(), rel=0.05)
    assert larger.mean() == pytest.approx(mask.mean(), rel=0.05)
    assert set(np.unique(larger)) == {0, 1}


def test_each_size_is_read_with_and_without_what_the_card_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of_discs(tmp_path / "discs", ["train", "val", "val", "val"])
    made = model(border=0.5, frame_side=16.0)  # so small that discs of that size are averaged away
    write_model(tmp_path / "m.safetensors", replace(made, network=with_shrink(made.network, 2)))
    paths = ["--model", str(tmp_path / "m.safetensors"), "--data", str(data)]
    frames.main([*paths, "--factors", "1", "2", "--every", "2"])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[:2] for line in lines] == [["1", "2"], ["2", "2"]]
    for _, _, fitted, blind in lines:
        assert float(fitted) < float(blind)
