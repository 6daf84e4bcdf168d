"""Whatever people do, undo gives back exactly what was there, and their pixels stay theirs.

`RWKVSEG_SEQUENCES=500 pytest tests/workflow/correct/test_sequences.py` runs more sequences, other
ones each time.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from napari_rwkvseg.engine.judge import Verdict
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.workflow.correct import Part, Report, jobs
from napari_rwkvseg.workflow.correct.jobs import Learnt, Lesson
from napari_rwkvseg.workflow.correct.subject import Subject
from tests.corrected import model
from tests.workflow.correct.bench import CorrectBench

SEQUENCES = int(os.environ.get("RWKVSEG_SEQUENCES", "0"))
SIDE = 24
BORDERS = (0.35, 0.5, 0.65)
ANSWERS = ("better", "cannot tell", "worse")
MODELS = {border: model(border, sha256="") for border in BORDERS}


def ramp() -> NDArray[np.float32]:
    return np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)


def fake_learn(border: float, answer: Any, lesson: Lesson, token: CancelToken) -> Job[Learnt]:
    """Take three steps to a model with another border, whatever the corrections say."""
    for step in range(3):
        token.raise_if_cancelled()
        yield Progress(step + 1, 3, "Retraining", (("loss", 1.0),))
    verdict = Verdict(answer, "", fresh=None)  # type: ignore[arg-type]
    parent = lesson.load().sha256

    def keep() -> Report:
        version = lesson.library.install(MODELS[border], activate=answer == "better")
        return Report(verdict, "small", version.sha256, parent, "small")

    return Learnt(keep, ())


@dataclass
class Mirror:
    """What undo and redo of a layer must lead to: what is shown, and what is the model's."""

    states: list[tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=list)
    now: int = 0

    def push(self, shown: NDArray[Any], base: NDArray[Any]) -> None:
        self.states[self.now + 1 :] = [(shown.copy(), base.copy())]
        self.now = len(self.states) - 1


