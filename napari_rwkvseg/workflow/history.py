"""What we wrote through a layer's own history, so that its undo and redo are recognised.

napari says nothing of an undo but that the layer was drawn anew, and its history is private. So
the pixels tell: where all of our latest write shows what was there before it, it was undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[NDArray[np.intp], ...]
DEPTH = 100  # as deep as napari's own history
SAMPLE = 64  # pixels that rule out nearly all cases before all are compared


def ignore_turn(done: bool) -> None:
    """Take note of nothing when a write is undone or redone."""


@dataclass(eq=False)
class OwnWrite:
    """One step of undo.

    Attributes
    ----------
    index : tuple of ndarray
        Which pixels, one array per axis of the layer; at least one pixel.
    old, new : ndarray, shape (N,)
        Their labels in the layer before and after.
    base_old, base_new : ndarray, shape (N,)
        Their labels in what counts as the model's, before and after.
    turned : callable
        Called with False when the write is undone, with True when it is redone.
    repainted : bool
        Whether a stroke, not an undo, made it look undone.
    """

    index: Index
    old: NDArray[Any]
    new: NDArray[Any]
    base_old: NDArray[Any]
    base_new: NDArray[Any]
    turned: Callable[[bool], None] = ignore_turn
    repainted: bool = False

    def shows(self, data: NDArray[Any], values: NDArray[Any]) -> bool:
        """Whether the layer shows certain values at all pixels of this write."""
        few = tuple(axis[:SAMPLE] for axis in self.index)
        return np.array_equal(data[few], values[:SAMPLE]) and np.array_equal(
            data[self.index], values
        )


class OwnWrites:
    """The writes of one layer in order, and how many of them are in force."""

    def __init__(self) -> None:
        self._writes: list[OwnWrite] = []
        self._done = 0

    def add(self, write: OwnWrite) -> None:
        """Take note of a write; those undone before it can no longer be redone."""
        self._writes[self._done :] = [write]
        del self._writes[:-DEPTH]
        self._done = len(self._writes)

    def painted(self, data: NDArray[Any]) -> None:
        """Take note of a stroke: napari forgets then what could be redone."""
        del self._writes[self._done :]
        if self._writes:
            last = self._writes[-1]
            last.repainted = last.shows(data, last.old)

    def follow(self, data: NDArray[Any], base: NDArray[Any]) -> None:
        """Let `base` go back and forth with the undo and redo of our writes.

        Parameters
        ----------
        data : ndarray, integer
            What the layer shows.
        base : ndarray, integer, same shape
            What counts as the model's; changed in place.
        """
        while self._done and self._undone(self._writes[self._done - 1], data):
            self._done -= 1
            write = self._writes[self._done]
            base[write.index] = write.base_old
            write.turned(False)
        while self._done < len(self._writes):
            write = self._writes[self._done]
            if not write.shows(data, write.new):
                break
            self._done += 1
            base[write.index] = write.base_new
            write.turned(True)

    def _undone(self, write: OwnWrite, data: NDArray[Any]) -> bool:
        if write.repainted and write.shows(data, write.new):
            write.repainted = False  # the stroke over it was undone
        return not write.repainted and write.shows(data, write.old)
