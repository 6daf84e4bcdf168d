"""What a person's corrections say about each pixel: changed by hand, reviewed, or nothing.

Changes are found by comparing masks with the stored prediction, not by listening to the brush:
undo, redo and writes into the array leave no event behind. Where nobody looked, the mask says
nothing, whatever it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSEEN, REVIEWED, CHANGED = 0, 1, 2
LEVELS = 3

Region = tuple[slice, ...]
Levels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One corrected image plane.

    Attributes
    ----------
    image_id : str
        What the plane's image is known by; planes of one volume or series share it.
    plane : int
        Number of the plane in its image.
    image : ndarray, floating, shape (H, W, C)
        Normalised to about 0..1, as the network reads it.
    truth : ndarray, uint8, shape (H, W)
        Class per pixel, 0 is background; means nothing where the level is `UNSEEN`.
    levels : ndarray, uint8, shape (H, W)
        `UNSEEN`, `REVIEWED` or `CHANGED`.

    Raises
    ------
    ValueError
        If the shapes differ, a level is unknown, or a value of the image is not finite.
    """

    image_id: str
    plane: int
    image: NDArray[np.floating]
    truth: NDArray[np.uint8]
    levels: Levels

    def __post_init__(self) -> None:
        shapes = (self.image.shape[:2], self.truth.shape, self.levels.shape)
        if self.image.ndim != 3 or len(set(shapes)) != 1:
            raise ValueError(f"image, truth and levels must share rows and columns, got {shapes}")
        if self.levels.size and self.levels.max() >= LEVELS:
            raise ValueError(f"levels must be below {LEVELS}, got {self.levels.max()}")
        if not np.isfinite(self.image).all():
            raise ValueError("the image must be finite")

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Where the truth counts, shape (H, W)."""
        result: NDArray[np.bool_] = self.levels > UNSEEN
        return result

    @property
    def shows_object(self) -> bool:
        """Whether some pixel that counts is foreground."""
        return bool(self.truth[self.seen].any())

    def around_object(self, side: int) -> Evidence:
        """Return a square around the middle foreground pixel; all of a plane that is not larger."""
        inside = np.flatnonzero(self.seen & (self.truth > 0))
        if max(self.truth.shape) <= side or not len(inside):
            return self
        places = divmod(int(inside[len(inside) // 2]), self.truth.shape[1])
        starts = [max(0, place - side // 2) for place in places]
        window = tuple(slice(start, start + side) for start in starts)
        return replace(
            self, image=self.image[window], truth=self.truth[window], levels=self.levels[window]
        )


@dataclass(frozen=True)
class EvidenceCount:
    """How many pixels were changed, reviewed without a change, and not looked at."""

    changed: int
    reviewed: int
    unseen: int


def find_levels(
    mask: NDArray[Any], predicted: NDArray[Any], reviewed: Sequence[Region] = ()
) -> Levels:
    """Tell the three levels of evidence apart.

    Parameters
    ----------
    mask : ndarray, integer, shape (...)
        As the person left it.
    predicted : ndarray, integer, same shape
        What the model had written.
    reviewed : sequence of tuple of slice
        Regions that the person accepted, one slice per axis; missing ones take the whole axis.

    Returns
    -------
    ndarray, uint8, same shape
        `CHANGED` where mask and prediction differ, inside and outside of the regions; `REVIEWED`
        in the rest of the regions; else `UNSEEN`.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if mask.shape != predicted.shape:
        raise ValueError(f"mask {mask.shape} and prediction {predicted.shape} must have one shape")
    levels = np.full(mask.shape, UNSEEN, np.uint8)
    for region in reviewed:
        levels[region] = REVIEWED
    levels[mask != predicted] = CHANGED
    return levels


def count_levels(levels: Levels) -> EvidenceCount:
    """Count the pixels of each level."""
    unseen, reviewed, changed = np.bincount(levels.ravel(), minlength=LEVELS).tolist()
    return EvidenceCount(changed, reviewed, unseen)
