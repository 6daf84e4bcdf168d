"""Where two models differ: counted, as a layer, and as a small picture for the dock."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.workflow.correct.material import Material
from napari_rwkvseg.workflow.correct.state import Difference
from napari_rwkvseg.workflow.jobs import labels_of

LONGEST = 480  # pixels of the longer side of the picture
ONLY_OLD, ONLY_NEW, OTHER = 1, 2, 3
COLORS = np.array([(0, 0, 0), (255, 159, 28), (46, 196, 182), (241, 91, 181)], np.float32)
SHARE = 0.75  # of the colour, over the grey image


@dataclass(frozen=True, eq=False)
class Compared:
    """Old against new.

    Attributes
    ----------
    kinds : ndarray, uint8, shape (*lead, H, W)
        0 where both agree or nothing was compared; else `ONLY_OLD`, `ONLY_NEW` or, where both
        found something else, `OTHER`.
    difference : Difference
        What the dock shows.
    """

    kinds: NDArray[np.uint8]
    difference: Difference


def compare(
    material: Material,
    found: Prediction,
    plane: tuple[int, ...],
    options: MaskOptions,
    token: CancelToken,
) -> Compared:
    """Compare the classes of two models, as masks would show them.

    Parameters
    ----------
    material : Material
        Holds the older prediction.
    found : Prediction
        The newer one, in the same classes.
    plane : tuple of int
        Which plane to draw.
    options : MaskOptions
        How probabilities become masks; objects are not told apart.
    token : CancelToken
        Polled at every stack or plane.
    """
    wanted = replace(options, separate=False)
    old, new = (
        labels_of(one, material.image, wanted, None, token).labels[found.region]
        for one in (material.prediction, found)
    )
    kinds = np.zeros(material.mask.shape, np.uint8)
    part = np.zeros(new.shape, np.uint8)
    part[old != new] = OTHER
    part[(old > 0) & (new == 0)] = ONLY_OLD
    part[(old == 0) & (new > 0)] = ONLY_NEW
    kinds[found.region] = part
    picture = draw(material.image.plane(plane), kinds[plane])
    return Compared(kinds, Difference(picture, int(np.count_nonzero(part)), part.size))


def draw(plane: NDArray[np.floating], kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (rows, columns, 3) of a plane (H, W, C) with the differences in colour."""
    step = max(1, -(-max(kinds.shape) // LONGEST))
    grey = np.nan_to_num(plane[::step, ::step].mean(axis=-1), posinf=0, neginf=0)
    low, high = np.percentile(grey, [1, 99.8])
    grey = ((grey - low) / max(high - low, 1e-12)).clip(0, 1) * 255
    small = coarsest(kinds, step)[..., None]
    mixed = np.where(small > 0, SHARE * COLORS[small[..., 0]], 0)
    mixed += np.where(small > 0, 1 - SHARE, 1) * grey[..., None]
    picture: NDArray[np.uint8] = mixed.astype(np.uint8)
    return picture


def coarsest(kinds: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return fewer pixels, but lose no difference: the largest of each square."""
    height, width = (-(-side // step) for side in kinds.shape)
    padded = np.zeros((height * step, width * step), np.uint8)
    padded[: kinds.shape[0], : kinds.shape[1]] = kinds
    found: NDArray[np.uint8] = padded.reshape(height, step, width, step).max(axis=(1, 3))
    return found
