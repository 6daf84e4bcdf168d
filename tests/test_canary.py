"""Nothing that is written by itself says whose image it was: a name is planted and looked for."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import tifffile
from napari.layers._source import layer_source

from napari_rwkvseg.adapters.readers import read_layers
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.store.library import DATA_VARIABLE, Library, data_folder
from napari_rwkvseg.store.recovery import find_unclean
from napari_rwkvseg.store.retraining import RetrainOptions, keep, retrain_model
from napari_rwkvseg.workflow.safekeeping import AUTOSAVE
from tests.corrected import LEARNING, discs, model
from tests.store.journaling import inflated
from tests.workflow.alarm import Alarm
from tests.workflow.test_safekeeping import Start

CANARY = "DOE^JANE 12345"


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An image whose path, tags, layer name and metadata name a patient."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    folder = tmp_path / CANARY
    folder.mkdir()
    image, _ = discs()
    image[0, :2] = [0, 1]
    tifffile.imwrite(folder / f"{CANARY}.tif", image, description=CANARY)
    return {"path": str(folder / f"{CANARY}.tif"), "metadata": {"patient": CANARY}}


def everything_written() -> tuple[list[str], bytes]:
    """Return the names of all files in the data folder, and all their bytes, also inflated."""
    files = [path for path in sorted(data_folder().rglob("*")) if path.is_file()]
    names = [str(path.relative_to(data_folder())) for path in files]
    return names, b"".join(inflated(path.read_bytes()) for path in files)


def assert_nowhere(text: str) -> None:
    for part in (CANARY, "DOE", "JANE", "12345"):
        assert part not in text


def test_a_day_with_a_named_image_leaves_no_name(
    opened: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "napari_rwkvseg")
    start = Start(data_folder() / AUTOSAVE, Alarm(), model(border=0.9))
    ((array, keywords, _),) = read_layers(opened["path"])
    keywords["metadata"].update(opened["metadata"])
    with layer_source(path=opened["path"]):
        layer = start.bench.viewer.add_image(array, **keywords)
    assert CANARY in layer.name
    mask = start.bench.run()
    start.paint(mask, 3, label=7)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        start.paint(mask, 4, label=7)
    start.paint(mask, 5, label=7)
    start.die()
    found = find_unclean(data_folder() / AUTOSAVE, layer.data, mask.data.shape)
    assert found is not None
    assert found.strokes == 3

    retrain(start, mask)
    names, content = everything_written()
    kinds = {Path(name).parts[0] for name in names}
    assert kinds == {"autosave", "corrections", "models"}
    assert "a journal could not be written: Input/output error" in caplog.text
    assert_nowhere("".join(names) + caplog.text)
    for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
        assert CANARY.encode(encoding) not in content
        assert b"JANE" not in content
    assert b'"classes": ["disc"]' in content  # inside a compressed record: the search finds things


def refuse(_: int) -> None:
    raise OSError(5, "Input/output error", f"/home/{CANARY}")


def retrain(start: Start, mask: Any) -> None:
    """Accept the mask, retrain on it, keep the version, as the product does."""
    image = start.bench.state.reading.image
    assert image is not None
    assert CANARY in image.name
    options = RetrainOptions(tuning=LEARNING, device="cpu", threads=1)
    found = finish(retrain_model(model(border=0.9), [(image, (mask.data > 0) * 1)], options))
    keep(found, None, Library())
