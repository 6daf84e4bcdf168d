"""From probabilities to labels: threshold, holes, smallest object, classes or separate objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.doubt import Limits
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.engine.separate import separate

MAX_CLASSES = 255  # a class mask is uint8


@dataclass(frozen=True)
class MaskOptions:
    """How probabilities become labels; cheap enough to follow a slider.

    Attributes
    ----------
    separate : bool
        Whether each object gets a label of its own; otherwise labels are classes.
    threshold : float
        Probability of the foreground from which on a pixel belongs to it, 0 to 1.
    min_size : int, optional
        Smallest object kept, in pixels (voxels in a stack); 0 keeps all. None leaves it to the
        model, see `for_model`.
    peak : float, optional
        Probability that an object must reach somewhere, 0 to 1, where the threshold is 0.5; with
        another threshold it moves along. 0 keeps all. None leaves it to the model too.
    fill_holes : bool
        Whether background enclosed in a plane becomes foreground.
    seed_distance : float
        Smallest distance between the middles of touching objects, in pixels; 0 derives it from
        the size of the objects.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    separate: bool = False
    threshold: float = 0.5
    min_size: int | None = None
    peak: float | None = None
    fill_holes: bool = False
    seed_distance: float = 0.0

    def __post_init__(self) -> None:
        for name in ("threshold", "peak"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        for name in ("min_size", "seed_distance"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def limits(self) -> Limits:
        """What a find must have to be an object; what is still left to a model asks for nothing."""
        return Limits(self.min_size or 0, self.peak or 0.0).at(self.threshold)

    def for_model(self, card: ModelCard) -> MaskOptions:
        """Return the options for what a model found: its own limits, unless others are chosen."""
        min_size = card.min_size if self.min_size is None else self.min_size
        return replace(self, min_size=min_size, peak=card.peak if self.peak is None else self.peak)


def make_mask(
    probability: NDArray[np.floating],
    options: MaskOptions,
    stacked: bool = False,
    token: CancelToken | None = None,
    spacing: Sequence[float] = (),
) -> NDArray[np.uint8] | NDArray[np.int32]:
    """Turn probabilities into labels.

    Parameters
    ----------
    probability : ndarray, float, shape (K, *lead, H, W)
        Of the K foreground classes, 0 to 1.
    options : MaskOptions
        How.
    stacked : bool
        Whether the last lead axis holds slices: objects then continue from slice to slice. Along
        all other lead axes (frames, samples) each entry stands alone.
    token : CancelToken, optional
        Polled at every stack or plane, and at every connected part where objects come apart.
    spacing : sequence of float
        Steps along the axes of a plane or stack, in one unit; equal if left out.

    Returns
    -------
    ndarray, shape (*lead, H, W)
        uint8: 0 background, 1 to K the classes. Or, with `separate`, int32: 1 to N the objects,
        numbered through frames and classes.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    Cancelled
        If the token asks to stop.
    """
    ndim = 3 if stacked else 2
    if not 1 <= len(probability) <= MAX_CLASSES or probability.ndim <= ndim:
        raise ValueError(f"probability needs shape (K, *lead, H, W), got {probability.shape}")
    steps = tuple(spacing) or (1.0,) * ndim
    if len(steps) != ndim:
        raise ValueError(f"spacing needs {ndim} steps, got {len(steps)}")
    shape = probability.shape[1:]
    labels = np.zeros(shape, np.int32 if options.separate else np.uint8)
    last = 0
    for index in np.ndindex(shape[: len(shape) - ndim]):
        if token is not None:
            token.raise_if_cancelled()
        part = probability[(slice(None), *index)]  # (K, [D,] H, W)
        classes = _classes(part, options)
        if options.separate:
            labels[index], last = _objects(classes, part, options, steps, last, token)
        else:
            labels[index] = classes
    return labels


def _classes(part: NDArray[np.floating], options: MaskOptions) -> NDArray[np.uint8]:
    """Return the classes of one plane or stack, holes filled and doubtful parts removed."""
    classes = likeliest(part, options.threshold)
    if options.fill_holes:
        _fill_holes(classes)
    limits = options.limits
    for k, probability in enumerate(part, start=1):
        classes[limits.doubted(classes == k, probability)] = 0
    return classes


def likeliest(probability: NDArray[np.floating], threshold: float) -> NDArray[np.uint8]:
    """Return the likeliest class where the foreground reaches a threshold, else 0.

    Parameters
    ----------
    probability : ndarray, float, shape (K, ...)
        Of the K foreground classes, 0 to 1.
    threshold : float
        0 to 1, compared with the sum over the classes.

    Returns
    -------
    ndarray, uint8, shape (...)
    """
    if len(probability) == 1:
        single = np.asarray(probability[0] >= probability.dtype.type(threshold))
        return single.astype(np.uint8)
    total = np.minimum(np.add.reduce(probability, axis=0, dtype=np.float32), 1)
    found = total.astype(probability.dtype) >= probability.dtype.type(threshold)
    return np.where(found, probability.argmax(axis=0) + 1, 0).astype(np.uint8)


def _objects(
    classes: NDArray[np.uint8],
    part: NDArray[np.floating],
    options: MaskOptions,
    steps: tuple[float, ...],
    last: int,
    token: CancelToken | None,
) -> tuple[NDArray[np.int32], int]:
    """Return the objects of one plane or stack, numbered after `last`, and the last number."""
    labels = np.zeros(classes.shape, np.int32)
    distance, least = options.seed_distance, options.limits.min_size
    for k, probability in enumerate(part, start=1):
        found = separate(classes == k, probability, steps, distance, least, token)
        inside = found > 0
        labels[inside] = found[inside] + last
        last += int(found.max(initial=0))
    return labels, last


def _fill_holes(classes: NDArray[np.uint8]) -> None:
    """Give enclosed background the class of the nearest pixel that has one, plane by plane."""
    for index in np.ndindex(classes.shape[:-2]):
        plane = classes[index]  # (H, W)
        holes = enclosed(plane > 0)
        if holes.any():
            nearest = scipy.ndimage.distance_transform_edt(
                plane == 0, return_distances=False, return_indices=True
            )
            plane[holes] = plane[tuple(nearest[:, holes])]


def enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the background of a plane (H, W) that no path of edge neighbours leads out of."""
    parts, n = scipy.ndimage.label(~mask)
    inside = np.ones(n + 1, bool)
    inside[0] = False
    for border in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        inside[border] = False
    holes: NDArray[np.bool_] = inside[parts]
    return holes
