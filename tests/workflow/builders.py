"""Builders for tests of the workflow: a viewer without a window, work done step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Job, Progress
from napari_rwkvseg.errors import ModelNotFoundError, RwkvSegError
from napari_rwkvseg.workflow import JobResult, Lanes, Workflow
from tests.fakes import fake_model


class StepRunner:
    """A runner that does nothing by itself: tests decide when the work goes on.

    `eager` runners finish a job at once.
    """

    def __init__(self, eager: bool = False) -> None:
        self._eager = eager
        self._job: Job[Any] | None = None
        self.token = CancelToken()
        self.started = 0

    def start(
        self,
        job: Job[Any],
        token: CancelToken,
        on_progress: Callable[[Progress], None],
        on_done: Callable[[JobResult], None],
    ) -> None:
        self.cancel()
        self.started += 1
        self._job, self.token, self._progress, self._done = job, token, on_progress, on_done
        if self._eager:
            self.finish()

    def cancel(self) -> None:
        self.token.cancel()
        self._job = None

    @property
    def busy(self) -> bool:
        return self._job is not None

    def step(self) -> None:
        """Advance the job by one event, or to its end."""
        if (job := self._job) is None:
            return
        try:
            event = next(job)
        except StopIteration as end:
            self._end(JobResult(value=end.value))
        except Cancelled:
            self._end(JobResult(cancelled=True))
        except RwkvSegError as error:
            self._end(JobResult(error=str(error)))
        else:
            self._progress(event)

    def finish(self) -> None:
        """Run the job to its end."""
        while self._job is not None:
            self.step()

    def _end(self, result: JobResult) -> None:
        self._job = None
        self._done(result)


class FakeLibrary:
    """Models that find what is bright; nothing on disk."""

    def __init__(self, *models: Model) -> None:
        self.models = {m.card.name: m for m in models or (fake_model(),)}
        self.trash: list[tuple[str, Model]] = []

    def names(self) -> tuple[str, ...]:
        return tuple(self.models)

    def card(self, name: str) -> ModelCard:
        return self.models[name].card

    def load(self, name_or_path: str | Path) -> Model:
        if name_or_path not in self.models:
            raise ModelNotFoundError(f"No model {name_or_path!r}.")
        return self.models[str(name_or_path)]

    def path(self, name: str) -> Path:
        raise ModelNotFoundError(f"No model {name!r}.")

    def install(self, source: str | Path | Model) -> Any:
        raise ModelNotFoundError(f"No model file {source!r}.")

    def versions(self, name: str) -> tuple[Any, ...]:
        return ()

    def activate(self, name: str, sha256: str) -> Any:
        raise ModelNotFoundError(f"No version {sha256!r}.")

    def delete(self, name: str) -> Any:
        self.trash.append((name, self.models.pop(name)))
        return self.trash[-1]

    def restore(self, trashed: Any) -> None:
        self.models[trashed[0]] = trashed[1]


class Bench:
    """A viewer, a workflow, and the four runners behind it."""

    def __init__(self, *models: Model, eager: bool = False) -> None:
        self.viewer = ViewerModel()
        self.segmenting = StepRunner()
        self.refining = StepRunner(eager)
        self.measuring = StepRunner(eager)
        self.storing = StepRunner(eager=True)
        lanes = Lanes(self.segmenting, self.refining, self.measuring, self.storing)
        self.workflow = Workflow(self.viewer, FakeLibrary(*models), lanes)
        self.state = self.workflow.state

    def add(self, array: NDArray[Any], name: str = "cells", **keywords: Any) -> Any:
        return self.viewer.add_image(array, name=name, **keywords)

    def run(self) -> Any:
        """Segment to the end; return the top layer."""
        self.workflow.segment()
        self.segmenting.finish()
        return self.viewer.layers[-1]

    def settle(self) -> None:
        """Finish all small work."""
        while self.refining.busy or self.measuring.busy:
            self.refining.finish()
            self.measuring.finish()

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


def square(side: int = 32, lo: float = 0, hi: float = 1) -> NDArray[np.float32]:
    """A bright square of side/2 in the middle, and one dim pixel row above it."""
    image = np.full((side, side), lo, np.float32)
    quarter = side // 4
    image[quarter:-quarter, quarter:-quarter] = hi
    image[1] = lo + 0.4 * (hi - lo)
    return image
