from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.correct.bench import CorrectBench


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path / "data"))


@pytest.fixture
def it(tmp_path: Path) -> Iterator[CorrectBench]:
    bench = CorrectBench(tmp_path)
    yield bench
    bench.learning.cancel()  # one that goes on would keep Python's garbage collector at rest
