"""Where results go: a new layer, a refreshed one, never over a person's work."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.adapters.to_layers import Geometry, map_layer, mask_layer
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.workflow.masks import MaskLink, find_layer, move
from napari_rwkvseg.workflow.selecting import selecting_nothing

Defer = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, eq=False)
class _Map:
    """A layer that shows a map: what we last wrote into it, and where we put it."""

    uid: Hashable
    data: NDArray[Any]
    geometry: Geometry

    def layer_in(self, viewer: Any) -> LayerLike | None:
        """Return the layer if it still shows our array."""
        layer = find_layer(viewer, self.uid)
        return layer if layer is not None and layer.data is self.data else None


class Placer:
    """Adds result layers to a viewer, in steps short enough to keep the window alive.

    Adding a large Labels layer that is visible takes napari 0.2 s in one go: its widgets, the
    first drawing, the colours of all pixels. Adding a hidden placeholder of one pixel, selecting
    it, showing it, and exchanging its array, each in its own turn of the event loop, takes four
    short steps.

    Parameters
    ----------
    viewer : napari viewer
        Anything with `layers`, `add_labels` and `add_image`.
    defer : callable
        Runs a function in a later turn of the event loop; at once where there is none.
    """

    def __init__(self, viewer: Any, defer: Defer) -> None:
        self._viewer = viewer
        self._defer = defer
        self._unfilled = 0
        self._maps: dict[tuple[Hashable, str], _Map] = {}

    @property
    def busy(self) -> bool:
        """Whether a mask is on its way that does not show its result yet."""
        return self._unfilled > 0

    def add_mask(
        self,
        labels: NDArray[Any],
        name: str,
        geometry: Geometry,
        card: ModelCard,
        objects: bool,
        on_edit: Callable[[], None],
        on_filled: Callable[[MaskLink], None],
        base: NDArray[Any] | None = None,
        select: bool = True,
        owner: Hashable = None,
    ) -> MaskLink:
        """Add a Labels layer; it shows `labels`, shape (*lead, H, W), some turns later.

        `base`, of the same shape, is what of them is the model's, if not all. `select` says
        whether people shall have it in hand, as napari does with what is added. `owner` is the
        unique id of the image layer.
        """
        placeholder = np.zeros((1,) * labels.ndim, labels.dtype)
        data, meta, _ = mask_layer(placeholder, name, geometry, card, objects, owner)
        with selecting_nothing(self._viewer.layers):
            layer = self._real(self._viewer.add_labels(data, **meta, visible=False))
        link = MaskLink(self._viewer, layer, geometry, objects, on_edit)

        def fill() -> None:
            self._unfilled -= 1
            if link.fill(labels, base):
                on_filled(link)

        def show() -> None:
            link.show()
            self._defer(fill)  # not before: napari forgets the new extent of a hidden layer

        def choose() -> None:
            if select:
                link.select()
            self._defer(show)

        self._unfilled += 1
        self._defer(choose)
        return link

    def replace_mask(self, old: MaskLink, new: MaskLink) -> None:
        """Put the layer of `new` where that of `old` is, and take the old one away."""
        before, after = old.layer, new.layer
        if before is None or after is None:
            return
        name, layers = before.name, self._viewer.layers
        place = _position(layers, before)
        layers.pop(place)
        layers.move(_position(layers, after), place)
        after.name = name

    def show_map(
        self,
        owner: Hashable,
        kind: str,
        values: NDArray[np.float16],
        colormap: str,
        name: str,
        geometry: Geometry,
        card: ModelCard,
    ) -> None:
        """Add or refresh the layer of one map of one image.

        Parameters
        ----------
        owner : hashable
            Identity of the image layer.
        kind : str
            "probability" or "uncertainty".
        values : ndarray float16, shape (*lead, H, W), 0..1
            What to show.
        colormap, name : str
            For a new layer.
        geometry : Geometry
            Of the image layer.
        card : ModelCard
            Of the model.
        """
        fitted = geometry.fit(values)
        ours = self._maps.get((owner, kind))
        layer = None if ours is None else ours.layer_in(self._viewer)
        if ours is not None and layer is not None and np.shape(layer.data) == fitted.shape:
            layer.data = fitted
            move(layer, ours.geometry, geometry)
        else:
            data, meta, _ = map_layer(values, name, geometry, card, colormap)
            layer = self._real(self._viewer.add_image(data, **meta))
        self._maps[owner, kind] = _Map(layer.unique_id, layer.data, geometry)

    def move_maps(self, owner: Hashable, geometry: Geometry) -> None:
        """Let the maps of an image lie where the image lies now."""
        for key, ours in self._maps.items():
            layer = ours.layer_in(self._viewer) if key[0] == owner else None
            if layer is not None:
                move(layer, ours.geometry, geometry)
                self._maps[key] = replace(ours, geometry=geometry)

    def forget(self, uid: Hashable) -> None:
        """Let go of the maps of a layer that was removed: an image, or a map itself."""
        self._maps = {
            key: kept for key, kept in self._maps.items() if uid not in (key[0], kept.uid)
        }

    def _real(self, added: LayerLike) -> LayerLike:
        """Return the layer behind what a proxied viewer hands out."""
        return find_layer(self._viewer, added.unique_id) or added


def _position(layers: Any, layer: LayerLike) -> int:
    return next(i for i, other in enumerate(layers) if other.unique_id == layer.unique_id)
