"""A newer prediction into a mask with corrections: what may change, and under which numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.workflow.correct.material import Material

Region = tuple[slice, ...]


def translated(prediction: Prediction, class_names: tuple[str, ...]) -> Prediction:
    """Return a prediction in the numbers of another class list.

    Parameters
    ----------
    prediction : Prediction
        In the classes of its card.
    class_names : tuple of str
        Wanted, in label order. Classes that the model does not know have probability 0.
    """
    if prediction.card.class_names == class_names:
        return prediction
    from napari_rwkvseg.engine.classes import shared_classes  # imports torch, as the caller did

    shape = (len(class_names), *prediction.probability.shape[1:])
    probability = np.zeros(shape, np.float16)
    for number, there in shared_classes(class_names, prediction.card.class_names):
        probability[number - 1] = prediction.probability[there - 1]
    card = replace(prediction.card, class_names=class_names)
    return replace(prediction, probability=probability, card=card)


def merge(
    material: Material, labels: NDArray[Any], region: Region
) -> tuple[NDArray[Any], tuple[NDArray[np.intp], ...]]:
    """Return newer labels numbered like the mask, and where they may replace it.

    Parameters
    ----------
    material : Material
        The mask.
    labels : ndarray, integer, shape (*lead, H, W)
        What the newer model finds, in `region`.
    region : tuple of slice
        Where it looked.

    Returns
    -------
    labels : ndarray, integer, same shape
        An object that lies mostly where one was keeps the number of that one.
    index : tuple of ndarray
        Pixels that differ from the mask, except those that people changed or accepted, and whole
        objects of which they did.
    """
    free = np.zeros(material.mask.shape, bool)
    free[region] = True
    for reviewed in material.reviewed:
        free[reviewed] = False
    free &= material.mask == material.written
    if material.objects:
        free &= ~_cut(material.mask, free)
        labels = renumbered(labels, material.mask, free)
    return labels, np.nonzero(free & (labels != material.mask))


def _cut(mask: NDArray[Any], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the objects of a mask of which a part must stay: replacing the rest would cut them."""
    fixed = np.zeros(1 + int(mask.max(initial=0)), bool)
    fixed[mask[~free]] = True
    fixed[0] = False
    inside: NDArray[np.bool_] = fixed[mask]
    return inside


def renumbered(labels: NDArray[Any], mask: NDArray[Any], free: NDArray[np.bool_]) -> NDArray[Any]:
    """Give newer objects the numbers of those they succeed, and others numbers that are free."""
    new, old = labels[free], mask[free]
    both = (new > 0) & (old > 0)
    pairs, shared = np.unique(np.stack([new[both], old[both]]), axis=1, return_counts=True)
    last = int(mask.max(initial=0))
    table = np.arange(1 + int(labels.max(initial=0)), dtype=labels.dtype)
    table[1:] += last
    taken: set[int] = set()
    given: set[int] = set()
    for place in np.argsort(-shared, kind="stable"):
        number, wanted = (int(n) for n in pairs[:, place])
        if number not in given and wanted not in taken:
            table[number] = wanted
            given.add(number)
            taken.add(wanted)
    result: NDArray[Any] = table[labels]
    return result
