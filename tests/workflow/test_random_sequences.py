"""Whatever people do while the program works: no exception, and no pixel of theirs is changed.

`RWKVSEG_SEQUENCES=200 pytest tests/workflow/test_random_sequences.py` runs more sequences, other
ones each time.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from napari_rwkvseg.workflow import Extras, Region
from tests.workflow.builders import Bench

SEQUENCES = int(os.environ.get("RWKVSEG_SEQUENCES", "0"))
SIDE = 32
pixels = st.tuples(st.integers(0, 15), st.integers(0, 15))
choice = st.integers(0, 99)
CONSOLE = 250  # a label no program writes: writes in place leave no other trace


def ramp() -> NDArray[np.float32]:
    """Return all grey values, so that every threshold changes many pixels."""
    return np.linspace(0.3, 0.7, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)


class Person(RuleBasedStateMachine):
    """Someone at the window, with a memory of what they drew."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        layer = self.bench.add(ramp(), "first")
        layer.corner_pixels = np.array([[0, 0], [15, SIDE - 1]])  # the upper half is visible
        self.drawn: dict[Any, dict[tuple[int, ...], int]] = {}  # mask -> pixel -> value
        self.exchanged: set[Any] = set()  # napari's own undo is broken on these

    # ------------------------------------------------------------- the program
    @rule()
    def segment(self) -> None:
        self.bench.workflow.segment()

    @rule(n=st.integers(1, 4))
    def time_passes(self, n: int) -> None:
        for _ in range(n):
            self.bench.segmenting.step()

    @rule()
    def the_run_ends(self) -> None:
        self.bench.segmenting.finish()

    @rule(threshold=st.sampled_from([0.02, 0.5, 0.9]))
    def a_whole_run(self, threshold: float) -> None:
        self._set(threshold=threshold)
        self.bench.run()
        self.bench.settle()

    @rule()
    def small_work_ends(self) -> None:
        self.bench.settle()

    @rule()
    def cancel(self) -> None:
        self.bench.workflow.cancel()

    @rule(threshold=st.sampled_from([0.02, 0.5, 0.9]))
    def move_the_threshold(self, threshold: float) -> None:
        self._set(threshold=threshold)
        self.bench.settle()

    @rule(separate=st.booleans())
    def switch_to_objects(self, separate: bool) -> None:
        self._set(separate=separate)

    @rule(region=st.sampled_from(Region))
    def choose_a_region(self, region: Region) -> None:
        self.bench.workflow.set_region(region)

    @rule(on=st.booleans())
    def ask_for_maps(self, on: bool) -> None:
        self.bench.workflow.set_extras(Extras(on, on))

    # -------------------------------------------------------------- the person
    @precondition(lambda self: self.masks)
    @rule(which=choice, at=pixels, label=st.integers(0, 9))
    def paint(self, which: int, at: tuple[int, int], label: int) -> None:
        mask = self._mask(which)
        where = self._block(mask, at)
        where = tuple(i[mask.data[where] != label] for i in where)  # the rest was right already
        mask.data_setitem(where, label)
        self._remember(mask, where, label)

    @precondition(lambda self: self.masks)
    @rule(which=choice, at=pixels)
    def write_in_place(self, which: int, at: tuple[int, int]) -> None:
        mask = self._mask(which)
        where = self._block(mask, at)
        mask.data[where] = CONSOLE
        self._remember(mask, where, CONSOLE)

    @precondition(lambda self: self.masks)
    @rule(which=choice, back=st.booleans())
    def undo_or_redo(self, which: int, back: bool) -> None:
        mask = self._mask(which)
        if mask not in self.exchanged:
            (mask.undo if back else mask.redo)()
            for at in self.drawn.get(mask, {}):
                self.drawn[mask][at] = int(mask.data[at])

    @rule(which=choice, kind=st.sampled_from(["exchange", "remove", "change", "open", "close"]))
    def upheaval(self, which: int, kind: str) -> None:
        """Do one of the things that change much; one rule, so that they stay rare."""
        if kind == "exchange" and self.masks:
            self._exchange_a_mask(which, (SIDE, 20)[which % 2])
        elif kind == "remove" and len(self.bench.viewer.layers) > 1:
            self._remove(which)
        elif kind == "change":
            self._change_the_image([(SIDE, SIDE), (48, 40), (1, 9), (4, SIDE, SIDE)][which % 4])
        elif kind == "open" and len(self.bench.viewer.layers) < 6:
            self.bench.add(200 * ramp(), "next")
        elif kind == "close":
            self.bench.workflow.close()

    def _exchange_a_mask(self, which: int, side: int) -> None:
        mask = self._mask(which)
        mask.data = np.full((side, side), 3, np.uint8)
        self.exchanged.add(mask)
        self.drawn[mask] = {(i, i): 3 for i in range(side)}

    @rule(which=choice, name=st.sampled_from(["a", "cells", "first · mask"]))
    def rename(self, which: int, name: str) -> None:
        if layers := list(self.bench.viewer.layers):
            layers[which % len(layers)].name = name

    def _remove(self, which: int) -> None:
        layers = list(self.bench.viewer.layers)
        layer = layers[which % len(layers)]
        self.drawn.pop(layer, None)
        self.bench.viewer.layers.remove(layer)

    def _change_the_image(self, shape: tuple[int, ...]) -> None:
        layer = self.bench.state.image
        if layer is not None:
            layer.data = np.resize(ramp(), shape)

    @rule(which=choice)
    def click_a_layer(self, which: int) -> None:
        if layers := list(self.bench.viewer.layers):
            self.bench.viewer.layers.selection.active = layers[which % len(layers)]

    # ------------------------------------------------------------------ always
    @invariant()
    def what_was_drawn_is_there(self) -> None:
        for mask, values in self.drawn.items():
            assert mask in self.bench.viewer.layers, "a layer with strokes was removed"
            for at, value in values.items():
                assert mask.data[at] == value

    @invariant()
    def the_button_tells_the_truth(self) -> None:
        assert self.bench.state.running == self.bench.segmenting.busy

    @invariant()
    def the_chosen_image_exists(self) -> None:
        image = self.bench.state.image
        assert image is None or image in self.bench.viewer.layers

    # ----------------------------------------------------------------- helpers
    @property
    def masks(self) -> list[Any]:
        return [layer for layer in self.bench.viewer.layers if type(layer).__name__ == "Labels"]

    def _mask(self, which: int) -> Any:
        return self.masks[which % len(self.masks)]

    def _remember(self, mask: Any, where: tuple[NDArray[Any], ...], label: int) -> None:
        drawn = self.drawn.setdefault(mask, {})
        drawn.update(dict.fromkeys(zip(*(i.tolist() for i in where), strict=True), label))

    @staticmethod
    def _block(mask: Any, at: tuple[int, int]) -> tuple[NDArray[Any], ...]:
        """Return the indices of a brush stroke of 8 x 8 pixels, cut at the border."""
        block = np.zeros(mask.data.shape, bool)
        rows, cols = (slice(start, start + 8) for start in at)
        block[(0,) * (block.ndim - 2) + (rows, cols)] = True
        return np.nonzero(block)

    def _set(self, **changes: Any) -> None:
        workflow = self.bench.workflow
        workflow.set_options(replace(workflow.state.options, **changes))


Person.TestCase.settings = settings(
    max_examples=SEQUENCES or 20,
    stateful_step_count=25,
    deadline=None,
    derandomize=not SEQUENCES,
    suppress_health_check=list(HealthCheck),
)
TestPerson = Person.TestCase
