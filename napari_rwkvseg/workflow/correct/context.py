"""What the parts of the Correct tab share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.correct.state import CorrectState
from napari_rwkvseg.workflow.correct.subjects import Subjects
from napari_rwkvseg.workflow.runner import Runner
from napari_rwkvseg.workflow.workflow import Workflow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_rwkvseg.engine.tuner import FinetuneOptions


def default_tuning() -> FinetuneOptions:
    """Return how to learn: 45 s in all."""
    from napari_rwkvseg.engine.tuner import FinetuneOptions  # imports torch

    return FinetuneOptions()


class Suggestion(Protocol):
    """Where correcting is expected to help most."""

    @property
    def index(self) -> tuple[int, ...]:
        """Which plane, along the lead axes."""

    @property
    def area(self) -> tuple[slice, slice]:
        """Rows and columns in it."""

    @property
    def score(self) -> float:
        """The higher the better."""


class Suggest(Protocol):
    """Finds such a place."""

    def __call__(
        self,
        probability: NDArray[Any],
        planes: Callable[[tuple[int, ...]], NDArray[Any]],
        levels: NDArray[Any],
    ) -> Suggestion | None:
        """Return one, or None if everything was seen.

        Parameters
        ----------
        probability : ndarray, float, shape (K, *lead, H, W)
            Of the foreground classes.
        planes : callable
            Returns the plane (H, W, C) at an index.
        levels : ndarray, uint8, shape (*lead, H, W)
            Evidence so far.
        """


@dataclass(frozen=True)
class CorrectRunners:
    """The kinds of work of the Correct tab that go on beside each other.

    Attributes
    ----------
    learn : Runner
        A retrain and what follows it, cancelled by the person only.
    count : Runner
        Levels of evidence, the latest wish wins.
    look : Runner
        A place to go to; a prediction to try.
    shelf : Runner
        Versions: reading and changing them.
    """

    learn: Runner
    count: Runner
    look: Runner
    shelf: Runner

    def cancel(self) -> None:
        """Stop everything."""
        for runner in (self.learn, self.count, self.look, self.shelf):
            runner.cancel()


@dataclass(frozen=True, eq=False)
class Context:
    """Workflow, state, masks and runners.

    Attributes
    ----------
    tuning : callable
        Returns how to learn.
    """

    workflow: Workflow
    state: CorrectState
    subjects: Subjects
    runners: CorrectRunners
    tuning: Callable[[], FinetuneOptions] = default_tuning

    def say(self, text: str, tone: Tone = Tone.NOTE) -> None:
        """Show a sentence in the line below the tabs."""
        self.workflow.state.message = Message(text, tone)
