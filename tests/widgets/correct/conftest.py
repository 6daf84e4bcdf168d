from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_rwkvseg.engine import tuner
from tests.corrected import LEARNING
from tests.widgets.correct.correcting_desk import CorrectDesk


@pytest.fixture
def desk(viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CorrectDesk:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(tuner, "FinetuneOptions", lambda: LEARNING)
    return CorrectDesk(viewer, qtbot, tmp_path)
