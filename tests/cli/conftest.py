"""A small real model file, and a data folder with two images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.store.model_file import write_model


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network that reads one channel."""
    torch.manual_seed(0)
    sizes = {"widths": (8,) * 4, "depths": (1,) * 4, "stem_width": 8}
    config = NetworkConfig(1, **sizes, detail_width=4)  # its decoder scans, too
    card = ModelCard(name="small", title="Small", modality="any", class_names=("thing",))
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    write_model(path, Model(build_network(config).eval(), card))
    return path


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path / "user data"))


def write_image(path: Path, seed: int = 0, shape: tuple[int, ...] = (48, 64)) -> Path:
    """A TIFF of noise with 0.5 µm pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    tifffile.imwrite(
        path, pixels, imagej=True, resolution=(2, 2), metadata={"unit": "um", "axes": "YX"}
    )
    return path


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Two validation images with masks."""
    folder = tmp_path / "data"
    lines = ["name,image,mask,split"]
    for number in (0, 1):
        write_image(folder / f"images/{number}.tif", number)
        truth = np.zeros((48, 64), np.uint8)
        truth[10:30, 10:40] = 2 + number
        (folder / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(folder / f"masks/{number}.tif", truth)
        lines.append(f"n{number},images/{number}.tif,masks/{number}.tif,val")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder
