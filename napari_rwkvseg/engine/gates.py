"""What a network chose for an image: the weights of its heads, and how they differ elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.network.layer_trace import LayerPlace, LayerTrace

HARDLY = 0.05  # mean difference of gates (1 on average) below which people would see nothing


@dataclass(frozen=True, eq=False)
class GateTable:
    """The gates of all layers for one image, or their mean over several.

    Attributes
    ----------
    name : str
        Image, or what they are the mean of.
    places : tuple of LayerPlace
        The layers.
    weights : tuple of ndarray, float64, one per layer, shape (heads,)
        1 on average in each layer.
    local : tuple of tuple of bool
        Whether each head stays in windows.
    """

    name: str
    places: tuple[LayerPlace, ...]
    weights: tuple[NDArray[np.float64], ...]
    local: tuple[tuple[bool, ...], ...]

    def local_share(self, part: str, level: int) -> float:
        """Return how much of a level's weight goes to heads that stay in windows, 0 to 1."""
        chosen = [n for n, p in enumerate(self.places) if (p.part, p.level) == (part, level)]
        near = sum(float(self.weights[n][list(self.local[n])].sum()) for n in chosen)
        return near / sum(float(self.weights[n].sum()) for n in chosen)

    def distance(self, other: GateTable) -> float:
        """Return the mean absolute difference of all gates; 0 is the same choice."""
        ours, theirs = np.concatenate(self.weights), np.concatenate(other.weights)
        return float(np.abs(ours - theirs).mean())


def gate_table(name: str, layers: Sequence[LayerTrace], image: int = 0) -> GateTable:
    """Return the gates of traced layers for one image of the batch."""
    return GateTable(
        name,
        tuple(layer.place for layer in layers),
        tuple(layer.gate[image].double().cpu().numpy() for layer in layers),
        tuple(tuple(head.extent == "window" for head in layer.heads) for layer in layers),
    )


def mean_table(name: str, tables: Sequence[GateTable]) -> GateTable:
    """Return the mean of the gates of several images of one model.

    Raises
    ------
    ValueError
        If there is no table.
    """
    if not tables:
        raise ValueError("no images to average")
    first = tables[0]
    weights = tuple(
        np.mean(layer, axis=0) for layer in zip(*(t.weights for t in tables), strict=True)
    )
    return GateTable(name, first.places, weights, first.local)


def evenness(table: GateTable) -> str:
    """Return a sentence if all heads weigh nearly the same, else nothing."""
    away = float(np.abs(np.concatenate(table.weights) - 1).mean())
    if away < HARDLY:
        return f"All heads weigh nearly the same here (1 ± {away:.2f}): the network hardly chooses."
    return ""


def compare(one: GateTable, other: GateTable) -> str:
    """Return in words how much the choices for two images differ."""
    distance = one.distance(other)
    figure = f"The weights differ by {distance:.2f} on average (1 is an even share)"
    if distance < HARDLY:
        return f"{figure}: the network hardly chooses by the image."
    return f"{figure}."