class Person(RuleBasedStateMachine):
    """Someone who corrects, accepts, retrains, and changes their mind."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.environment = mock.patch.dict(os.environ, NAPARI_RWKVSEG_DATA=self.folder.name)
        self.environment.start()
        self.bench = CorrectBench(Path(self.folder.name), MODELS[0.5])
        self.bench.library.install(MODELS[0.35], activate=False)
        self.bench.viewer.add_image(ramp(), name="ramp")
        self.mirrors: dict[Any, Mirror] = {}
        self.program(self.bench.segment)

    def teardown(self) -> None:
        self.environment.stop()
        self.folder.cleanup()

    # -------------------------------------------------------------- the program
    @precondition(lambda self: self.idle)
    @rule()
    def segment(self) -> None:
        self.program(self.bench.segment)

    @precondition(lambda self: self.idle and self.bench.state.images)
    @rule(border=st.sampled_from(BORDERS), answer=st.sampled_from(ANSWERS))
    def retrain(self, border: float, answer: str) -> None:
        def learn(lesson: Lesson, token: CancelToken) -> Job[Learnt]:
            return fake_learn(border, answer, lesson, token)

        with mock.patch.object(jobs, "learn", learn):
            self.bench.correcting.models.retraining.start()

    @rule(n=st.integers(1, 3))
    def time_passes(self, n: int) -> None:
        for _ in range(n):
            self.program(self.bench.learning.step)

    @rule()
    def the_work_ends(self) -> None:
        self.program(self.bench.learning.finish)

    @rule()
    def cancel(self) -> None:
        self.program(self.bench.correcting.models.retraining.cancel)

    @rule()
    def go_back(self) -> None:
        self.program(self.bench.correcting.models.go_back)

    @precondition(lambda self: self.bench.state.versions)
    @rule(which=st.integers(0, 9))
    def choose_a_version(self, which: int) -> None:
        versions = self.bench.state.versions
        chosen = versions[which % len(versions)]
        self.program(lambda: self.bench.correcting.models.activate("small", chosen.sha256))

    @rule()
    def reset(self) -> None:
        painted, accepted = (self.mask.data != self.base).any(), self.bench.state.accepted
        self.program(self.bench.correcting.reset, resets=True)
        np.testing.assert_array_equal(self.mask.data, self.base)
        assert self.bench.state.accepted == (0 if painted else accepted)

    # --------------------------------------------------------------- the person
    @rule(
        row=st.integers(0, 18), column=st.integers(0, 18), label=st.integers(0, 1),
        size=st.sampled_from([1, 6, 24]),
    )  # fmt: skip
    def paint(self, row: int, column: int, label: int, size: int) -> None:
        block = np.zeros(self.mask.data.shape, bool)
        block[row : row + size, column : column + size] = True
        if (self.mask.data[block] != label).any():
            self.bench.paint(block, label)
            self.mirror.push(self.mask.data, self.base)

    @rule(part=st.sampled_from(Part))
    def accept(self, part: Part) -> None:
        self.bench.correcting.accept(part)

    @rule()
    def take_back(self) -> None:
        self.bench.correcting.take_back()

    @rule()
    def undo(self) -> None:
        self.mask.undo()
        self.mirror.now = max(self.mirror.now - 1, 0)

    @rule()
    def redo(self) -> None:
        self.mask.redo()
        self.mirror.now = min(self.mirror.now + 1, len(self.mirror.states) - 1)

    @rule()
    def look_elsewhere(self) -> None:
        self.mask.refresh()

    @rule(on=st.booleans())
    def show_layers(self, on: bool) -> None:
        self.bench.correcting.set_overlay(on)
        self.bench.correcting.models.set_comparing(on)

    # ------------------------------------------------------------------- always
    @invariant()
    def undo_and_redo_are_exact(self) -> None:
        for layer, mirror in self.mirrors.items():
            np.testing.assert_array_equal(layer.data, mirror.states[mirror.now][0])

    @invariant()
    def what_counts_as_the_models_follows(self) -> None:
        for layer, mirror in self.mirrors.items():
            np.testing.assert_array_equal(self.base_of(layer), mirror.states[mirror.now][1])

    @invariant()
    def the_counts_tell_the_truth(self) -> None:
        assert self.bench.state.count.changed == np.count_nonzero(self.mask.data != self.base)

    @invariant()
    def the_button_tells_the_truth(self) -> None:
        assert self.bench.state.running == self.bench.learning.busy

    # ------------------------------------------------------------------ helpers
    @property
    def idle(self) -> bool:
        return not self.bench.state.running

    @property
    def mask(self) -> Any:
        return self.bench.mask

    @property
    def base(self) -> NDArray[Any]:
        return self.base_of(self.mask)

    @property
    def mirror(self) -> Mirror:
        return self.mirrors[self.mask]

    def subject(self, layer: Any) -> Subject:
        found = self.bench.correcting.subjects.find(layer.unique_id)
        assert found is not None
        return found

    def base_of(self, layer: Any) -> NDArray[Any]:
        written = self.subject(layer).link.written()
        assert written is not None
        return written

    def program(self, action: Any, resets: bool = False) -> None:
        """Let the program act; take note of what it wrote, which must not be a person's.

        It may write into several masks: a better model's result follows in all that taught it and
        in the one in sight.
        """
        before = {
            layer: (layer.data.copy(), self.corrected(layer), self.subject(layer).link.pristine)
            for layer in self.mirrors
        }
        action()
        for layer, (shown, theirs, pristine) in before.items():
            if not resets:
                np.testing.assert_array_equal(layer.data[theirs], shown[theirs])
            if not np.array_equal(layer.data, shown):
                if pristine and action == self.bench.segment:  # no undo: the array is new
                    self.mirrors[layer] = Mirror()
                self.mirrors[layer].push(layer.data, self.base_of(layer))
        if self.mask not in before:
            self.mirrors[self.mask] = Mirror()
            self.mirror.push(self.mask.data, self.base)

    def corrected(self, layer: Any) -> NDArray[np.bool_]:
        """Return what is a person's: changed or accepted."""
        found = np.asarray(layer.data != self.base_of(layer))
        for region in self.subject(layer).reviewed:
            found[region] = True
        return found


Person.TestCase.settings = settings(
    max_examples=SEQUENCES or 10,
    stateful_step_count=25,
    deadline=None,
    derandomize=not SEQUENCES,
    suppress_health_check=list(HealthCheck),
)
TestPerson = Person.TestCase


def test_a_better_model_writes_undoably_into_every_mask_that_taught_it() -> None:
    """The mask in sight is another than the one with corrections; both follow, both go back."""
    person = Person()
    person.paint(row=15, column=0, label=0, size=1)
    taught = person.mask
    person.segment()
    in_sight = person.mask
    assert in_sight is not taught
    before = [layer.data.copy() for layer in (taught, in_sight)]
    person.retrain(border=0.35, answer="better")
    person.the_work_ends()
    assert "px of 2 masks followed; Ctrl-Z in each brings them back." in person.bench.text
    for layer, old in zip((taught, in_sight), before, strict=True):
        assert (layer.data != old).any()
        layer.undo()
        np.testing.assert_array_equal(layer.data, old)
    person.teardown()
