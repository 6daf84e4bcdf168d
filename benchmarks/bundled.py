"""The models that benchmarks start from: as they came, whatever was retrained on this computer."""

from __future__ import annotations

import tempfile
from pathlib import Path

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.store.library import Library


def start_model(name_or_path: str | Path) -> Model:
    """Return a bundled model or that of a file; own versions of the name do not count.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    ModelFileError
        If the file is damaged.
    """
    with tempfile.TemporaryDirectory() as empty:
        return Library(Path(empty)).load(name_or_path)
