import pytest

from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from tests.store.model_builders import small_model


@pytest.fixture
def library(tmp_path):
    """An empty library beside one bundled model, `nuclei`."""
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    write_model(bundled / "nuclei.safetensors", small_model(seed=99, name="nuclei"))
    return Library(tmp_path / "own", bundled)
