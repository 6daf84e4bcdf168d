"""Words and places of the small parts of the Correct tab."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.engine.judge import ClassScore, PartScore, Verdict
from napari_rwkvseg.engine.metrics import Overlap
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.widgets.correct.accept_box import count_text
from napari_rwkvseg.widgets.correct.card_view import explanation
from napari_rwkvseg.widgets.correct.curve_plot import HEIGHT, CurvePlot, smoothed
from napari_rwkvseg.widgets.correct.retrain_box import about
from napari_rwkvseg.widgets.correct.score_table import ScoreTable
from napari_rwkvseg.widgets.correct.version_list import version_text, version_tip
from napari_rwkvseg.workflow.correct import Curves
from tests.corrected import model


def part(old: float = 0.5, new: float = 0.75, n: int = 4) -> PartScore:
    score = ClassScore("disc", Overlap(old, 0.4), Overlap(new, 0.6), 0.1, 0.3, 4, True)
    return PartScore(n, 1234, (score,), old, new, 0.1, 0.3, n, new - old, 0.0, 1)


def test_counts_are_said_with_units() -> None:
    text = count_text(EvidenceCount(1204, 64332, 0))
    assert text == "1,204 px changed · 64,332 px accepted · 0 px not looked at"


@pytest.mark.parametrize(
    ("images", "words"), [(0, "Nothing to learn"), (1, "Learns from 1 image;"), (3, "3 images;")]
)  # fmt: skip
def test_the_button_is_explained(images: int, words: str) -> None:
    assert words in about(images, "small")


def test_scores_are_old_and_new_with_the_interval_as_tooltip(qtbot: QtBot) -> None:
    table = ScoreTable()
    qtbot.addWidget(table)
    table.show_verdict(Verdict("better", "", part()))
    assert table.texts() == ["disc", "Dice", "0.500 → 0.750", "IoU", "0.400 → 0.600"]
    tip = table.layout().itemAt(2).widget().toolTip()
    assert tip == "disc: Dice +0.250, 90 % interval +0.100 to +0.300"


def test_the_explanation_names_blocks_pixels_interval_and_replay() -> None:
    text = explanation(Verdict("cannot tell", "", part(), part(0.9, 0.8, 2)))
    assert "On 4 blocks (1,234 px)" in text
    assert "Gain +0.250, 90 % interval +0.100 to +0.300" in text
    assert "Accept more" in text
    assert "Dice 0.900 → 0.800 (2 blocks)" in text


def test_the_explanation_says_where_nothing_is_to_be_found() -> None:
    assert "mean of" not in explanation(Verdict("better", "", part()))
    text = explanation(Verdict("better", "", replace(part(), empty=2)))
    assert "Dice is the mean of 3 images, in 2 of which there is nothing to find." in text


def test_the_last_step_lies_at_the_right_and_the_highest_value_at_the_top(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    plot.resize(200, HEIGHT)
    plot.show_curves(Curves(((1, 2.0),), (), planned=50))
    area = plot.area
    assert plot.place((50, 2.0), 2.0) == area.topRight()
    assert plot.place((0, 0.0), 2.0) == area.bottomLeft()
    assert plot.place((25, 1.0), 2.0) == area.center()
    assert not plot.grab().isNull()


def test_the_drawn_loss_starts_at_the_first_value_and_follows_slowly() -> None:
    assert smoothed(((1, 1.0), (2, 0.0))) == ((1, 1.0), (2, pytest.approx(0.8)))
    assert smoothed(()) == ()


def test_versions_are_told_apart(tmp_path: Path) -> None:
    library = Library(tmp_path / "own", tmp_path / "none")
    scores = {"held_out_dice": 0.9123, "held_out_dice_before": 0.85, "blocks": 4}
    made = model(created="2025-02-01", metrics=scores, parent="b" * 64)
    version = library.install(made)
    assert version_text(2, version) == "2 · 2025-02-01 · in use\nDice 0.850 → 0.912"
    tip = version_tip(version)
    assert "Made from bbbbbbbb" in tip
    assert "4 held-out blocks" in tip


def test_a_picture_of_differences_keeps_single_pixels() -> None:
    from napari_rwkvseg.workflow.correct.difference import LONGEST, ONLY_NEW, draw

    kinds = np.zeros((2 * LONGEST, LONGEST), np.uint8)
    kinds[701, 301] = ONLY_NEW
    picture = draw(np.zeros((*kinds.shape, 1), np.float32), kinds)
    assert picture.shape == (LONGEST, LONGEST // 2, 3)
    assert np.argwhere(picture.any(axis=-1)).tolist() == [[350, 150]]
    assert picture[350, 150].tolist() == [34, 147, 136]
