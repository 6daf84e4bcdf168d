from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QObject, QThreadPool
from qtpy.QtWidgets import QWidget

from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.widgets.workers import JobRunner, WindowGuard
from napari_rwkvseg.workflow import JobResult


class Heard:
    """Collects what a runner reports."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.results: list[JobResult] = []
        self.threads: set[threading.Thread] = set()

    def on_progress(self, event: Progress) -> None:
        self.threads.add(threading.current_thread())
        self.progress.append(event)

    def on_done(self, result: JobResult) -> None:
        self.threads.add(threading.current_thread())
        self.results.append(result)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def run(qtbot: QtBot, job: Job[Any], heard: Heard) -> JobResult:
    runner = JobRunner()
    runner.start(job, CancelToken(), heard.on_progress, heard.on_done)
    qtbot.waitUntil(lambda: bool(heard.results))
    assert not runner.busy
    return heard.results[0]


def counting(n: int, token: CancelToken | None = None) -> Job[int]:
    for i in range(n):
        if token is not None:
            token.raise_if_cancelled()
        yield Progress(i, n)
    return n


def failing(error: BaseException) -> Job[None]:
    yield Progress(0, 1)
    raise error


def waiting(token: CancelToken, gate: threading.Event) -> Job[str]:
    yield Progress(0, 1)
    gate.wait(5)
    token.raise_if_cancelled()
    return "late"


def test_progress_and_result_arrive_in_the_gui_thread(qtbot: QtBot, heard: Heard) -> None:
    assert run(qtbot, counting(3), heard).value == 3
    assert [event.done for event in heard.progress] == [0, 1, 2]
    assert heard.threads == {threading.main_thread()}


def test_an_error_for_people_is_passed_on_word_by_word(qtbot: QtBot, heard: Heard) -> None:
    error = BadImageError("cells", "no finite pixel", "Open another image")
    assert run(qtbot, failing(error), heard).error == "cells: no finite pixel. Open another image."


def test_too_little_memory_comes_with_a_remedy(qtbot: QtBot, heard: Heard) -> None:
    error = run(qtbot, failing(MemoryError()), heard).error
    assert error.startswith("There is not enough memory. Close other programs; to segment, a small")


class OddError(Exception):
    pass


ERRORS = [
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, FloatingPointError,
    ImportError, IndexError, KeyError, LookupError, NotImplementedError, OSError, OverflowError,
    RecursionError, RuntimeError, TypeError, UnicodeError, ValueError, ZeroDivisionError, OddError,
    KeyboardInterrupt, SystemExit, GeneratorExit,
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_no_error_gets_lost(qtbot: QtBot, heard: Heard, error: type[BaseException]) -> None:
    result = run(qtbot, failing(error("why")), heard)
    assert error.__name__ in result.error
    assert "No layer was changed" in result.error


def test_cancelling_silences_the_job(qtbot: QtBot, heard: Heard) -> None:
    runner, token, gate = JobRunner(), CancelToken(), threading.Event()
    runner.start(waiting(token, gate), token, heard.on_progress, heard.on_done)
    qtbot.waitUntil(lambda: bool(heard.progress))
    runner.cancel()
    gate.set()
    assert token.cancelled
    second = Heard()
    runner.start(counting(1), CancelToken(), second.on_progress, second.on_done)
    qtbot.waitUntil(lambda: bool(second.results))
    assert heard.results == []


def test_a_new_job_replaces_the_old_one(qtbot: QtBot, heard: Heard) -> None:
    runner, token, gate = JobRunner(), CancelToken(), threading.Event()
    runner.start(waiting(token, gate), token, heard.on_progress, heard.on_done)
    runner.start(counting(2), CancelToken(), heard.on_progress, heard.on_done)
    gate.set()
    qtbot.waitUntil(lambda: bool(heard.results))
    assert token.cancelled
    assert [result.value for result in heard.results] == [2]


def test_a_runner_that_is_gone_stops_its_job(qtbot: QtBot, heard: Heard) -> None:
    runner, token, gate = JobRunner(), CancelToken(), threading.Event()

    def job() -> Job[None]:
        gate.wait(5)
        for i in range(100):
            token.raise_if_cancelled()
            yield Progress(i, 100)

    runner.start(job(), token, heard.on_progress, heard.on_done)
    runner.deleteLater()
    qtbot.waitSignal(runner.destroyed).wait()
    gate.set()
    qtbot.waitUntil(lambda: token.cancelled)
    assert heard.results == []


@pytest.fixture
def _two_cores() -> Iterator[None]:
    """Qt's thread pool as it is on a computer with two cores."""
    pool = QThreadPool.globalInstance()
    before = pool.maxThreadCount()
    pool.setMaxThreadCount(2)
    yield
    pool.setMaxThreadCount(before)


@pytest.mark.usefixtures("_two_cores")
def test_two_long_jobs_on_two_cores_leave_room_for_short_ones(qtbot: QtBot, heard: Heard) -> None:
    runners, gate, short = [JobRunner() for _ in range(2)], threading.Event(), Heard()
    for runner in runners:
        token = CancelToken()
        runner.start(waiting(token, gate), token, heard.on_progress, heard.on_done)
    qtbot.waitUntil(lambda: len(heard.progress) == 2)
    assert run(qtbot, counting(3), short).value == 3
    assert heard.results == []
    gate.set()
    qtbot.waitUntil(lambda: len(heard.results) == 2)


class Told(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def stop(self) -> None:
        self.times += 1


def test_hiding_by_the_program_stops_and_minimising_does_not(qtbot: QtBot) -> None:
    window, told = QWidget(), Told()
    qtbot.addWidget(window)
    guard = WindowGuard(told.stop, told)
    assert not guard.eventFilter(window, QEvent(QEvent.Type.Show))
    assert told.times == 0
    assert not guard.eventFilter(window, QEvent(QEvent.Type.Hide))
    assert told.times == 1
