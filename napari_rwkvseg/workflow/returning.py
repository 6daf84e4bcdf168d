"""Masks of a dock that was closed: they are still in the viewer, and are watched again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_rwkvseg.adapters.from_layers import LayerLike, image_from_layer
from napari_rwkvseg.adapters.to_layers import MaskOrigin, geometry_of, mask_of
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.workflow.safekeeping import UNNAMED, classes_of, mask_shape
from napari_rwkvseg.workflow.workflow import Workflow


class Returning:
    """Takes masks over that an earlier dock of the same viewer made.

    Parameters
    ----------
    workflow : Workflow
        Whose viewer may hold some; those that keep masks safe are connected to it by now.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        for layer in workflow.state.images:
            try:
                self._take(layer, image_from_layer(layer))
            except BadImageError:
                continue  # until somebody says what its axes mean
        self._look()
        workflow.state.events.reading.connect(self._look)

    def _look(self, _: object = None) -> None:
        layer, image = self._workflow.state.image, self._workflow.state.reading.image
        if layer is not None and image is not None:
            self._take(layer, image, self._workflow.state.reading.channel)

    def _take(self, layer: LayerLike, image: ImageData, channel: int | None = None) -> None:
        """Take over the masks of an image that has none yet; the topmost one is in use then."""
        results = self._workflow.results
        if results.knows(layer.unique_id):
            return
        read = image if channel is None else image.select_channel(channel)
        shape = mask_shape(geometry_of(layer, image), image.spatial_shape)
        for mask, origin in self._masks(layer):
            if np.shape(mask.data) == shape:
                results.take_over(mask, layer, image, read, self._card(mask, origin))

    def _masks(self, layer: LayerLike) -> Iterator[tuple[LayerLike, MaskOrigin]]:
        for mask in list(self._workflow.viewer.layers):
            origin = mask_of(mask, layer.unique_id)
            if origin is not None:
                yield mask, origin

    def _card(self, mask: LayerLike, origin: MaskOrigin) -> ModelCard:
        """Return what is known of the model of a mask, which may be gone by now."""
        known = (card for card in self._workflow.state.models if card.name == origin.model)
        names = next((card.class_names for card in known), (UNNAMED,))
        classes = names if origin.objects else classes_of(mask, names)
        return ModelCard(origin.model, "", "", classes, objects=origin.objects)
