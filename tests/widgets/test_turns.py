from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer

from napari_rwkvseg.widgets.turns import Turns


class Log(QObject):
    """Turns, and what ran in which turn of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.turns = Turns(self)

    def later(self, *names: str) -> None:
        for name in names:
            self.turns.later(lambda name=name: self.ran.append(name))  # type: ignore[misc]


@pytest.fixture
def log(qtbot: QtBot) -> Log:
    return Log()


def test_nothing_runs_at_once(log: Log) -> None:
    log.later("a")
    assert log.ran == []


def test_all_run_in_the_order_in_which_they_were_asked_for(log: Log, qtbot: QtBot) -> None:
    log.later("a", "b", "c")
    qtbot.waitUntil(lambda: len(log.ran) == 3)
    assert log.ran == ["a", "b", "c"]


def test_other_events_have_their_turn_in_between(log: Log, qtbot: QtBot) -> None:
    log.later("a", "b", "c")
    for _ in range(3):
        QTimer.singleShot(0, lambda: log.ran.append("other"))
    qtbot.waitUntil(lambda: len(log.ran) == 6)
    assert log.ran.index("other") < log.ran.index("c")


def test_what_a_turn_asks_for_waits_for_another(log: Log, qtbot: QtBot) -> None:
    seen: list[int] = []

    def first() -> None:
        log.later("second")
        seen.append(len(log.ran))

    log.turns.later(first)
    qtbot.waitUntil(lambda: log.ran == ["second"])
    assert seen == [0]


def test_a_failing_turn_does_not_stop_the_others(log: Log, qtbot: QtBot) -> None:
    def fail() -> None:
        raise ValueError("in a turn")

    with qtbot.captureExceptions() as caught:
        log.turns.later(fail)
        log.later("next")
        qtbot.waitUntil(lambda: log.ran == ["next"])
    assert [str(one[1]) for one in caught] == ["in a turn"]


def test_with_the_parent_goes_what_still_waits(log: Log) -> None:
    ran = log.ran
    log.later("a")
    log.deleteLater()
    QCoreApplication.sendPostedEvents(log, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    assert ran == []


def test_after_the_parent_nothing_is_asked_for_in_vain(log: Log) -> None:
    turns, ran = log.turns, log.ran
    log.deleteLater()
    QCoreApplication.sendPostedEvents(log, QEvent.Type.DeferredDelete)
    turns.later(lambda: ran.append("later"))
    turns.after(lambda: ran.append("after"), 0.0)
    QCoreApplication.processEvents()
    assert ran == []


def test_an_alarm_comes_once(log: Log, qtbot: QtBot) -> None:
    log.turns.after(lambda: log.ran.append("alarm"), 0.0)
    assert log.ran == []
    qtbot.waitUntil(lambda: log.ran == ["alarm"])
    log.later("a", "b")
    qtbot.waitUntil(lambda: log.ran == ["alarm", "a", "b"])
