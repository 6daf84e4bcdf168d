"""A corrected plane on disk: all or nothing, checked, nameless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.evidence_file import (
    in_classes,
    read_checksum,
    read_evidence,
    write_evidence,
)
from napari_rwkvseg.store.model_file import read_model, write_model
from tests.corrected import corrected, model


def plane() -> Evidence:
    made = corrected(3)
    truth, levels = made.truth.copy(), made.levels.copy()
    truth[0, :3], levels[0, :3] = [255, 0, 7], [CHANGED, UNSEEN, REVIEWED]
    return replace(made, image=made.image.astype(np.float16), truth=truth, levels=levels, plane=4)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plane.safetensors"
    sha256 = write_evidence(path, plane(), ["disc", "ring"])
    stored = read_evidence(path)
    assert (stored.evidence.image == plane().image).all()
    assert (stored.evidence.truth == plane().truth).all()
    assert (stored.evidence.levels == plane().levels).all()
    assert (stored.evidence.image_id, stored.evidence.plane) == ("image 3", 4)
    assert stored.class_names == ("disc", "ring")
    assert stored.sha256 == sha256 == read_checksum(path)


def test_equal_planes_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        write_evidence(tmp_path / name, plane(), ["disc"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_changed_bytes_and_cuts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plane.safetensors"
    write_evidence(path, plane(), ["disc"])
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelFileError, match=r"plane\.safetensors"):
            read_evidence(path)
        path.write_bytes(whole[:place])
        with pytest.raises(ModelFileError, match=r"plane\.safetensors"):
            read_evidence(path)


def test_a_model_is_no_correction_and_a_correction_no_model(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_model(path, model())
    with pytest.raises(ModelFileError, match="holds no corrections"):
        read_evidence(path)
    write_evidence(path, plane(), ["disc"])
    with pytest.raises(ModelFileError, match=r"file\.safetensors"):
        read_model(path)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plane.safetensors"
    monkeypatch.setattr("napari_rwkvseg.store.evidence_file.SCHEMA", 2)
    write_evidence(path, plane(), ["disc"])
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"has format 2, this version reads 1\. Update"):
        read_evidence(path)


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="has 256 classes"):
        write_evidence(tmp_path / "p", plane(), [f"class {n}" for n in range(256)])
    assert list(tmp_path.iterdir()) == []


def small(tmp_path: Path, names: list[str], wanted: list[str]) -> tuple[list[int], list[int]]:
    """Classes and levels of a plane of three pixels of class 0, 1, 2 in other classes."""
    truth = np.array([[0, 1, 2]], np.uint8)
    levels = np.full((1, 3), REVIEWED, np.uint8)
    evidence = Evidence("id", 0, np.zeros((1, 3, 1)), truth, levels)
    write_evidence(tmp_path / "p", evidence, names)
    found = in_classes(read_evidence(tmp_path / "p"), wanted)
    return found.truth[0].tolist(), found.levels[0].tolist()


def test_classes_are_followed_by_name(tmp_path: Path) -> None:
    assert small(tmp_path, ["a", "b"], ["b", "a"]) == ([0, 2, 1], [REVIEWED] * 3)
    assert small(tmp_path, ["a", "b"], ["a", "b"]) == ([0, 1, 2], [REVIEWED] * 3)


def test_a_class_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert small(tmp_path, ["a", "b"], ["b"])[1] == [REVIEWED, UNSEEN, REVIEWED]


def test_background_says_nothing_about_a_class_that_was_not_known(tmp_path: Path) -> None:
    found = small(tmp_path, ["a", "b"], ["a", "b", "new"])
    assert found == ([0, 1, 2], [UNSEEN, REVIEWED, REVIEWED])
