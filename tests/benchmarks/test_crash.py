"""The programs that kill: small runs of each, and that they would notice what they look for."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import crash, crash_models, crash_painting
from benchmarks.forked import Forked, Say
from napari_rwkvseg.store import journal_tape, own_models
from tests.store.model_builders import small_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SIDE = 600


@pytest.fixture(scope="module")
def versions() -> list[crash_models.Version]:
    return crash_models.make_versions(small_model(), 6)


def test_strokes_survive_kills() -> None:
    found = crash_painting.kill_while_painting(2, SIDE)
    assert (found["kills"], found["offered"], found["broken_masks"]) == (2, 2, 0)
    assert found["lost_older_than_promise"] == 0
    assert found["strokes"] >= 6


def test_strokes_that_were_not_written_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_first(self: Any, mask: Any, numbers: Any, stamp: Any) -> int:
        return 0 if self.table else write(self, mask, numbers, stamp)

    write = journal_tape.Tape.write_tiles
    monkeypatch.setattr(journal_tape.Tape, "write_tiles", only_first)
    found = crash_painting.kill_while_painting(1, SIDE)
    assert found["lost_older_than_promise"] > 0
    assert found["oldest_lost_s"] > 1
    assert crash.broken({"painting": found}) == ["painting"]


def test_a_pixel_that_nobody_painted_is_seen() -> None:
    layer = crash_painting.new_layer(SIDE)
    for number in range(3):
        crash_painting.stroke(layer, number, seed=0)
    said = [{"number": number, "time": 100.0 + number} for number in range(3)]
    assert crash_painting.compare(layer.data, said, 110.0, seed=0) == ([], True)
    torn = layer.data.copy()
    torn[torn == crash_painting.FIRST_LABEL + 1] = 0
    lost, whole = crash_painting.compare(torn, said, 110.0, seed=0)
    assert (lost, whole) == ([9.0], False)


def test_keeping_strokes_costs_the_painter_little() -> None:
    found = crash_painting.cost_of_keeping(10, SIDE)
    assert found["with_callbacks_p95_ms"] < crash.MOST_MS
    assert found["without_callbacks_p95_ms"] == 0


def test_models_survive_kills(versions: list[crash_models.Version]) -> None:
    found = crash_models.kill_while_saving(versions, 6)
    assert crash.broken({"saving": found}) == []
    assert found["kills"] == 6


def test_a_version_that_was_not_saved_is_missed(
    versions: list[crash_models.Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: Any, name: str, sha256: str, data: bytes, activate: bool) -> Path:
        if sha256 == versions[0].sha256:
            return add(self, name, sha256, data, activate)
        time.sleep(0.01)
        return Path()

    add = own_models.OwnModels.add
    monkeypatch.setattr(own_models.OwnModels, "add", forget)
    found = crash_models.kill_while_saving(versions, 6)
    assert found["lost_versions"] > 0
    assert crash.broken({"saving": found}) == ["saving"]


def test_damaged_models_are_refused(versions: list[crash_models.Version]) -> None:
    found = crash_models.damage(versions[0], 25)
    assert found == {"flips": 25, "cuts": 25, "accepted": 0, "active_harmed": 0}


def test_programs_that_share_a_folder_lose_nothing(versions: list[crash_models.Version]) -> None:
    found = crash_models.share(versions, 3)
    assert found == {"pairs": 3, "loads": 18, "corrupt": 0, "lost": 0, "failed": 0}


def test_figures_are_written_and_a_broken_promise_is_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: list[crash_models.Version]
) -> None:
    monkeypatch.setattr(crash, "start_model", lambda name: small_model())
    monkeypatch.setattr(crash, "share", lambda *_: {"corrupt": 1, "lost": 0, "failed": 0})
    target = tmp_path / "figures.json"
    nothing = ["--painting", "0", "--saving", "0", "--strokes", "0"]
    assert crash.main([*nothing, "--damage", "2", "--pairs", "1", "--json", str(target)]) == 1
    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["broken_promises"] == ["pairs"]
    assert found["damage"]["accepted"] == 0
    assert "painting" not in found


def test_a_child_tells_what_it_did_until_it_was_killed() -> None:
    def work(say: Say) -> None:
        say(step=1)
        say(step=2)
        time.sleep(60)

    child = Forked(work)
    child.wait_for_word()
    before = time.time()
    assert child.kill() >= before
    assert [one["step"] for one in child.said()][:1] == [1]


def test_a_child_that_fails_has_a_status(capfd: pytest.CaptureFixture[str]) -> None:
    def work(say: Say) -> None:
        raise ValueError(np.pi)

    child = Forked(work)
    assert child.end() == 1
    assert child.said() == []
    assert "ValueError" in capfd.readouterr().err
