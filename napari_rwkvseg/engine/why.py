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
from napari_rwkvseg.engine.said import Cause, Change, Said
from napari_rwkvseg.engine.scan_path import round_figure
from napari_rwkvseg.network.layer_trace import LayerTrace
from napari_rwkvseg.network.receptive_field import ReceptiveField

Pixel = tuple[int, int]
SURE = 0.7  # probability from which a model counts as sure
SEEN = 0.9  # share of a structure inside the 95 % radius from which it counts as seen


@dataclass(frozen=True, eq=False)
class Why:
    """One pixel that a person corrected.

    Attributes
    ----------
    pixel : tuple of int
        Row and column in the plane.
    predicted, corrected : str
        Class names, "background" included: what the mask had, and what is right.
    probability, corrected_probability : float
        That the model gave to these.
    half, most : float
        Radii of the receptive field, pixels.
    seen : float
        Share of the structure inside the radius `most`.
    size : int
        Pixels of the structure, beyond the tile too.
    crossed : tuple of (str, int)
        Levels whose windows part the structure, and over how many windows it lies.
    heat : Heat
        The receptive field.
    structure : ndarray, bool, shape of the plane
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


def why(explanation: Explanation, change: Change, said: Said | None = None) -> Why:
    """Return what the network knew where a person corrected it.

    Parameters
    ----------
    explanation : Explanation
        Of the image in question; its tile holds the pixel.
    change : Change
        Which pixel, and what it was and is.
    said : Said, optional
        What the model said of the pixel when it wrote the mask; by default what it says now.

    Raises
    ------
    ValueError
        If the label was not changed there, or the pixel lies outside the tile.
    """
    pixel = change.pixel
    if change.before[pixel] == change.after[pixel]:
        raise ValueError(f"the label at {pixel} was not changed")
    said = said or _said_now(explanation, pixel)
    old, new = change.classes(said)
    structure = structure_at(pixel, change.before, change.after)
    known = old <= len(explanation.card.class_names)
    field = explanation.field(pixel, old if known else None)
    found = _Facts(explanation, field, structure)
    predicted, corrected = change.names(old, new)
    return Why(
        pixel=pixel,
        predicted=predicted,
        corrected=corrected,
        probability=said.of(old),
        corrected_probability=said.of(new),
        half=field.radius(HALF),
        most=found.most,
        seen=found.seen,
        size=int(structure.sum()),
        crossed=tuple(found.crossed()),
        heat=field_heat(field, explanation.tile, *explanation.pixel_length),
        structure=structure,
        sentences=(_verdict(said, change, old, new), *found.sentences()),
    )


def _said_now(explanation: Explanation, pixel: Pixel) -> Said:
    """Return what the model says of a pixel where it is read alone, without mirror images."""
    label = explanation.label(pixel)
    return Said(explanation.probabilities(pixel), label, label)


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


def _verdict(said: Said, change: Change, old: int, new: int) -> str:
    """Return in words what the model said of the pixel, and what its mask made of that."""
    was, right, best = change.names(old, new, said.likeliest)
    share, right_share, best_share = (percent(said.of(n)) for n in (old, new, said.likeliest))
    if said.shown != old:
        return (
            f"The mask had {was} here, but not from what the model says now: it gives {was} "
            f"{share} and {right} {right_share}."
        )
    if old == new:
        return (
            f"The model said {was} with {share}, as you do: which object a pixel belongs to is "
            "settled afterwards, where touching objects are parted."
        )
    if not said.causes:
        sure = "undecided" if said.of(old) < SURE else "sure"
        return f"The model said {was} with {share}; {right} had {right_share}. It was {sure}."
    causes = " and ".join(_in_words(cause, said) for cause in said.causes)
    if old:
        return f"The model said {best} with {best_share}, but {causes} made it {was}."
    return f"The model found {best} here with {best_share}, but the mask leaves it out: {causes}."


def _in_words(cause: Cause, said: Said) -> str:
    """Return why a find was left out, or what put a pixel into one."""
    options = said.options
    if cause is Cause.SIZE:
        return f"it is smaller than {options.min_size} px (Smallest)"
    if cause is Cause.DOUBT:
        return f"it is nowhere as sure as {percent(options.limits.peak)} (Keep doubtful)"
    if cause is Cause.THRESHOLD:
        threshold = f"the threshold of {percent(options.threshold)}"
        return threshold if said.shown else f"it is below {threshold}"
    return "Fill holes"


class _Facts:
    """What can be said about a structure and a receptive field."""

    def __init__(
        self, explanation: Explanation, field: ReceptiveField, structure: NDArray[np.bool_]
    ) -> None:
        self._explanation = explanation
        self._read = structure[explanation.tile.to_slices()]  # the part of it that was read
        self.half, self.most = field.radius(HALF), field.radius(MOST)
        inside = self._read & field.within(self.most)
        self.seen = float(inside.sum() / max(structure.sum(), 1))

    def crossed(self) -> Iterator[tuple[str, int]]:
        """Yield levels whose windows part the structure, with the number of windows."""
        tile = self._explanation.tile
        pixels = np.argwhere(self._read) + np.array((tile.top, tile.left))
        told = set()
        for layer in self._explanation.trace.layers:
            name = f"{layer.place.part} level {layer.place.level + 1}"
            count = _windows(layer, CellGrid(layer.grid, layer.stride, tile).span(pixels))
            if count > 1 and name not in told:
                told.add(name)
                yield name, count

    def sentences(self) -> Iterator[str]:
        """Yield what the network saw of the structure, in plain words."""
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
