from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # same bits everywhere; before torch is imported
os.environ["TRITON_INTERPRET"] = "1"  # no GPU is needed; before triton is imported

import pytest

from napari_rwkvseg.engine.card import Model
from tests.fakes import fake_model as build_fake_model

WINDOWS = ("adapters", "widgets", "workflow")  # folders of tests that share a display
SCREEN = {"make_napari_viewer", "qapp", "qtbot", "viewer"}  # and fixtures that need one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes, let one have the display, and keep the tests of a file together."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        alone = folder in WINDOWS or bool(fixtures & SCREEN)
        item.add_marker(pytest.mark.xdist_group("display" if alone else str(item.path)))


@pytest.fixture
def fake_model() -> Model:
    """A model that finds what is bright; see `tests.fakes` for variants."""
    return build_fake_model()
