from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # same bits everywhere; before torch is imported
os.environ["TRITON_INTERPRET"] = "1"  # no GPU is needed; before triton is imported

import pytest

from napari_rwkvseg.engine.card import Model
from tests.fakes import fake_model as build_fake_model


@pytest.fixture
def fake_model() -> Model:
    """A model that finds what is bright; see `tests.fakes` for variants."""
    return build_fake_model()
