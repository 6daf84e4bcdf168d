"""The leak checks of this folder find what they must."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from tests.widgets.conftest import holders, leaked_threads, leaked_widgets, top_level_widgets


class Keeper:
    """Holds a widget in a field."""

    def __init__(self, widget: QWidget) -> None:
        self.kept = widget


@pytest.fixture
def before(qapp: QApplication) -> set[QWidget]:
    return set(top_level_widgets())


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_widget_that_stays_is_reported_with_its_holder(before: set[QWidget]) -> None:
    keeper = Keeper(QLabel())
    keeper.kept.setObjectName("forgotten")
    (text,) = leaked_widgets(before)
    assert "QLabel 'forgotten'" in text
    assert "Keeper kept" in text
    keeper.kept.deleteLater()


def test_a_widget_that_is_deleted_is_not_reported(before: set[QWidget]) -> None:
    QLabel().deleteLater()
    label = QLabel()
    label.deleteLater()
    assert list(leaked_widgets(before)) == []


def test_a_widget_inside_another_is_not_reported_by_itself(before: set[QWidget]) -> None:
    outer = QWidget()
    QLabel(outer)
    assert len(list(leaked_widgets(before))) == 1
    outer.deleteLater()


def test_a_thread_that_runs_on_is_reported(
    stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.widgets.conftest.PATIENCE_MS", 1)
    threads = set(threading.enumerate())
    thread = threading.Thread(target=stop.wait, name="endless")
    thread.start()
    (text,) = leaked_threads(threads)
    assert "endless" in text
    stop.set()
    thread.join()
    assert list(leaked_threads(threads)) == []


def test_holders_of_nothing_are_said_to_be_none() -> None:
    gc.collect()
    assert holders(object()) == "  nothing that Python knows of"
