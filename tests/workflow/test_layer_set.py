"""Layers come one by one, hidden first: each turn of the event loop is short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.adapters.to_layers import LayerTuple
from napari_rwkvseg.workflow.explorer.layer_set import LayerSet

GRID = np.ones((4, 4), np.float32)


def described(kind: str, data: Any = GRID) -> LayerTuple:
    place = {"scale": (1, 1), "rotate": np.eye(2), "shear": np.eye(2), "affine": np.eye(3)}
    names = {"units": ("pixel", "pixel"), "axis_labels": ("y", "x")}
    meta = {"name": kind, **place, **names, "metadata": {"rwkvseg": {"explorer": kind}}}
    return data, meta, "image"


class Turns:
    """A layer set, and an event loop that tests turn."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.waiting: list[Callable[[], None]] = []
        self.layers = LayerSet(self.viewer, self.waiting.append)

    def turn(self) -> None:
        """Run the function that waits longest."""
        self.waiting.pop(0)()

    @property
    def seen(self) -> dict[str, bool]:
        return {layer.name: layer.visible for layer in self.viewer.layers}


@pytest.fixture
def it() -> Turns:
    return Turns()


def test_each_layer_is_added_hidden_then_drawn_in_turns_of_their_own(it: Turns) -> None:
    it.layers.show((described("order"), described("path")))
    stages = [it.seen]
    while it.waiting:
        it.turn()
        stages.append(it.seen)
    assert stages == [
        {},
        {"order": False},
        {"order": False, "path": False},
        {"order": True, "path": False},
        {"order": True, "path": True},
    ]


def test_a_layer_removed_before_it_was_drawn_does_not_come_back(it: Turns) -> None:
    it.layers.show((described("order"),))
    it.turn()
    it.layers.remove()
    it.turn()
    assert it.seen == {}


def test_a_layer_emptied_before_it_was_drawn_stays_hidden_until_it_has_something(
    it: Turns,
) -> None:
    it.layers.show((described("order"),))
    it.turn()
    it.layers.show((described("order", np.empty((0, 4))),))
    while it.waiting:
        it.turn()
    assert it.seen == {"order": False}
    it.layers.show((described("order"),))
    it.turn()
    assert it.seen == {"order": True}
    assert it.waiting == []


def test_one_selected_layer_is_never_selected_together_with_ours(it: Turns) -> None:
    mine = it.viewer.add_image(GRID, name="mine")
    sizes: list[int] = []
    it.viewer.layers.selection.events.changed.connect(
        lambda event: sizes.append(len(it.viewer.layers.selection))
    )
    it.layers.show((described("order"),))
    it.turn()
    assert it.viewer.layers.selection.active is mine
    assert max(sizes) == 1


def test_several_selected_layers_stay_selected(it: Turns) -> None:
    mine = {it.viewer.add_image(GRID), it.viewer.add_image(GRID)}
    it.viewer.layers.selection.update(mine)
    it.layers.show((described("order"),))
    it.turn()
    assert set(it.viewer.layers.selection) == mine
