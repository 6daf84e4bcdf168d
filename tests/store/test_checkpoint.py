"""A training run's state survives, and damage or another run's state is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.checkpoint import Checkpoint


def test_what_was_saved_last_comes_back(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "run.safetensors", run="a")
    assert keeper.load() is None
    keeper.save({"x": torch.zeros(2)}, 1, 0.1)
    keeper.save({"x": torch.arange(2.0), "n": torch.tensor(3)}, 2, 0.25)
    loaded = keeper.load()
    assert loaded is not None
    tensors, step, best = loaded
    assert (step, best) == (2, 0.25)
    assert tensors["x"].tolist() == [0, 1]
    assert int(tensors["n"]) == 3


def test_what_came_back_does_not_hang_on_the_file(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "run.safetensors", run="a")
    keeper.save({"x": torch.ones(4096)}, 1, 0.1)
    loaded = keeper.load()
    assert loaded is not None
    with keeper.path.open("r+b") as file:  # where it is mapped, Windows could not replace it
        file.write(b"\0" * keeper.path.stat().st_size)
    assert loaded[0]["x"].sum() == 4096


def test_minus_infinity_survives_as_a_score(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "run.safetensors", run="a")
    keeper.save({"x": torch.zeros(1)}, 1, float("-inf"))
    loaded = keeper.load()
    assert loaded is not None
    assert loaded[2] == float("-inf")


def test_another_runs_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    Checkpoint(path, run="a").save({"x": torch.zeros(1)}, 1, 0.0)
    with pytest.raises(ModelFileError, match="run with other options"):
        Checkpoint(path, run="b").load()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08" + b"\x00" * 7 + b"{}      "])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a readable checkpoint"):
        Checkpoint(path, run="a").load()
