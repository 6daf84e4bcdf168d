"""A mask comes in steps, each in a turn of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.workflow.masks import MaskLink
from napari_rwkvseg.workflow.placing import Placer
from tests.fakes import fake_model

LABELS = np.arange(12, dtype=np.int32).reshape(3, 4)


class Turns:
    """A viewer, a placer with one mask on its way, and an event loop that tests turn."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.waiting: list[Callable[[], None]] = []
        self.filled = 0
        self.placer = Placer(self.viewer, self.waiting.append)
        card = fake_model(objects=True).card
        self.link: MaskLink = self.placer.add_mask(
            LABELS, "mask", Geometry({}), card, True, lambda: None, self._count
        )

    def _count(self, link: MaskLink) -> None:
        assert link.layer is self.layer
        self.filled += 1

    def turn(self) -> None:
        """Run what waits; what it defers waits for the next turn."""
        waiting, self.waiting[:] = self.waiting[:], []
        for function in waiting:
            function()

    @property
    def layer(self) -> Any:
        return self.viewer.layers[0]


@pytest.fixture
def it() -> Turns:
    return Turns()


def test_it_is_added_small_and_hidden(it: Turns) -> None:
    assert it.layer.data.shape == (1, 1)
    assert not it.layer.visible
    assert it.viewer.layers.selection.active is None
    assert it.placer.busy


def test_one_turn_later_it_is_in_hand_but_not_yet_drawn(it: Turns) -> None:
    it.turn()
    assert it.viewer.layers.selection.active is it.layer
    assert not it.layer.visible


def test_two_turns_later_it_is_drawn_but_not_yet_filled(it: Turns) -> None:
    it.turn()
    it.turn()
    assert it.layer.visible
    assert it.layer.data.shape == (1, 1)
    assert it.filled == 0


def test_three_turns_later_it_is_filled_and_nothing_is_left_to_do(it: Turns) -> None:
    it.turn()
    it.turn()
    it.turn()
    assert np.array_equal(it.layer.data, LABELS)
    assert it.layer.extent.data.tolist() == [[0, 0], [2, 3]]
    assert it.link.pristine
    assert it.filled == 1
    assert not it.placer.busy
    assert it.waiting == []


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_layer_removed_meanwhile_does_not_come_back(it: Turns, turns: int) -> None:
    for _ in range(turns):
        it.turn()
    it.viewer.layers.clear()
    for _ in range(3):
        it.turn()
    assert len(it.viewer.layers) == 0
    assert it.filled == 0
    assert not it.placer.busy


def test_a_layer_that_somebody_filled_is_shown_as_it_is(it: Turns) -> None:
    it.layer.data = np.full((2, 2), 7)
    for _ in range(3):
        it.turn()
    assert it.layer.visible
    assert (it.layer.data == 7).all()
    assert it.filled == 0
