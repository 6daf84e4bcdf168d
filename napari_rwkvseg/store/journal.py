"""The stroke journal of one mask: every change is on the disk soon after it was made.

Only changed tiles are written, by comparing checksums: strokes, fills, undo, redo and writes from
a console are found alike. When the file has grown, a new one is filled a few tiles at a time and
takes its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from napari_rwkvseg.store.atomic import sync_folder
from napari_rwkvseg.store.image_id import install_salt, salted_id, sampled_pixels
from napari_rwkvseg.store.journal_folder import LockedFolder, claim, is_held, make_root, take
from napari_rwkvseg.store.journal_records import NEVER, SAVED, Kind, Mark, MaskForm, Stamp
from napari_rwkvseg.store.journal_replay import replay
from napari_rwkvseg.store.journal_tape import Tape
from napari_rwkvseg.store.refusal import Refusal

SNAPSHOT_BYTES = 1 << 22
SNAPSHOT_SECONDS = 60.0
SNAPSHOT_TILES = 16  # per sweep: 4 MiB of a uint8 mask, some 50 ms

Plane = tuple[int, ...]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a journal is to look at.

    Attributes
    ----------
    mask : array, integer
        The pixels now.
    strokes : int
        Strokes so far.
    state : bytes
        Whatever must come back with the mask; kept as it is.
    marks : tuple of (Mark, int)
        What happened since the last sweep, and after how many strokes.
    planes : collection of tuple of int, optional
        Leading indices of the planes to look at; by default all.
    """

    mask: Any
    strokes: int = 0
    state: bytes = b""
    marks: tuple[tuple[Mark, int], ...] = ()
    planes: Iterable[Plane] | None = None


