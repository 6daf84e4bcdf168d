"""What the card says of a new model, whatever becomes of it in the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_rwkvseg.engine.judge import ClassScore, PartScore, Verdict
from napari_rwkvseg.engine.metrics import Overlap
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.widgets.correct.card_view import CardView
from napari_rwkvseg.workflow.correct import Report
from tests.corrected import model
from tests.workflow.correct.bench import CorrectBench

SCORE = ClassScore("disc", Overlap(0.5, 0.4), Overlap(0.75, 0.6), 0.1, 0.3, 4, True)
PART = PartScore(4, 1234, (SCORE,), 0.5, 0.75, 0.1, 0.3, 4, 0.25, 0.0, 1)
BETTER = Verdict("better", "", PART)


class Shown:
    """A card about a model that was just made from the one that is there."""

    def __init__(self, folder: Path, qtbot: QtBot, name: str = "small") -> None:
        self.bench = CorrectBench(folder)
        self.bench.library.install(model(name="other"))
        made = model(border=0.5, name=name, parent=self.bench.start.sha256)
        self.report = Report(
            BETTER, name, self.bench.library.install(made).sha256, made.card.parent, "small"
        )
        self.bench.workflow.reload_models(choose=name)
        self.card = CardView(self.bench.correcting)
        qtbot.addWidget(self.card)
        self.judged(BETTER)

    def judged(self, verdict: Verdict) -> None:
        self.bench.state.report = replace(self.report, verdict=verdict)
        self.bench.correcting.models.versions.read()

    def choose(self, name: str) -> None:
        self.bench.workflow.reload_models(choose=name)

    @property
    def seen(self) -> tuple[str, list[str]]:
        """The status, and the buttons that can be seen."""
        buttons = (self.card.back, self.card.trial, self.card.anyway)
        return self.card.status.text(), [one.text() for one in buttons if not one.isHidden()]


@pytest.fixture
def shown(tmp_path: Path, qtbot: QtBot) -> Shown:
    return Shown(tmp_path, qtbot)


USED = ("In use now.", ["Go back"])
OTHERS = ["Try it", "Use it anyway"]


def test_choosing_another_model_is_not_going_back(shown: Shown) -> None:
    assert shown.seen == USED
    shown.choose("other")
    assert shown.seen == USED


def test_going_back_is_told_while_any_model_is_chosen(shown: Shown) -> None:
    shown.bench.correcting.models.activate("small", shown.report.parent)
    assert shown.seen == ("You went back to the old one.", OTHERS)
    shown.choose("other")
    assert shown.seen == ("You went back to the old one.", OTHERS)


def test_damaged_corrections_that_were_left_out_are_told_on_the_card(shown: Shown) -> None:
    told = shown.card.reason.text()
    shown.bench.state.report = replace(shown.report, left_out="Something was left out.")
    assert shown.card.reason.text() == f"{told} Something was left out."


@pytest.mark.parametrize("bundled", [False, True])
def test_a_deleted_model_is_told_gone_though_one_of_that_name_came_with_the_plugin(
    shown: Shown, tmp_path: Path, bundled: bool
) -> None:
    (tmp_path / "none bundled").mkdir()
    if bundled:
        write_model(tmp_path / "none bundled" / "small.safetensors", model(border=0.7))
    card = shown.bench.workflow.state.card
    assert card is not None
    shown.bench.workflow.shelf.delete(card)
    shown.bench.correcting.models.versions.read()
    assert shown.seen == ("Not in the library any more.", [])
    shown.bench.workflow.shelf.undo()
    shown.bench.correcting.models.versions.read()
    assert shown.seen == USED


def test_one_that_is_used_against_the_verdict_is_told_so(shown: Shown) -> None:
    shown.judged(replace(BETTER, answer="worse"))
    assert shown.seen == ("In use, because you chose so.", ["Go back"])


def test_the_first_of_its_name_is_in_use_while_it_is_chosen(tmp_path: Path, qtbot: QtBot) -> None:
    shown = Shown(tmp_path, qtbot, name="bacteria")
    assert shown.seen == USED
    shown.bench.correcting.models.go_back()
    assert shown.seen == ("Kept under a name of its own; another model is chosen.", OTHERS)
    shown.judged(replace(BETTER, answer="worse"))
    assert shown.seen == ("Kept aside; the old model stays in use.", OTHERS)
