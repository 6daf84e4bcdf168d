"""Play a person at a running Qt program: wait until something is so, then use a real pointer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qtpy.QtCore import QPoint, QTimer
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu, QMenuBar, QPushButton, QWidget

Condition = Callable[[], object]
Script = Iterator[tuple[str, Condition]]  # what is waited for, in words, and when it is so

TICK_MS = 50


class Player:
    """Go through a script while the program runs; it ends, or the first thing waited for fails.

    Parameters
    ----------
    script : iterator of (str, callable)
        Goes on when the callable returns something true.
    timeout : float
        Seconds that each condition may take.
    finish : callable
        Called at the end, whatever happened.
    """

    def __init__(self, script: Script, timeout: float, finish: Callable[[], object]) -> None:
        self._script = script
        self._timeout = timeout
        self._finish = finish
        self.failure = "the program was closed before the end"
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._advance()

    def _advance(self) -> None:
        try:
            self._text, self._condition = next(self._script)
        except StopIteration:
            self._end("")
        except (RuntimeError, OSError, subprocess.SubprocessError, LookupError) as error:
            self._end(f"{type(error).__name__}: {error}")
        else:
            self._deadline = time.monotonic() + self._timeout
            self._timer.start(TICK_MS)

    def _tick(self) -> None:
        self._timer.stop()  # a condition may run the event loop
        if self._condition():
            self._advance()
        elif time.monotonic() > self._deadline:
            self._end(f"waited {self._timeout:.0f} s in vain for {self._text}")
        else:
            self._timer.start(TICK_MS)

    def _end(self, failure: str) -> None:
        self.failure = failure
        self._finish()


def still(seconds: float) -> Condition:
    """Return a condition that holds after some time, for what only settles by itself."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def click(widget: QWidget, at: QPoint | None = None) -> None:
    """Move the pointer of the screen onto a widget, by default its middle, and click."""
    if not widget.isVisible():
        raise RuntimeError(f"{widget} is not visible")
    click_screen(widget.mapToGlobal(widget.rect().center() if at is None else at))


def click_screen(point: QPoint) -> None:
    """Move the pointer to a place on the screen and click."""
    move = ["xdotool", "mousemove", str(point.x()), str(point.y())]
    subprocess.run([*move, "sleep", "0.1", "click", "1"], check=True, timeout=20)


def notices() -> list[Any]:
    """Return the notices that napari shows over its canvas at present."""
    widgets = QApplication.allWidgets()
    return [w for w in widgets if type(w).__name__ == "NapariQtNotification" and w.isVisible()]


def close_notices() -> Script:
    """Click the notices away, the topmost first; they slide in, so a click may miss."""
    for _ in range(10):
        if not notices():
            return
        yield "the notices to stand still", still(1.0)
        for notice in notices()[-1:]:
            click(notice.close_button)
        yield "the notice to go", still(0.5)
    raise RuntimeError("a notice stays, however often it is clicked away")


def shoot(path: Path, window: QWidget | None = None) -> None:
    """Save what is seen on the screen, all of it or where a window is, as a picture."""
    screen = QApplication.primaryScreen()
    place = screen.geometry() if window is None else window.frameGeometry()
    picture = screen.grabWindow(0, place.x(), place.y(), place.width(), place.height())
    if not picture.save(str(path)):
        raise RuntimeError(f"could not write {path}")


def open_menu_and_choose(window: QMainWindow, *path: str) -> Script:
    """Click through the menus of a window: "File", "Open Sample", … (beginnings suffice)."""
    bar = window.menuBar()
    yield from click_entry(bar, path[0])
    menu = entry(bar, path[0]).menu()
    for text in path[1:]:
        yield f"the menu with {text}", menu.isVisible
        yield from click_entry(menu, text)
        menu = entry(menu, text).menu()


def click_entry(menu: QMenu | QMenuBar, text: str) -> Script:
    """Wait for an entry of a menu, then click it."""
    yield f"the entry {text}", lambda: any(named(action, text) for action in menu.actions())
    yield "the menu to be drawn", still(0.3)
    click(menu, menu.actionGeometry(entry(menu, text)).center())


def entry(menu: QMenu | QMenuBar, text: str) -> QAction:
    """Return the first entry whose text begins so."""
    return next(action for action in menu.actions() if named(action, text))


def named(action: QAction, text: str) -> bool:
    """Whether an entry can be seen and its text begins so."""
    return action.isVisible() and action.text().replace("&", "").startswith(text)


def segment(dock: Any, button: QPushButton, layers: Any, mask: str) -> Script:
    """Click Segment in a dock of ours; wait for the layer with the mask, and for its table."""
    state = dock.workflow.state
    yield "the button Segment", lambda: button.isVisible() and button.isEnabled()
    yield "the window to settle", still(1.5)
    yield from close_notices()
    click(button)
    yield "the mask", lambda: mask in layers or state.message.tone.name == "ERROR"
    if mask not in layers:
        raise RuntimeError(state.message.text)
    yield "the table", lambda: state.measured is not None
    yield from close_notices()
    yield "the canvas to be drawn", still(1.0)
