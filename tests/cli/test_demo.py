from __future__ import annotations

import pytest

from napari_rwkvseg.cli import demo, main


def test_without_qt_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    error = capsys.readouterr().err
    assert "Install napari-rwkvseg[pyqt5]" in error
    assert "Traceback" not in error
