"""The one set of layers that the explorer has in a viewer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np

from napari_rwkvseg.adapters.to_layers import LayerTuple
from napari_rwkvseg.workflow.masks import find_layer
from napari_rwkvseg.workflow.selecting import keeping_selection, selecting_nothing

Defer = Callable[[Callable[[], None]], None]

FIXED = ("rotate", "shear", "affine", "units", "axis_labels")  # of the image: else a new layer
CHANGED = ("scale", "translate", "features", "contrast_limits")


class LayerSet:
    """Adds, refreshes and removes our layers, and leaves the person's selection alone.

    Each change of the layer list has a turn of the event loop of its own: it takes napari long
    enough to be felt, and where OpenGL is software, two layers that go without the canvas being
    drawn in between crash the process (napari 0.9 with Mesa).

    Parameters
    ----------
    viewer : napari viewer
        Anything with `layers`, `add_image` and `add_vectors`.
    defer : callable
        Runs a function in a later turn of the event loop, after the canvas was drawn.
    """

    def __init__(self, viewer: Any, defer: Defer) -> None:
        self._viewer = viewer
        self._defer = defer
        self._owned: dict[str, Hashable] = {}
        self._wanted: dict[str, LayerTuple] = {}
        self._placed: dict[str, dict[str, Any]] = {}
        self._hidden: set[str] = set()
        self._turns: deque[Callable[[], None]] = deque()

    def layer(self, kind: str) -> Any | None:
        """Return our layer of that kind, or None if it is not there."""
        uid = self._owned.get(kind)
        return None if uid is None else find_layer(self._viewer, uid)

    def show(self, described: tuple[LayerTuple, ...]) -> None:
        """Show these layers in place of ours of the same kinds."""
        for one in described:
            kind = _kind(one)
            self._wanted[kind] = one
            self._in_turn(partial(self._show_wanted, kind))

    def remove(self, *kinds: str) -> None:
        """Take layers away; all of ours if no kind is named."""
        for kind in kinds or tuple({**self._owned, **self._wanted}):
            self._wanted.pop(kind, None)
            self._hidden.discard(kind)
            uid = self._owned.pop(kind, None)
            if uid is not None:
                self._in_turn(partial(self._take_away, uid))

    def hide(self, kind: str) -> None:
        """Hide a layer until `unhide`, unless the person has hidden it already."""
        layer = self.layer(kind)
        if layer is not None and layer.visible:
            self._hidden.add(kind)
            layer.visible = False

    def unhide(self, kind: str) -> None:
        """Show a layer again that `hide` has hidden."""
        layer = self.layer(kind)
        if layer is not None and kind in self._hidden:
            layer.visible = True
        self._hidden.discard(kind)

    # ----------------------------------------------------------- one step per turn
    def _in_turn(self, step: Callable[[], None]) -> None:
        self._turns.append(step)
        if len(self._turns) == 1:
            self._defer(self._run_next)

    def _run_next(self) -> None:
        try:
            self._turns[0]()
        finally:  # a step that fails must not block those behind it
            self._turns.popleft()
            if self._turns:
                self._defer(self._run_next)

    def _show_wanted(self, kind: str) -> None:
        if kind not in self._wanted:  # removed meanwhile, or shown by an earlier turn
            return
        data, meta, _ = described = self._wanted[kind]
        layer = self.layer(kind)
        if layer is not None and len(data) and not _fits(self._placed[kind], meta):
            self.remove(kind)
            self.show((described,))  # a turn for the one that goes, a turn for the one that comes
            return
        del self._wanted[kind]
        if len(data) == 0:  # a head without blocks; removing a layer takes napari 0.3 s
            self.hide(kind)
        elif layer is None:
            self._placed[kind] = meta
            self._add(kind, described)
        else:
            _refresh(layer, data, meta)
            self.unhide(kind)

    def _add(self, kind: str, described: LayerTuple) -> None:
        data, meta, layer_type = described
        add = self._viewer.add_image if layer_type == "image" else self._viewer.add_vectors
        with selecting_nothing(self._viewer.layers):
            self._owned[kind] = add(data, **meta, visible=False).unique_id
        self._hidden.add(kind)
        self._in_turn(partial(self.unhide, kind))  # slicing and drawing take a turn, too

    def _take_away(self, uid: Hashable) -> None:
        layer = find_layer(self._viewer, uid)
        if layer is not None:
            with keeping_selection(self._viewer.layers):
                self._viewer.layers.remove(layer)


def _kind(described: LayerTuple) -> str:
    kind: str = described[1]["metadata"]["rwkvseg"]["explorer"]
    return kind


def _fits(placed: dict[str, Any], meta: dict[str, Any]) -> bool:
    """Return whether a layer placed like the one can be moved to where the other lies."""
    if len(placed["scale"]) != len(meta["scale"]):
        return False
    return all(np.array_equal(np.asarray(placed[k]), np.asarray(meta[k])) for k in FIXED)


def _refresh(layer: Any, data: Any, meta: dict[str, Any]) -> None:
    """Give a layer other values and another place; how people made it look stays."""
    seen = layer.visible
    layer.visible = False  # napari makes a thumbnail at each change of a layer that is seen
    try:
        if not np.array_equal(layer.data, data):
            layer.data = data
        for name in CHANGED:
            if name in meta and not _equal(getattr(layer, name), meta[name]):
                setattr(layer, name, meta[name])
    finally:
        layer.visible = seen


def _equal(one: Any, other: Any) -> bool:
    """Return whether two transforms are the same; tables of features never count as such."""
    return not isinstance(other, dict) and np.array_equal(np.asarray(one), np.asarray(other))
