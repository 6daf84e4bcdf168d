"""The one set of layers that the explorer has in a viewer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np

from napari_rwkvseg.adapters.to_layers import LayerTuple
from napari_rwkvseg.workflow.masks import find_layer

Defer = Callable[[Callable[[], None]], None]

FIXED = ("rotate", "shear", "affine", "units", "axis_labels")  # of the image: else a new layer
CHANGED = ("scale", "translate", "features", "contrast_limits")


class LayerSet:
    """Adds, refreshes and removes our layers, and leaves the person's selection alone.

    Each layer is added hidden in a turn of the event loop of its own, and drawn in another:
    both take napari long enough to be felt.

    Parameters
    ----------
    viewer : napari viewer
        Anything with `layers`, `add_image` and `add_vectors`.
    defer : callable
        Runs a function in a later turn of the event loop.
    """

    def __init__(self, viewer: Any, defer: Defer) -> None:
        self._viewer = viewer
        self._defer = defer
        self._owned: dict[str, Hashable] = {}
        self._wanted: dict[str, LayerTuple] = {}
        self._placed: dict[str, dict[str, Any]] = {}
        self._new: set[str] = set()  # added, but not drawn yet
        self._hidden: set[str] = set()  # by us, because there is nothing to show

    def layer(self, kind: str) -> Any | None:
        """Return our layer of that kind, or None if it is not there."""
        uid = self._owned.get(kind)
        return None if uid is None else find_layer(self._viewer, uid)

    def show(self, described: tuple[LayerTuple, ...]) -> None:
        """Show these layers in place of ours of the same kinds."""
        for one in described:
            kind = _kind(one)
            self._wanted[kind] = one
            self._defer(partial(self._show_wanted, kind))

    def remove(self, *kinds: str) -> None:
        """Take layers away; all of ours if no kind is named."""
        for kind in kinds or (*self._owned, *self._wanted):
            self._wanted.pop(kind, None)
            self._new.discard(kind)
            self._hidden.discard(kind)
            layer = self.layer(kind)
            self._owned.pop(kind, None)
            if layer is not None:
                self._keeping_selection(partial(self._viewer.layers.remove, layer))

    def _show_wanted(self, kind: str) -> None:
        described = self._wanted.pop(kind, None)
        if described is None:  # removed meanwhile, or shown by an earlier turn
            return
        data, meta, _ = described
        layer = self.layer(kind)
        if len(data) == 0:  # a head without blocks; removing a layer takes napari 0.3 s
            self._hide(kind, layer)
            return
        if layer is not None and _fits(self._placed[kind], meta):
            _refresh(layer, data, meta)
            if kind in self._hidden:
                self._hidden.discard(kind)
                layer.visible = True
            return
        self.remove(kind)
        self._placed[kind] = meta
        self._keeping_selection(partial(self._add, kind, described))

    def _hide(self, kind: str, layer: Any | None) -> None:
        """Hide a layer that has nothing to show, unless the person has hidden it already."""
        if kind in self._new:
            self._new.discard(kind)
            self._hidden.add(kind)
        elif layer is not None and layer.visible:
            self._hidden.add(kind)
            layer.visible = False

    def _add(self, kind: str, described: LayerTuple) -> None:
        data, meta, layer_type = described
        add = self._viewer.add_image if layer_type == "image" else self._viewer.add_vectors
        self._owned[kind] = add(data, **meta, visible=False).unique_id
        self._new.add(kind)
        self._defer(partial(self._draw, kind))

    def _draw(self, kind: str) -> None:
        """Make a new layer visible, if it is still wanted."""
        layer = self.layer(kind)
        if layer is not None and kind in self._new:
            self._new.discard(kind)
            layer.visible = True

    def _keeping_selection(self, change: Callable[[], object]) -> None:
        """Change the layer list; napari selects what is added, or a neighbour of what goes."""
        layers = self._viewer.layers
        chosen = {layer.unique_id for layer in layers.selection}
        change()
        kept = [layer for layer in layers if layer.unique_id in chosen]
        if len(kept) == 1:
            layers.selection.active = kept[0]  # napari has its widgets: for two it makes new ones
        else:
            layers.selection.update(kept)
            layers.selection.intersection_update(kept)


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
    if not np.array_equal(layer.data, data):
        layer.data = data
    for name in CHANGED:
        if name in meta:
            setattr(layer, name, meta[name])
