"""A widget listens to the state for exactly as long as Qt keeps it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication, QLabel

from napari_rwkvseg.widgets import listen as module
from napari_rwkvseg.widgets.listen import listen


class State:
    changed = Signal(str)


class Shows(QLabel):
    """Shows the last text it heard."""

    def __init__(self, state: State) -> None:
        super().__init__("nothing")
        listen(self, state.changed, self.show_text)

    def show_text(self, text: str) -> None:
        self.setText(text)


@pytest.fixture
def state(qapp: QApplication) -> State:
    return State()


@pytest.fixture
def label(state: State) -> Iterator[Shows]:
    shows = Shows(state)
    yield shows
    destroy(shows)


def destroy(widget: QLabel) -> None:
    """Let Qt delete its half; a second time does nothing."""
    try:
        widget.deleteLater()
    except RuntimeError:
        return
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_a_widget_hears_of_changes(state: State, label: Shows) -> None:
    state.changed.emit("a cell")
    assert label.text() == "a cell"


def test_a_destroyed_widget_that_python_still_holds_hears_no_more(
    state: State, label: Shows
) -> None:
    destroy(label)
    state.changed.emit("would raise, for its C++ half is gone")
    assert len(state.changed) == 0


def test_other_listeners_go_on(state: State, label: Shows) -> None:
    other = Shows(state)
    destroy(label)
    state.changed.emit("still here")
    assert other.text() == "still here"
    destroy(other)


def test_listening_keeps_no_widget_alive(state: State) -> None:
    gone = weakref.ref(Shows(state))
    gc.collect()
    assert gone() is None


def test_what_qt_calls_at_the_end_is_held_until_then_and_not_longer(state: State) -> None:
    before = len(module._stops)
    label = Shows(state)
    assert len(module._stops) == before + 1
    destroy(label)
    assert len(module._stops) == before
