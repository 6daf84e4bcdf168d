from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bundled import start_model
from napari_rwkvseg.errors import ModelNotFoundError
from napari_rwkvseg.store.library import Library
from tests.store.model_builders import small_model


def test_a_retrained_version_is_not_what_benchmarks_start_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path))
    before = start_model("nuclei")
    Library().install(small_model(3, parent=before.sha256), name="nuclei")
    assert Library().load("nuclei").sha256 != before.sha256
    assert start_model("nuclei").sha256 == before.sha256


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ModelNotFoundError):
        start_model("no such model")
