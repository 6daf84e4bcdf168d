"""Where a model may be written, and how it is called after its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.model_path import check_model_path, model_name
from napari_rwkvseg.store.own_models import check_name


@pytest.mark.parametrize("name", ["new.safetensors", "old.safetensors"])
def test_a_file_in_a_folder_is_fine_also_if_it_is_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "old.safetensors").touch()
    check_model_path(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"is a folder\. Name a model file \(\.safetensors\) in it"),
        ("folder.safetensors", "is a folder"),
        ("nowhere/m.safetensors", r"nowhere is no folder\. Make it"),
        ("file/m.safetensors", "file is no folder"),
        ("m", r"m is no name of a model file\. Let it end in \.safetensors"),
        ("index.csv", r"index\.csv is no name of a model file"),
        (".safetensors", "is no name of a model file"),
    ],
)
def test_other_places_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match=message):
        check_model_path(tmp_path / name)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("mine_2-b", "mine_2-b"),
        ("My Cells", "my-cells"),
        ("Größe 2", "gr-e-2"),
        ("-_a_-", "a"),
        ("v1.2", "v1-2"),
        ("名前", "own-model"),
        ("x" * 80, "x" * 64),
    ],
)
def test_the_library_takes_the_name_of_every_file(stem: str, name: str) -> None:
    assert model_name(Path(f"models/{stem}.safetensors")) == check_name(name)
