"""Change the layer list without a change of what people selected in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def keeping_selection(layers: Any) -> Iterator[None]:
    """Select again what was: napari selects what is added, or a neighbour of what goes.

    Parameters
    ----------
    layers : napari layer list
        Changed in this block.
    """
    chosen = {layer.unique_id for layer in layers.selection}
    yield
    kept = [layer for layer in layers if layer.unique_id in chosen]
    if len(kept) == 1:
        layers.selection.active = kept[0]  # napari has its widgets: for two it makes new ones
    else:
        layers.selection.update(kept)
        layers.selection.intersection_update(kept)


@contextmanager
def selecting_nothing(layers: Any) -> Iterator[None]:
    """Let nobody hear of what is added: napari would show its controls in the same turn."""
    with layers.selection.events.blocker_all(), keeping_selection(layers):
        yield
