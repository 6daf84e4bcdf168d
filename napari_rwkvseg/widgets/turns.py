"""Divide work of the window's thread into turns of the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QObject, QTimer


class Turns(QObject):
    """Runs functions one after the other, each in a turn of the event loop of its own.

    Timers of their own would all fire in one turn. In between the window is drawn and answers.

    Parameters
    ----------
    parent : QObject
        With it, all that still waits is dropped, and all that is asked for later: the viewer may
        tell the workflow of layers that go when Qt has deleted the dock already.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)

    def later(self, function: Callable[[], None]) -> None:
        """Run `function` in a later turn, after all that waits already."""
        self._waiting.append(function)
        with suppress(RuntimeError):  # Qt has deleted the timer
            self._timer.start(0)

    def after(self, function: Callable[[], None], seconds: float) -> None:
        """Run `function` some seconds later, whatever waits by then."""
        with suppress(RuntimeError):  # Qt has deleted this object
            timer = QTimer(self)
            timer.setSingleShot(True)
            timer.timeout.connect(function)
            timer.timeout.connect(timer.deleteLater)
            timer.start(round(1000 * seconds))

    def _next(self) -> None:
        function = self._waiting.popleft()
        if not self._waiting:
            self._timer.stop()  # before: the function may ask for one more turn
        function()
