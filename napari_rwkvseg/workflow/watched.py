"""One Labels layer whose changes are counted, and what of it the next sweep is to look at."""

from __future__ import annotations

from collections.abc import Callable

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.store.journal import Journal, Plane, Sweep
from napari_rwkvseg.store.journal_records import Mark


def no_state() -> bytes:
    """Return the state of a mask that has none."""
    return b""


def every_plane() -> Plane | None:
    """Return None: all planes of a mask are to be looked at."""
    return None


class Watched:
    """One Labels layer and its journal.

    Parameters
    ----------
    layer : LayerLike
        The layer itself, not a proxy of it.
    journal : Journal
        Where its strokes go.
    state : callable
        Returns what must come back with the mask.
    plane : callable
        Returns the leading indices of the plane in sight, or None to look at all planes.
    small : bool
        Whether all planes may be looked at now and then.
    strokes : int
        How many there were before.
    changed : callable
        Called after each change that the layer announces.
    """

    def __init__(
        self,
        layer: LayerLike,
        journal: Journal,
        state: Callable[[], bytes],
        plane: Callable[[], Plane | None],
        small: bool,
        strokes: int,
        changed: Callable[[], None],
    ) -> None:
        self.layer = layer
        self.journal = journal
        self.marks: list[tuple[Mark, int]] = []
        self.dirty = True
        self.said_beside = False
        self._state = state
        self._plane = plane
        self._planes: set[Plane] = set()  # painted in: undo reaches those that are out of sight
        self._small = self._everywhere = small
        self._sent = 0  # marks of the last task
        self._strokes = strokes
        self._changed = changed

    def listen(self) -> None:
        """Hear of changes from now on."""
        self._connect(True)

    def stop(self) -> None:
        """Hear of nothing any more."""
        self._connect(False)

    def note(self, mark: Mark) -> None:
        """Remember what happened, to be written with the next sweep."""
        self.marks.append((mark, self._strokes))
        self.dirty = True

    def count(self, event: object = None) -> None:
        """Count one stroke and ask for a sweep."""
        self._strokes += 1
        self.remember_plane()
        self.touch()

    def remember_plane(self) -> None:
        """Look at the plane in sight from now on, at once: soon another one may be in sight."""
        plane = self._plane()
        if plane is None:
            self._everywhere = True
        else:
            self._planes.add(plane)

    def touch(self, event: object = None) -> None:
        """Ask for a sweep: undo, redo and each change of slice look like this."""
        self.dirty = True
        self._changed()

    def look_everywhere(self) -> None:
        """Look at all planes with the next sweep, if they are not too many."""
        self._everywhere |= self._small
        self.dirty = True

    def task(self) -> Sweep:
        """Return what is to be swept now; it is clean from here on."""
        self.dirty, self._sent = False, len(self.marks)
        plane = self._plane()
        everywhere, self._everywhere = self._everywhere or plane is None, False
        planes = None if everywhere or plane is None else frozenset({*self._planes, plane})
        return Sweep(self.layer.data, self._strokes, self._state(), tuple(self.marks), planes)

    def done(self) -> None:
        """Forget the marks of the last task: they are on the disk."""
        del self.marks[: self._sent]

    def _connect(self, on: bool) -> None:
        for name, slot in (("paint", self.count), ("set_data", self.touch)):
            event = getattr(self.layer.events, name)
            (event.connect if on else event.disconnect)(slot)
