"""Small data folders for the tests of benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tifffile

from napari_rwkvseg.store.model_file import write_model
from tests.corrected import discs, model


def folder_of_discs(folder: Path, splits: Sequence[str], size: int = 64, first: int = 0) -> Path:
    """Write images of discs with masks, one per entry of `splits`, and their index."""
    folder.mkdir()
    lines = ["name,image,mask,split"]
    for seed, split in enumerate(splits, start=first):
        image, mask = discs(seed, size)
        tifffile.imwrite(folder / f"{seed}.tif", image)
        tifffile.imwrite(folder / f"{seed}m.tif", mask)
        lines.append(f"d{seed},{seed}.tif,{seed}m.tif,{split}")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def small_model(path: Path, border: float = 0.9) -> Path:
    """Write a model that calls bright what is above the border."""
    write_model(path, model(border=border))
    return path
