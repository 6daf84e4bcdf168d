"""Clicks on the canvas, and moves with Shift held, as questions about a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

STILL = 3.0  # canvas pixels the mouse may move in a click; farther is a drag of the camera


class Pointer:
    """Listens to the mouse of a viewer while asked to, and never disturbs what it does.

    Parameters
    ----------
    viewer : napari viewer
        Anything with `mouse_drag_callbacks` and `mouse_move_callbacks`.
    pointed : callable
        Called with the world position of a click, or of the mouse that moves with Shift held.
    """

    def __init__(self, viewer: Any, pointed: Callable[[Any], None]) -> None:
        self._viewer = viewer
        self._pointed = pointed
        self._listening = False

    def listen(self, on: bool) -> None:
        """Start or stop listening."""
        if on == self._listening:
            return
        self._listening = on
        viewer = self._viewer
        for callbacks, ours in (
            (viewer.mouse_drag_callbacks, self._pressed),
            (viewer.mouse_move_callbacks, self._moved),
        ):
            if on:
                callbacks.append(ours)
            else:
                callbacks.remove(ours)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:
        """Wait for the release: a press that moves is a drag."""
        start, position = event.pos, event.position
        farthest = 0.0
        yield
        while event.type == "mouse_move":
            farthest = max(farthest, _way(start, event.pos))
            yield
        # A busy computer may report no move at all between the press and a release elsewhere.
        if max(farthest, _way(start, event.pos)) <= STILL:
            self._pointed(position)

    def _moved(self, viewer: Any, event: Any) -> None:
        if "Shift" in event.modifiers:
            self._pointed(event.position)


def _way(start: Any, end: Any) -> float:
    """How far the mouse went along either axis, in canvas pixels."""
    return max(abs(float(b) - float(a)) for a, b in zip(start, end, strict=True))
