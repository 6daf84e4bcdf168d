"""A mask to draw the first examples in, where no model has found anything yet."""

from __future__ import annotations

import numpy as np

from napari_rwkvseg.adapters.to_layers import geometry_of
from napari_rwkvseg.workflow.jobs import unpredicted
from napari_rwkvseg.workflow.workflow import Workflow


def place_empty(workflow: Workflow) -> None:
    """Add an empty mask to the chosen image, as if the chosen model had found nothing in it."""
    state = workflow.state
    layer, image, card = state.image, state.reading.image, state.card
    if layer is None or image is None or card is None:  # obstacle() was asked before
        raise LookupError(workflow.obstacle())
    outcome = unpredicted(np.zeros(image.spatial_shape, np.uint8), card, state.options)
    channel = state.reading.channel
    read = image if channel is None else image.select_channel(channel)
    geometry = geometry_of(layer, image)
    workflow.results.show(layer, image, geometry, outcome, detached=False, read=read)
