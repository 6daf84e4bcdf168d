"""Every stroke is on the disk within a second: layers are watched here, a job writes.

The thread that changes the state only counts strokes and asks for a sweep; copying, comparing and
writing are left to the runner. Nothing that a disk does is ever raised into it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.store.journal import Journal, Plane, Sweep
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import Recovery
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.runner import JobResult, Latest, Runner
from napari_rwkvseg.workflow.watched import Watched, every_plane, no_state

SOON = 0.25  # s from a stroke to its sweep
PERIOD = 5.0  # s between sweeps for what nobody announces: writes from a console
SAVED_AGAIN = "Your corrections are autosaved again."
BESIDE = "Another program has corrections of this image open. Both are kept, apart from each other."

After = Callable[[Callable[[], None], float], None]
"""Runs a function in the thread that changes the state, so many seconds later."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Swept:
    """How the sweep of one layer ended.

    Attributes
    ----------
    uid : hashable
        Identity of the layer.
    error : str
        Why the disk refused; empty if it did not.
    more : bool
        Whether the journal has more to write.
    """

    uid: Hashable
    error: str = ""
    more: bool = False


class Autosave:
    """Keeps journals of the layers it is told to watch; call it from one thread only.

    Parameters
    ----------
    root : Path
        Folder of all journals.
    runner : Runner
        Writes them.
    after : callable
        Runs a function some seconds later.
    clock : callable
        UTC seconds since 1970.

    Attributes
    ----------
    reported : Signal
        Emitted with a `Message` when the disk refuses, when it no longer does, and when another
        program works on the same image.
    """

    reported = Signal(Message)

    def __init__(
        self,
        root: Path,
        runner: Runner,
        after: After,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self._after = after
        self._clock = clock
        self._watched: dict[Hashable, Watched] = {}
        self._resting: dict[Hashable, Watched] = {}  # journals closed, layers still there
        self._sweeping = Latest(runner, self._job, self._swept)
        self._soon = self._ticking = False
        self._error = ""

    def watch(
        self,
        layer: LayerLike,
        image: Any,
        state: Callable[[], bytes] = no_state,
        plane: Callable[[], Plane | None] = every_plane,
        small: bool = True,
        recovery: Recovery | None = None,
        strokes: int = 0,
    ) -> None:
        """Keep a journal of a layer from now on; does nothing if there is one already.

        Parameters
        ----------
        layer : LayerLike
            A Labels layer itself, not a proxy of it.
        image : array
            Which the mask belongs to.
        state : callable
            Returns, in this thread, what must come back with the mask.
        plane : callable
            Returns the leading indices of the plane that is painted in, None for all of them. After
            a stroke only planes that were painted in are looked at, and all every few seconds.
        small : bool
            Whether the mask may be looked at as a whole. Of others only planes that were painted
            in come back.
        recovery : Recovery, optional
            What was restored into the layer: its journal is gone on with.
        strokes : int
            Strokes that were made before this call.
        """
        uid = layer.unique_id
        if uid in self._watched:
            return
        watched = self._resting.pop(uid, None)
        if watched is None:
            folder = None if recovery is None else recovery.folder
            before = strokes if recovery is None else recovery.counted
            journal = Journal(self.root, image, folder, self._clock)
            watched = Watched(layer, journal, state, plane, small, before, self._ask)
            watched.remember_plane()
        elif strokes:
            watched.count()
        self._watched[uid] = watched
        watched.listen()
        self._ask()
        self._tick()

    def note(self, mark: Mark, uid: Hashable = None) -> None:
        """Note what happened to a layer, or to all; after EXPORT nothing is unsaved."""
        for key, watched in self._watched.items():
            if uid is None or key == uid:
                watched.note(mark)
                self._ask()

    def exported(self, array: Any) -> None:
        """Note that the array of a layer was written to a file."""
        for uid, watched in self._watched.items():
            if watched.layer.data is array:
                self.note(Mark.EXPORT, uid)

    def forget(self, uid: Hashable) -> None:
        """Close the journal of a layer that was removed; unsaved strokes can still be restored."""
        self._resting.pop(uid, None)
        if (watched := self._watched.pop(uid, None)) is not None:
            self._finish(watched)

    def close(self) -> None:
        """Write the last strokes and let go of all files.

        Journals without unsaved strokes are deleted. A layer may be watched again afterwards.
        """
        self._sweeping.cancel()
        self._soon = False
        for uid, watched in self._watched.items():
            watched.note(Mark.CLOSE)
            self._finish(watched)
            self._resting[uid] = watched
        self._watched.clear()

    # -------------------------------------------------------------------- timing
    def _ask(self) -> None:
        """Sweep soon; further wishes until then are one."""
        if not self._soon:
            self._soon = True
            self._after(self._sweep_due, SOON)

    def _sweep_due(self) -> None:
        if self._soon:
            self._soon = False
            self._sweeping.request()

    def _tick(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._after(self._period_over, PERIOD)

    def _period_over(self) -> None:
        self._ticking = False
        if self._watched:
            for watched in self._watched.values():
                watched.look_everywhere()
            self._sweeping.request()
            self._tick()

    # ------------------------------------------------------------------ sweeping
    def _job(self, token: CancelToken) -> Job[list[Swept]] | None:
        due = [(uid, watched) for uid, watched in self._watched.items() if watched.dirty]
        tasks = [(uid, watched.journal, watched.task()) for uid, watched in due]
        return sweep_all(tasks) if tasks else None

    def _swept(self, result: JobResult) -> None:
        swept: Sequence[Swept] = result.value or ()
        errors = [result.error, *(one.error for one in swept)]
        self._say(next(filter(None, errors), ""))
        for one in swept:
            self._settle(one)

    def _settle(self, swept: Swept) -> None:
        watched = self._watched.get(swept.uid)
        if watched is None or swept.error:  # the next period tries again
            return
        watched.done()
        self._say_beside(watched)
        if swept.more:
            watched.dirty = True
            self._sweeping.request()

    def _finish(self, watched: Watched) -> None:
        """Sweep for the last time, at once, and close the journal."""
        watched.stop()
        watched.look_everywhere()
        try:
            try:
                watched.journal.sweep(watched.task())
            finally:
                watched.journal.close()
        except OSError as error:
            self._say(reason(error))

    # ----------------------------------------------------------------- reporting
    def _say(self, error: str) -> None:
        """Report a new error, and its end, each once."""
        if error == self._error:
            return
        self._error = error
        if error:
            logger.warning("a journal could not be written: %s", error)
            sentence = (
                f"Your corrections cannot be autosaved: {error}. They are safe as long as napari "
                "runs; make room on the disk of the data folder."
            )
            self.reported.emit(Message(sentence, Tone.ERROR))
        else:
            self.reported.emit(Message(SAVED_AGAIN, Tone.DONE))

    def _say_beside(self, watched: Watched) -> None:
        beside = watched.journal.beside
        if beside is None or watched.said_beside:
            return
        watched.said_beside = True
        if beside not in {other.journal.folder for other in self._watched.values()}:
            self.reported.emit(Message(BESIDE, Tone.NOTE))


def sweep_all(tasks: Sequence[tuple[Hashable, Journal, Sweep]]) -> Job[list[Swept]]:
    """Sweep some layers one after the other; what the disk refuses is in the result."""
    done: list[Swept] = []
    for uid, journal, wanted in tasks:
        try:
            done.append(Swept(uid, more=journal.sweep(wanted)))
        except OSError as error:
            done.append(Swept(uid, error=reason(error)))
        yield Progress(len(done), len(tasks))
    return done


def reason(error: OSError) -> str:
    """Return what the system says, without the path: people read it, and logs keep it."""
    return error.strerror or type(error).__name__
