"""Why is this wrong? What a network could and could not see of a structure it got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected

from napari_rwkvseg.engine.cells import CellGrid
from napari_rwkvseg.engine.explain import Explanation
from napari_rwkvseg.engine.heat import HALF, MOST, Heat, field_heat, percent
from napari_rwkvseg.engine.scan_path import round_figure
from napari_rwkvseg.network.layer_trace import LayerTrace
from napari_rwkvseg.network.receptive_field import ReceptiveField

Pixel = tuple[int, int]
SEEN = 0.9  # share of a structure inside the 95 % radius from which it counts as seen


@dataclass(frozen=True, eq=False)
class Why:
    """One pixel that a person corrected.

    Attributes
    ----------
    pixel : tuple of int
        Row and column in the plane.
    predicted, corrected : str
        Class names, "background" included.
    probability : float
        That the model gave to what it predicted.
    corrected_probability : float
        That it gave to what is right.
    half, most : float
        Radii of the receptive field, pixels.
    seen : float
        Share of the structure inside the radius `most`.
    size : int
        Pixels of the structure.
    crossed : tuple of (str, int)
        Levels whose windows part the structure, and over how many windows it lies.
    heat : Heat
        The receptive field.
    structure : ndarray, bool, shape of the tile
        The structure.
    sentences : tuple of str
        All of it in plain words.
    """

    pixel: Pixel
    predicted: str
    corrected: str
    probability: float
    corrected_probability: float
    half: float
    most: float
    seen: float
    size: int
    crossed: tuple[tuple[str, int], ...]
    heat: Heat
    structure: NDArray[np.bool_]
    sentences: tuple[str, ...]


def why(
    explanation: Explanation, pixel: Pixel, before: NDArray[np.integer], after: NDArray[np.integer]
) -> Why:
    """Return what the network knew where a person corrected it.

    Parameters
    ----------
    explanation : Explanation
        Of the image in question; its tile holds the pixel.
    pixel : tuple of int
        Row and column in the plane.
    before, after : ndarray, integer, shape of the plane
        Class numbers as predicted, and as corrected.

    Raises
    ------
    ValueError
        If the label was not changed there, or the pixel lies outside the tile.
    """
    old, new = int(before[pixel]), int(after[pixel])
    if old == new:
        raise ValueError(f"the label at {pixel} was not changed")
    structure = structure_at(pixel, before, after)[explanation.tile.to_slices()]
    field = explanation.field(pixel, old)
    probability = explanation.probabilities(pixel)
    names = ("background", *explanation.card.class_names)
    found = _Facts(explanation, field, structure)
    return Why(
        pixel=pixel,
        predicted=names[old],
        corrected=names[new],
        probability=float(probability[old]),
        corrected_probability=float(probability[new]),
        half=field.radius(HALF),
        most=found.most,
        seen=found.seen,
        size=int(structure.sum()),
        crossed=tuple(found.crossed()),
        heat=field_heat(field, explanation.tile, *explanation.pixel_length),
        structure=structure,
        sentences=tuple(
            found.sentences(names[old], names[new], probability[old], probability[new])
        ),
    )


def structure_at(
    pixel: Pixel, before: NDArray[np.integer], after: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Return the structure a correction is about, as a mask of the plane.

    It is the connected piece of the corrected label; where something was erased, the piece of
    the prediction that was there.
    """
    labels = after if after[pixel] else before
    pieces, _ = connected(labels == labels[pixel])
    found: NDArray[np.bool_] = pieces == pieces[pixel]
    return found


class _Facts:
    """What can be said about a structure and a receptive field."""

    def __init__(
        self, explanation: Explanation, field: ReceptiveField, structure: NDArray[np.bool_]
    ) -> None:
        self._explanation, self._structure = explanation, structure
        self.half, self.most = field.radius(HALF), field.radius(MOST)
        inside = structure & field.within(self.most)
        self.seen = float(inside.sum() / max(structure.sum(), 1))

    def crossed(self) -> Iterator[tuple[str, int]]:
        """Yield levels whose windows part the structure, with the number of windows."""
        tile = self._explanation.tile
        pixels = np.argwhere(self._structure) + np.array((tile.top, tile.left))
        told = set()
        for layer in self._explanation.trace.layers:
            name = f"{layer.place.part} level {layer.place.level + 1}"
            count = _windows(layer, CellGrid(layer.grid, layer.stride, tile).span(pixels))
            if count > 1 and name not in told:
                told.add(name)
                yield name, count

    def sentences(self, old: str, new: str, was: float, right: float) -> Iterator[str]:
        """Yield the finding in plain words."""
        yield (
            f"The model said {old} with {percent(was)}; {new} had {percent(right)}. "
            + ("It was undecided." if was < 0.7 else "It was sure.")
        )
        step, unit = self._explanation.pixel_length
        radii = [f"{round_figure(radius * step)} {unit}" for radius in (self.half, self.most)]
        yield f"Its answer here depends to 50 % on the {radii[0]} around, to 95 % on {radii[1]}."
        if self.seen < SEEN:
            yield f"Of the structure it saw only {percent(self.seen)}: the rest lies out of reach."
        else:
            yield "The structure lies within its reach."
        yield from self._about_borders()

    def _about_borders(self) -> Iterator[str]:
        crossed = list(self.crossed())
        if not crossed:
            yield "No window border cuts it: that is not the reason."
            return
        where = ", ".join(f"{name} ({count} parts)" for name, count in crossed)
        yield (
            f"Window borders cut it on {where}: windowed heads scan the parts apart, only global "
            "heads join them."
        )


def _windows(layer: LayerTrace, cells: NDArray[np.int64]) -> int:
    """Return over how many windows some cells (N, 2) lie, in the head that parts them most."""
    sizes = [head.size for head in layer.heads if head.extent == "window"]
    return max((len(np.unique(cells // size, axis=0)) for size in sizes), default=1)
