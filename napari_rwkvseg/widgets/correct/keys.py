"""Keys of the Correct tab, bound to the viewer while the dock lives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class ViewerKeys:
    """Binds keys that nobody else has bound, and gives them back.

    Parameters
    ----------
    viewer : napari viewer
        Anything with `bind_key`.
    actions : mapping of str to callable
        What each key does. Keys of napari's own layers go first.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], object]]) -> None:
        self._viewer = viewer
        self._actions = actions
        self._bound: list[str] = []

    def bind(self) -> None:
        """Bind what is free: another dock, or the person, may have been first."""
        for key, action in self._actions.items():
            if key in self._bound:
                continue
            try:
                self._viewer.bind_key(key, _ignoring_viewer(action))
            except ValueError:  # taken
                continue
            self._bound.append(key)

    def release(self) -> None:
        """Give the keys back."""
        while self._bound:
            self._viewer.bind_key(self._bound.pop(), None)


def _ignoring_viewer(action: Callable[[], object]) -> Callable[[Any], None]:
    def run(viewer: Any) -> None:
        action()

    return run
