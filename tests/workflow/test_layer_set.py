"""The explorer's layers change one per turn, in order, whatever happens between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.workflow.explorer.layer_set import LayerSet


class Turns:
    """A viewer, a set of layers, and turns of an event loop that are run by hand."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.waiting: deque[Callable[[], None]] = deque()
        self.layers = LayerSet(self.viewer, self.waiting.append)

    def run(self, count: int = 99) -> None:
        while self.waiting and count > 0:
            self.waiting.popleft()()
            count -= 1

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


def described(kind: str, value: float = 1.0, **meta: Any) -> tuple[Any, dict[str, Any], str]:
    mark = {"rwkvseg": {"explorer": kind}}
    placed = {"rotate": 0.0, "shear": [0.0], "affine": np.eye(3), "units": ("pixel",) * 2}
    common = {"scale": (1, 1), "axis_labels": ("y", "x"), "contrast_limits": (0, 9)}
    return (
        np.full((2, 2), value),
        {"name": kind, "metadata": mark, **placed, **common, **meta},
        ("image"),
    )


def test_each_layer_comes_and_is_drawn_in_a_turn_of_its_own() -> None:
    turns = Turns()
    turns.layers.show((described("a"), described("b")))
    assert turns.names == []
    turns.run(1)
    assert [(x.name, x.visible) for x in turns.viewer.layers] == [("a", False)]
    turns.run()
    assert [(x.name, x.visible) for x in turns.viewer.layers] == [("a", True), ("b", True)]


def test_layers_go_one_per_turn() -> None:
    turns = Turns()
    turns.layers.show((described("a"), described("b"), described("c")))
    turns.run()
    turns.layers.remove()
    assert turns.layers.layer("a") is None
    left = []
    while turns.waiting:
        turns.run(1)
        left.append(turns.names)
    assert left == [["b", "c"], ["c"], []]


def test_a_layer_that_cannot_be_moved_goes_before_its_successor_comes() -> None:
    turns = Turns()
    turns.layers.show((described("a"),))
    turns.run()
    turns.layers.show((described("a", rotate=30.0),))
    seen = []
    while turns.waiting:
        turns.run(1)
        seen.append(len(turns.names))
    assert (max(seen), turns.names) == (1, ["a"])
    assert turns.viewer.layers["a"].rotate[0, 1] != 0


def test_what_is_removed_before_its_turn_never_comes() -> None:
    turns = Turns()
    turns.layers.show((described("a"),))
    turns.layers.remove()
    turns.run()
    assert turns.names == []


def test_a_step_that_fails_does_not_block_those_behind_it() -> None:
    turns = Turns()
    turns.layers.show((described("a", blending="none such"), described("b")))
    with pytest.raises(ValueError, match="none such"):
        turns.run()
    turns.run()
    assert turns.names == ["b"]


def test_refreshing_keeps_a_hidden_layer_hidden_and_moves_it() -> None:
    turns = Turns()
    turns.layers.show((described("a"),))
    turns.run()
    layer = turns.viewer.layers["a"]
    layer.visible = False
    turns.layers.show((described("a", value=5, scale=(2, 2)),))
    turns.run()
    assert turns.viewer.layers["a"] is layer
    assert (layer.visible, layer.scale.tolist(), layer.data[0, 0]) == (False, [2, 2], 5)


def test_adding_tells_nobody_of_another_selection() -> None:
    turns = Turns()
    mine = turns.viewer.add_image(np.zeros((2, 2)), name="mine")
    changes: list[Any] = []
    turns.viewer.layers.selection.events.changed.connect(changes.append)
    turns.layers.show((described("a"),))
    turns.run()
    assert turns.viewer.layers.selection == {mine}
    assert turns.viewer.layers.selection.active is mine
    assert changes == []
