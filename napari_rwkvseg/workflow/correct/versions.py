"""Versions of the model that is started from: listed, and changed with one click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.workflow.choices import Tone
from napari_rwkvseg.workflow.correct import jobs
from napari_rwkvseg.workflow.correct.context import Context
from napari_rwkvseg.workflow.correct.state import Report, Standing
from napari_rwkvseg.workflow.runner import JobResult, ignore_progress

if TYPE_CHECKING:
    from napari_rwkvseg.store.library import Version


class Versions:
    """Keeps `state.versions` and `state.standing` true; other programs may use the same folder.

    Parameters
    ----------
    context : Context
        Its shelf runner does the work.
    activated : callable
        Called with a version once its name stands for it.
    """

    def __init__(self, context: Context, activated: Callable[[Version], None]) -> None:
        self._context = context
        self._activated = activated

    @property
    def name(self) -> str:
        """Of the model whose versions are listed."""
        card = self._context.workflow.state.card
        return "" if card is None else card.name

    def read(self) -> None:
        """Look at the folder again."""
        report = self._context.state.report
        names = (self.name, "" if report is None else report.name)
        job = jobs.list_versions(self._context.workflow.library, names)
        done = partial(self._was_read, report)
        self._context.runners.shelf.start(job, CancelToken(), ignore_progress, done)

    def activate(self, name: str, sha256: str) -> None:
        """Let a name stand for another version, bit for bit what it was."""
        job = jobs.activate(self._context.workflow.library, name, sha256)
        done = partial(self._was_activated, name)
        self._context.runners.shelf.start(job, CancelToken(), ignore_progress, done)

    def _was_read(self, report: Report | None, result: JobResult) -> None:
        if result.error:
            self._context.say(result.error, Tone.ERROR)
        elif result.value is not None:
            state = self._context.state
            state.versions, reported = result.value
            self._context.workflow.keep_up()
            if report is not None and report is state.report:
                state.standing = _standing(reported, report.sha256)

    def _was_activated(self, name: str, result: JobResult) -> None:
        if result.error:
            self._context.say(result.error, Tone.ERROR)
            self.read()
        elif result.value is not None:
            self._context.workflow.reload_models(choose=name)
            self.read()
            self._activated(result.value)


def _standing(versions: Sequence[Version], sha256: str) -> Standing:
    """Return what became of a version of a model."""
    found = next((one for one in versions if one.sha256 == sha256), None)
    if found is None:
        return Standing.GONE
    return Standing.ACTIVE if found.active else Standing.ASIDE
