"""A corrected mask as it is at one moment, and what it says: classes, levels, agreement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import (
    CHANGED,
    EvidenceCount,
    Levels,
    Region,
    count_levels,
    find_levels,
)
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.taught import Taught

BACKGROUND = 255  # label that says "nothing here", for masks that began empty
Classes = NDArray[np.uint8]
NEIGHBOURS = (  # each pixel and the one below it, and the one to its right
    (np.s_[..., :-1, :], np.s_[..., 1:, :]),
    (np.s_[..., :-1], np.s_[..., 1:]),
)


class EvidenceError(RwkvSegError):
    """Corrections that cannot be understood as they are."""


@dataclass(frozen=True, eq=False)
class Material:
    """What evidence is found from.

    Attributes
    ----------
    image : ImageData
        As the model read it.
    mask, written : ndarray, integer, shape image.spatial_shape
        Labels as they are, and as the model wrote them.
    reviewed : tuple of Region
        Accepted regions, one slice per axis.
    class_names : tuple of str
        In label order.
    objects : bool
        Whether labels are objects.
    prediction : Prediction
        Tells the class of an object where there are several.
    name : str
        Of the layer, as people know it.
    taught : Taught
        What this mask taught before in this session.
    teaches : bool
        Whether it says anything; else only what it taught before is to be taken back.
    """

    image: ImageData
    mask: NDArray[Any]
    written: NDArray[Any]
    reviewed: tuple[Region, ...]
    class_names: tuple[str, ...]
    objects: bool
    prediction: Prediction
    name: str = "the mask"
    taught: Taught = field(default_factory=Taught)
    teaches: bool = True

    def copied(self) -> Material:
        """Return the same with arrays that nobody paints on."""
        return replace(self, mask=np.array(self.mask), written=np.array(self.written))


@dataclass(frozen=True, eq=False)
class Found:
    """What a mask says.

    Attributes
    ----------
    truth, predicted : ndarray, uint8, shape image.spatial_shape
        Class per pixel as it is, and as the model wrote it.
    levels : ndarray, uint8, same shape
        `UNSEEN`, `REVIEWED` or `CHANGED`.
    """

    truth: Classes
    predicted: Classes
    levels: Levels


@dataclass(frozen=True, eq=False)
class Counted:
    """Figures of a mask.

    Attributes
    ----------
    count : EvidenceCount
        Pixels of each level.
    agreement : ndarray, int64, shape (K, 3)
        In accepted regions, per class: pixels right, found by the model, and wanted.
    levels : ndarray, uint8
        For the overlay.
    """

    count: EvidenceCount
    agreement: NDArray[np.int64]
    levels: Levels


def find(material: Material) -> Found:
    """Return what a mask says about each pixel.

    Where an object was divided, both sides of the line are background: touching parts would be one
    object again.

    Raises
    ------
    EvidenceError
        If a label was painted that stands for no class.
    """
    truth = classes_in(material, material.mask)
    predicted = classes_in(material, material.written)
    if material.objects:
        truth[divided(material.mask, material.written)] = 0
    levels = find_levels(truth, predicted, material.reviewed)
    if not material.objects:
        levels[material.mask == BACKGROUND] = CHANGED  # it says something, also on background
    return Found(truth, predicted, levels)


def count(material: Material) -> Counted:
    """Count levels, and how right the model was where people accepted.

    Raises
    ------
    EvidenceError
        If a label was painted that stands for no class.
    """
    found = find(material)
    inside = np.zeros(found.levels.shape, bool)
    for region in material.reviewed:
        inside[region] = True
    truth, predicted = found.truth[inside], found.predicted[inside]
    rows = [
        ((predicted == k) & (truth == k), predicted == k, truth == k)
        for k in range(1, 1 + len(material.class_names))
    ]
    agreement = np.array([[np.count_nonzero(part) for part in row] for row in rows], np.int64)
    return Counted(count_levels(found.levels), agreement.reshape(-1, 3), found.levels)


def mean_dice(agreement: NDArray[np.int64]) -> float | None:
    """Return the mean Dice over the classes that occur in counts (K, 3); None if none does."""
    sizes = agreement[:, 1] + agreement[:, 2]
    shown = sizes > 0
    return float((2 * agreement[shown, 0] / sizes[shown]).mean()) if shown.any() else None


def has_evidence(count: EvidenceCount) -> bool:
    """Whether a person said anything."""
    return bool(count.changed or count.reviewed)


def share_a_class(names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether two class lists have a name in common: else one says nothing about the other."""
    return not set(names).isdisjoint(others)


def divided(mask: NDArray[Any], written: NDArray[Any]) -> NDArray[np.bool_]:
    """Return both sides of the lines along which two objects meet in what was written as one.

    Parameters
    ----------
    mask, written : ndarray, integer, shape (*lead, H, W)
        Objects as they are, and as the model wrote them.

    Returns
    -------
    ndarray, bool, same shape
        Lines within planes only.
    """
    found = np.zeros(mask.shape, bool)
    touched = (mask != written).any(axis=(-2, -1))  # few planes of a stack; or all of an image
    new, old, lines = mask[touched], written[touched], found[touched]
    for before, after in NEIGHBOURS:
        meet = (new[before] != new[after]) & (new[before] > 0) & (new[after] > 0)
        meet &= (old[before] == old[after]) & (old[before] > 0)
        lines[before] |= meet
        lines[after] |= meet
    found[touched] = lines
    return found


def classes_in(material: Material, labels: NDArray[Any]) -> Classes:
    """Return the classes that labels of a mask stand for."""
    if not material.objects:
        return _named(labels, material)
    if len(material.class_names) == 1:
        return (labels > 0).astype(np.uint8)
    return _of_objects(material, labels)


def _named(labels: NDArray[Any], material: Material) -> Classes:
    known = 1 + len(material.class_names)
    if labels.dtype == np.uint8 and labels.max(initial=0) < known:
        return labels  # nearly always: counting follows each stroke and must be quick
    table = np.zeros(1 + max(BACKGROUND, int(labels.max(initial=0))), np.int16)
    table[1:] = -1
    table[:known] = np.arange(known)
    table[BACKGROUND] = 0
    used = np.bincount(labels.ravel(), minlength=table.size) > 0
    if (unknown := np.flatnonzero(used & (table < 0))).size:
        raise EvidenceError(
            f"Label {unknown[0]} was painted on {material.name}, but it has no name. Add a class "
            "for it there, or paint with a label that has one."
        )
    found: Classes = table.clip(0).astype(np.uint8)[labels]
    return found


def _of_objects(material: Material, labels: NDArray[Any]) -> Classes:
    """Return the class that the model gave each object; others cannot be known."""
    prediction = material.prediction
    inside = material.written[prediction.region]
    found = prediction.classes(0.0)
    size = 1 + int(max(labels.max(initial=0), inside.max(initial=0)))
    votes = np.zeros((1 + len(material.class_names), size), np.int64)
    for k in range(1, len(votes)):
        votes[k] = np.bincount(inside[found == k], minlength=size)
    table = votes.argmax(axis=0).astype(np.uint8)
    table[0] = 0
    used = np.bincount(labels.ravel(), minlength=size) > 0
    used[0] = False
    if (used & (table == 0)).any():
        raise EvidenceError(
            f"It is not clear of which class an object is that you added to {material.name}. Show "
            "the mask as Classes, under Result in the Segment tab, to correct several classes."
        )
    classes: Classes = table[labels]
    return classes
