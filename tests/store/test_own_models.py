"""A folder of own models that cannot be entered."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from tests.store.model_builders import small_model


def test_bundled_models_need_no_folder_of_own_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bundled").mkdir()
    write_model(tmp_path / "bundled" / "cells.safetensors", small_model())
    is_dir = Path.is_dir

    def refused(path: Path) -> bool:
        if path.name == "own":
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refused)
    library = Library(tmp_path / "own", bundled=tmp_path / "bundled")
    assert library.names() == ("cells",)
    assert library.load("cells").card.name == "cells"
    assert "cannot be entered" in caplog.text
