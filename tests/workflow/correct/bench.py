"""A viewer without a window, a real library, small real networks, and work done step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.workflow import Lanes, Workflow
from napari_rwkvseg.workflow.correct import Correcting, CorrectRunners, Part, Suggest
from tests.corrected import LEARNING, discs, model
from tests.workflow.builders import StepRunner


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CorrectBench:
    """Someone at a mask; all work but the retrain is done at once."""

    def __init__(
        self,
        folder: Path,
        start: Model | None = None,
        suggest: Suggest | None = None,
        tuning: Callable[[], FinetuneOptions] = lambda: LEARNING,
    ) -> None:
        self.library = Library(folder / "models", folder / "none bundled")
        self.start = self.library.install(start or model(border=0.9))
        self.viewer = ViewerModel()
        self.clock = Clock()
        self.segmenting, self.learning = StepRunner(), StepRunner()
        lanes = Lanes(self.segmenting, *(StepRunner(eager=True) for _ in range(3)))
        self.workflow = Workflow(self.viewer, self.library, lanes)
        runners = CorrectRunners(self.learning, *(StepRunner(eager=True) for _ in range(3)))
        self.correcting = Correcting(
            self.workflow, runners, suggest=suggest, tuning=tuning, clock=self.clock
        )
        self.state = self.correcting.state

    @property
    def text(self) -> str:
        return self.workflow.state.message.text

    @property
    def mask(self) -> Any:
        """The mask layer that is corrected."""
        subject = self.correcting.subjects.current
        assert subject is not None
        return subject.layer

    def open(self, image: NDArray[Any], name: str = "discs", **keywords: Any) -> Any:
        """Add an image and segment it; return the mask."""
        self.viewer.add_image(image, name=name, **keywords)
        return self.segment()

    def segment(self) -> Any:
        self.workflow.segment()
        self.segmenting.finish()
        return self.mask

    def paint(self, where: NDArray[np.bool_] | tuple[Any, ...], label: int | NDArray[Any]) -> None:
        """Paint as one stroke."""
        index = np.nonzero(where) if isinstance(where, np.ndarray) else where
        self.mask.data_setitem(index, label)

    def spots(self, n: int) -> tuple[NDArray[np.intp], ...]:
        """Return the first pixels that show background."""
        return tuple(axis[:n] for axis in np.nonzero(self.mask.data == 0))

    def paint_truth(self, truth: NDArray[np.uint8]) -> None:
        wrong = self.mask.data != truth
        self.paint(wrong, truth[wrong])

    def retrain(self) -> None:
        """Retrain and do what follows."""
        self.correcting.models.retraining.start()
        self.learning.finish()

    def corrected(self, seed: int = 0, width: int = 11) -> Any:
        """Open discs, correct all of them, accept the image."""
        image, truth = discs(seed, width=width)
        mask = self.open(image, f"discs {seed}")
        self.paint_truth(truth)
        self.correcting.accept(Part.IMAGE)
        return mask

    def active(self) -> str:
        """Checksum of the model that its name stands for."""
        return self.library.load("small").sha256
