"""Real windows: a test that leaves a widget or a running thread behind fails and names it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QThreadPool
from qtpy.QtWidgets import QApplication, QWidget

from napari_rwkvseg.store.library import DATA_VARIABLE

PATIENCE_MS = 5000  # for jobs that were told to stop


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say what is missing instead of letting Qt abort the whole run."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        pytest.fail("no display: run ./dev test, or set DISPLAY", pytrace=False)


@pytest.fixture(autouse=True)
def _nothing_stays(qapp: QApplication, request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare widgets and threads before and after; made first, it looks last."""
    widgets, threads = set(top_level_widgets()), set(threading.enumerate())
    yield
    report = getattr(request.node, "rep_call", None)
    if report is None or report.failed:
        return  # a failed test leaves what it was at: one message is enough
    problems = [*leaked_threads(threads), *leaked_widgets(widgets)]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for each test: strokes that one leaves are not offered to others."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _each_click_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests click faster than people: two clicks are a double click only where a test says so."""
    monkeypatch.setattr(QApplication, "doubleClickInterval", lambda: -1)


@pytest.fixture
def double_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all clicks of a test belong to one double click."""
    monkeypatch.setattr(QApplication, "doubleClickInterval", lambda: 10**9)


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    """A viewer as plugins get it, shown; whatever it leaves behind is an error."""
    return make_napari_viewer_proxy(show=True, strict_qt="raise")


def top_level_widgets() -> list[QWidget]:
    """Return the widgets without parent that Qt still has, after it deleted what it should."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    gc.collect()
    return list(QApplication.topLevelWidgets())


def leaked_widgets(before: set[QWidget]) -> Iterator[str]:
    """Yield a text for each top-level widget that was not there before."""
    widgets = top_level_widgets()
    while widgets:
        widget = widgets.pop()  # else the list would be among those that hold it
        if widget not in before:
            yield f"left a widget: {describe(widget)}, held by\n{holders(widget)}"


def leaked_threads(before: set[threading.Thread]) -> Iterator[str]:
    """Yield a text for running jobs, and for each thread that was not there before."""
    pool = QThreadPool.globalInstance()
    if not pool.waitForDone(PATIENCE_MS):
        yield f"left {pool.activeThreadCount()} running jobs in Qt's thread pool"
    for thread in filter(ours, set(threading.enumerate()) - before):
        thread.join(PATIENCE_MS / 1000)
        if thread.is_alive():
            yield f"left a thread: {thread!r}, held by\n{holders(thread)}"


def ours(thread: threading.Thread) -> bool:
    """Whether a test answers for a thread: not for Qt's, nor those that die with the process."""
    return not isinstance(thread, threading._DummyThread) and not thread.daemon


def describe(thing: object) -> str:
    """Return type and name, never a repr: that fails once Qt has deleted the C++ half."""
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    return f"{kind} {thing.objectName()!r}" if isinstance(thing, QWidget) else kind


def holders(thing: object) -> str:
    """Return one line per object that refers to a thing, and through which key or field."""
    return "\n".join(sorted(set(_holder_lines(thing)))) or "  nothing that Python knows of"


def _holder_lines(thing: object) -> Iterator[str]:
    for holder in gc.get_referrers(thing):
        if type(holder).__name__ in ("frame", "list_iterator", "generator"):
            continue  # this search itself
        owners = [owner for owner in gc.get_referrers(holder) if _fields(owner) is holder]
        text = ", ".join(describe(owner) for owner in owners) or describe(holder)
        yield f"  {text} {', '.join(_keys(holder, thing))}".rstrip()


def _keys(holder: object, thing: object) -> list[str]:
    return [str(key) for key, value in _fields(holder).items() if value is thing]


def _fields(holder: object) -> dict[Any, Any]:
    fields = holder if isinstance(holder, dict) else getattr(holder, "__dict__", {})
    return fields if isinstance(fields, dict) else {}