class Journal:
    """The journal of one mask; opened by the first sweep, usable from several threads.

    Parameters
    ----------
    root : Path
        Folder of all journals.
    image : array
        Which the mask belongs to: its pixels name the folder.
    folder : Path, optional
        A journal to go on with instead.
    clock : callable
        UTC seconds since 1970.

    Attributes
    ----------
    beside : Path or None
        The journal of this image that was in use when this one was begun.
    """

    def __init__(
        self,
        root: Path,
        image: Any,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._image = image
        self._image_id: str | None = None
        self._resumed = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._folder: LockedFolder | None = None
        self._tape: Tape | None = None
        self._next: Tape | None = None
        self._todo: list[int] = []  # tiles that the next file has not looked at
        self._snapshot_time = clock()
        self._snapshot_size = 0
        self._state = b""
        self._strokes = 0
        self._saved = NEVER
        self._unsaved = False
        self.beside: Path | None = None

    @property
    def _locked(self) -> LockedFolder:
        if self._folder is None:
            raise ValueError("No folder yet: sweep first.")
        return self._folder

    @property
    def folder(self) -> Path | None:
        """Where it lies; None before the first sweep."""
        return self._folder.path if self._folder is not None else self._resumed

    def sweep(self, wanted: Sweep) -> bool:
        """Write what changed since the last time, and have it on the disk.

        Returns
        -------
        bool
            Whether there is more to do soon: a new file is being filled.

        Raises
        ------
        OSError
            If the disk refuses. All is tried again by the next sweep.
        """
        with self._lock:
            form = MaskForm.of(wanted.mask)
            tape = self._open(form)
            if tape.form != form:
                self._start_anew(wanted, form)
                tape = self._open(form)
            self._write(tape, wanted, _numbers(form, wanted.planes))
            self._compact(tape, wanted)
            return self._next is not None

    def close(self) -> None:
        """Let go of the files; a journal without unsaved strokes is deleted.

        Raises
        ------
        OSError
            If it cannot be deleted.
        """
        with self._lock:
            self._drop_next()
            folder, tape = self._folder, self._tape
            self._folder = self._tape = None
            if tape is not None:
                tape.close()
            if folder is None:
                return
            if self._unsaved:
                self._resumed = folder.path
                folder.release()
            else:
                self._resumed = None
                folder.delete()

    # ------------------------------------------------------------------- opening
    def _open(self, form: MaskForm) -> Tape:
        if self._folder is None:
            self._folder = self._regain() or self._claim()
        if self._tape is None:
            self._tape = self._read_tape(self._folder.journal) or Tape(self._folder.journal, form)
        return self._tape

    def _regain(self) -> LockedFolder | None:
        """Take the folder to go on with; None if it is gone or another program has it."""
        path, self._resumed = self._resumed, None
        return take(path) if path is not None and path.is_dir() else None

    def _claim(self) -> LockedFolder:
        make_root(self._root)
        if self._image_id is None:
            pixels = sampled_pixels(self._image)
            self._image_id = salted_id(install_salt(self._root), self._image, pixels)
            self._image = None  # it may be large, and its layer may be gone before this is
        folder, first = claim(self._root, self._image_id), self._root / self._image_id
        self.beside = first if folder.path != first and is_held(first) else None
        return folder

    def _read_tape(self, path: Path) -> Tape | None:
        """Go on with a file; None if there is none that could be read."""
        try:
            found = replay(path)
        except (FileNotFoundError, Refusal):  # a first write that failed may leave half a head
            return None
        self._state, self._strokes = found.state, found.last.strokes
        self._saved, self._unsaved = found.saved, found.unsaved
        return Tape(path, found.form, found.size, found.table)

    # ------------------------------------------------------------------- writing
    def _write(self, tape: Tape, wanted: Sweep, numbers: Iterable[int]) -> None:
        stamp = Stamp(wanted.strokes, self._clock())
        early = [mark for mark in wanted.marks if mark[1] < wanted.strokes]
        late = [mark for mark in wanted.marks if mark[1] == wanted.strokes]
        self._write_marks(tape, early)  # strokes that came after a mark must not look saved by it
        changed = tape.write_tiles(wanted.mask, numbers, stamp)
        news = changed > 0 or wanted.strokes != self._strokes
        # a stroke whose pixels an earlier sweep had found already is counted all the same
        if wanted.state != self._state or (news and not changed):
            tape.write(Kind.STATE, stamp, wanted.state)
        self._write_marks(tape, late)
        if tape.written:
            tape.sync()
        self._state, self._strokes = wanted.state, wanted.strokes
        self._unsaved |= news
        for mark, strokes in wanted.marks:
            if mark in SAVED:
                self._saved = Stamp(strokes, stamp.time)
                self._unsaved = strokes < wanted.strokes

    def _write_marks(self, tape: Tape, marks: Iterable[tuple[Mark, int]]) -> None:
        for mark, strokes in marks:
            tape.write(Kind.MARK, Stamp(strokes, self._clock()), mark.encode())

    # ---------------------------------------------------------------- compacting
    def _compact(self, tape: Tape, wanted: Sweep) -> None:
        """Begin, continue or end a shorter file; a failure costs nothing but another try."""
        try:
            if self._next is None and self._is_due(tape):
                self._next = self._new_tape(tape.form)
                self._todo = sorted(tape.table)  # all others are zero, or were never looked at
            if self._next is not None:
                self._fill(self._next, tape, wanted)
        except OSError as error:
            logger.warning("a journal could not be compacted: %s", error.strerror)
            self._drop_next()

    def _is_due(self, tape: Tape) -> bool:
        grown = tape.size > max(SNAPSHOT_BYTES, 2 * self._snapshot_size)
        passed = abs(self._clock() - self._snapshot_time)  # the clock may have been set back
        return grown and passed >= SNAPSHOT_SECONDS

    def _new_tape(self, form: MaskForm) -> Tape:
        self._snapshot_time = self._clock()
        fresh = Tape(self._locked.next, form)
        self._write_saved(fresh)  # what comes after it looks unsaved, unless `_finish` repeats it
        return fresh

    def _fill(self, fresh: Tape, old: Tape, wanted: Sweep) -> None:
        now, self._todo = self._todo[:SNAPSHOT_TILES], self._todo[SNAPSHOT_TILES:]
        fresh.write_tiles(wanted.mask, now, Stamp(wanted.strokes, self._clock()))
        if not self._todo:
            self._finish(fresh, wanted, sorted(old.table))

    def _finish(self, fresh: Tape, wanted: Sweep, numbers: Iterable[int]) -> None:
        """Catch up with what changed meanwhile and let the new file take the old one's place."""
        stamp = Stamp(wanted.strokes, self._clock())
        fresh.write_tiles(wanted.mask, numbers, stamp)
        fresh.write(Kind.STATE, stamp, wanted.state)
        if not self._unsaved:
            self._write_saved(fresh)
        fresh.sync()
        fresh.close()  # Windows renames no open file, and replaces none
        if self._tape is not None:
            self._tape.close()
        self._tape = self._next = None  # whatever fails from here on, `_open` reads what is there
        fresh.path.replace(self._locked.journal)
        sync_folder(self._locked.path)
        self._tape = Tape(self._locked.journal, fresh.form, fresh.size, fresh.table)
        self._snapshot_size = fresh.size

    def _start_anew(self, wanted: Sweep, form: MaskForm) -> None:
        """Go on in a new file, for a mask of another shape or type."""
        self._drop_next()
        self._next, self._unsaved = self._new_tape(form), True
        try:
            self._finish(self._next, wanted, _numbers(form, wanted.planes))
        except OSError:
            self._drop_next()
            raise

    def _write_saved(self, fresh: Tape) -> None:
        if self._saved is not NEVER:
            fresh.write(Kind.MARK, self._saved, Mark.EXPORT.encode())

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.close()
            with suppress(OSError):
                self._next.path.unlink(missing_ok=True)
            self._next = None


def _numbers(form: MaskForm, planes: Iterable[Plane] | None) -> Iterable[int]:
    """Return the tiles of some planes, or all."""
    if planes is None:
        return range(form.tiles)
    return chain.from_iterable(form.numbers_in(plane) for plane in planes)
