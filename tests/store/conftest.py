from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from tests.store.journaling import Painter
from tests.store.model_builders import small_model


@pytest.fixture
def library(tmp_path):
    """An empty library beside one bundled model, `nuclei`."""
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    write_model(bundled / "nuclei.safetensors", small_model(seed=99, name="nuclei"))
    return Library(tmp_path / "own", bundled)


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    """Let every painter die with its test."""
    yield
    while Painter.living:
        Painter.living.pop().die()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder of all journals."""
    return tmp_path / "autosave"


@pytest.fixture
def it(root: Path) -> Painter:
    """A mask and its journal."""
    return Painter(root)
