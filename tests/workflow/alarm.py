"""Time that goes on when a test says so."""

from __future__ import annotations

from collections.abc import Callable


class Alarm:
    """Stands in for timers and for the clock."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def after(self, function: Callable[[], None], seconds: float) -> None:
        self._due.append((self.now + seconds, function))

    def clock(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Call what becomes due, in the order of time."""
        end = self.now + seconds
        while due := sorted((entry for entry in self._due if entry[0] <= end), key=first):
            self._due.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        self.now = end

    @property
    def waiting(self) -> int:
        return len(self._due)


def first(entry: tuple[float, Callable[[], None]]) -> float:
    return entry[0]
