"""No held-out pixel ever teaches: pixels that say where they lie, through all of retraining."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leak import Drawn, count_leaks, where_it_lies
from napari_rwkvseg.engine import holdout
from napari_rwkvseg.engine.evidence import REVIEWED, Evidence
from napari_rwkvseg.engine.evidence_views import PLAIN, EvidenceSource
from tests.corrected import discs

RETRAINS = 10


def masks(count: int = RETRAINS) -> list[np.ndarray]:
    return [discs(seed)[1] for seed in range(count)]


def test_no_held_out_pixel_is_in_a_training_view_however_the_evidence_grows(
    tmp_path: Path,
) -> None:
    rows = list(count_leaks(masks(), RETRAINS, tmp_path))
    assert [row["leaks"] for row in rows] == [0] * RETRAINS
    for before, after in pairwise(rows):
        assert after["learnt_from"] >= before["learnt_from"] > 0
        assert after["held_out"] >= before["held_out"] > 0
    assert rows[-1]["learnt_from"] > 2 * rows[0]["learnt_from"]
    assert rows[-1]["held_out"] > 64 * 64  # a whole image judges by now


def test_a_leak_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout.Deal, "teaches", lambda deal, block: not deal.held_out(block))
    rows = list(count_leaks(masks(4), 4, tmp_path))
    assert rows[-1]["leaks"] > 0


def test_views_are_noted_pixel_by_pixel() -> None:
    image = where_it_lies(3, (40, 30))
    seen = np.full((40, 30), REVIEWED, np.uint8)
    source = EvidenceSource([Evidence("3", 0, image[8:], seen[8:], seen[8:])])
    drawn = Drawn()
    with drawn.watching():
        source.draw(64, PLAIN, np.random.default_rng(0))
    source.draw(64, PLAIN, np.random.default_rng(0))
    assert len(drawn) == 32 * 30
    outside, last = np.zeros((40, 30), np.uint8), np.zeros((40, 30), np.uint8)
    outside[:8] = last[39, 29] = 1
    assert drawn.among([last, last, last, outside]) == 0
    assert drawn.among([outside, outside, outside, last]) == 1


def test_coordinates_must_be_exact_in_half_precision() -> None:
    image = where_it_lies(1023, (7, 1000)).astype(np.float64) * 1024
    assert (image[6, 999] == (1023, 6, 999)).all()
    with pytest.raises(ValueError, match="below 1024"):
        where_it_lies(0, (8, 1024))
