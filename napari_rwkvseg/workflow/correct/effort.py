"""Time that people spend on correcting, as they would state it in a methods section."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from napari_rwkvseg.workflow.correct.state import BeforeScore

IDLE = 30.0  # seconds without any action: from then on nobody is at work


class Stopwatch:
    """Adds up the time between actions; a longer pause does not count.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds = 0.0

    def resume(self) -> None:
        """Begin anew at this moment: the person turns to this image."""
        self._last = self._clock()

    def touch(self) -> None:
        """Take note of an action."""
        now = self._clock()
        if now - self._last <= IDLE:
            self.seconds += now - self._last
        self._last = now


def methods_text(seconds: Sequence[float], before: BeforeScore | None, models: int) -> str:
    """Return sentences for a methods section.

    Parameters
    ----------
    seconds : sequence of float
        Per image of which something was accepted.
    before : BeforeScore or None
        How right predictions were before correction.
    models : int
        Versions that were trained.
    """
    if not seconds:
        return "No image was accepted yet."
    n = len(seconds)
    sentences = [
        f"{n} {'image was' if n == 1 else 'images were'} corrected in napari-rwkvseg; this took "
        f"{statistics.median(seconds):.0f} s per image (median; total {sum(seconds) / 60:.1f} min; "
        f"pauses longer than {IDLE:.0f} s are not counted)."
    ]
    if before is not None:
        sentences.append(before_text(before))
    if models:
        sentences.append(f"The model was retrained on the corrections {times(models)}.")
    return " ".join(sentences)


def short_before(before: BeforeScore) -> str:
    """Return the running score for the dock."""
    images = f"{before.images} image{'s' * (before.images != 1)}"
    return (
        f"How right the model was before you corrected: Dice {before.dice:.3f} on {images} "
        "(biased: you chose them)."
    )


def before_text(before: BeforeScore) -> str:
    """Return the running score with what it is worth."""
    images = f"{before.images} image{'s' * (before.images != 1)}"
    return (
        f"Before correction, predictions agreed with the accepted regions with a Dice of "
        f"{before.dice:.3f} on {images} (biased: the images were chosen by the person who "
        "corrected them, who saw the prediction)."
    )


def times(n: int) -> str:
    """Return "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(n, f"{n} times")
