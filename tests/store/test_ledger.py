"""The hold-out ledger: what is written stays, what is damaged is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.engine.holdout import Deal
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.ledger import (
    FILE_NAME,
    Entry,
    Ledger,
    Made,
    fingerprint,
    read_ledger,
    write_ledger,
)
from tests.corrected import model

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)


def ledger() -> Ledger:
    blocks = {(0, 0): False, (0, 1): True}
    return (
        Ledger()
        .with_entry("b", Entry(Deal((30, 40), "blocks", blocks, inside=1)))
        .with_model(model().card, frozenset({"x", "y"}))
        .with_entry("a", Entry(Deal((30, 40), "judge")))
    )


def test_what_was_written_is_read_in_the_same_order(tmp_path: Path) -> None:
    kept = ledger()
    write_ledger(tmp_path, kept)
    assert read_ledger(tmp_path) == kept
    assert list(read_ledger(tmp_path).entries) == ["b", "a"]
    assert read_ledger(tmp_path).made == {fingerprint(model().card): Made(1, frozenset({"x", "y"}))}
    assert kept.learnt(model().card) == {"x", "y"}
    assert kept.learnt(model(seed=7).card) == frozenset()


def test_an_older_ledger_knows_how_many_images_there_were_and_not_what_was_learnt(
    tmp_path: Path,
) -> None:
    write_ledger(tmp_path, ledger())
    values = json.loads((tmp_path / FILE_NAME).read_text())
    values["content"]["made"] = {fingerprint(model().card): 1}
    content = json.dumps(values["content"], sort_keys=True).encode()
    values["sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    assert read_ledger(tmp_path).made == {fingerprint(model().card): Made(1)}


def test_a_ledger_without_models_is_read(tmp_path: Path) -> None:
    """As older ones are."""
    write_ledger(tmp_path, ledger())
    values = json.loads((tmp_path / FILE_NAME).read_text())
    del values["content"]["made"]
    content = json.dumps(values["content"], sort_keys=True).encode()
    values["sha256"] = hashlib.sha256(content).hexdigest()
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    assert read_ledger(tmp_path) == replace(ledger(), salt=values["content"]["salt"], made={})


def test_a_folder_without_a_ledger_has_an_empty_one() -> None:
    assert read_ledger(Path("nowhere")).entries == {}


def test_equal_images_have_equal_ids_in_a_ledger_and_others_elsewhere() -> None:
    here, elsewhere = Ledger(), Ledger()
    assert here.image_id(IMAGE) == here.image_id(IMAGE.copy(order="F"))
    assert here.image_id(IMAGE) != elsewhere.image_id(IMAGE)


@pytest.mark.parametrize("other", [IMAGE + 1, IMAGE.reshape(4, 3), IMAGE.astype(np.int8)])
def test_other_pixels_shapes_and_types_have_other_ids(other: np.ndarray) -> None:
    here = Ledger()
    assert here.image_id(IMAGE) != here.image_id(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "not valid JSON"),
        (lambda text: text.replace("true", "false"), "checksum does not match"),
        (lambda text: text.replace('"judge"', '"train"'), "checksum does not match"),
        (lambda text: "[]", "is damaged"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "has format 2"),
    ],
)
def test_a_changed_ledger_is_refused_and_nothing_dealt_anew(
    tmp_path: Path, change: object, message: str
) -> None:
    write_ledger(tmp_path, ledger())
    path = tmp_path / FILE_NAME
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(ModelFileError, match=message):
        read_ledger(tmp_path)


@pytest.mark.parametrize("key", ["use", "shape", "blocks", "inside"])
def test_an_entry_that_lacks_something_is_refused(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ledger(tmp_path, ledger())
    path = tmp_path / FILE_NAME
    values = json.loads(path.read_text())
    del values["content"]["images"]["a"][key]
    path.write_text(json.dumps(values))
    monkeypatch.setattr("napari_rwkvseg.store.ledger._checksum", lambda _: values["sha256"])
    with pytest.raises(ModelFileError, match="an entry cannot be read"):
        read_ledger(tmp_path)
