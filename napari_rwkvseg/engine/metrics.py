"""How well a mask agrees with the truth: Dice and IoU, per image and over a set of images.

Conventions: two empty masks agree perfectly (1.0); the figures of a set are means over its images,
not over its pixels; standard deviations are those of a sample (ddof = 1), 0 for a single image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Agreement of two masks.

    Attributes
    ----------
    dice : float
        2 |A ∩ B| / (|A| + |B|), 0 to 1.
    iou : float
        |A ∩ B| / |A ∪ B|, 0 to 1.
    """

    dice: float
    iou: float


@dataclass(frozen=True)
class ImageScore:
    """Agreement in one image.

    Attributes
    ----------
    name : str
        Of the image.
    foreground : Overlap
        Anything but background, whatever its class.
    classes : tuple of Overlap
        One per class, in label order.
    """

    name: str
    foreground: Overlap
    classes: tuple[Overlap, ...]


@dataclass(frozen=True)
class Summary:
    """Means and sample standard deviations of the scores of n images.

    Attributes
    ----------
    n : int
        Images.
    dice_mean, dice_sd, iou_mean, iou_sd : float
        0 to 1.
    """

    n: int
    dice_mean: float
    dice_sd: float
    iou_mean: float
    iou_sd: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a set of images.

    Attributes
    ----------
    foreground : Summary
        Foreground against background: the headline figures.
    classes : tuple of Summary
        One per class, in label order.
    images : tuple of ImageScore
        What they were made from.
    """

    foreground: Summary
    classes: tuple[Summary, ...]
    images: tuple[ImageScore, ...]


def dice(pred: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the Dice coefficient of two masks of the same shape; non-zero is inside.

    Returns
    -------
    float
        0 (apart) to 1 (equal); 1 if both are empty.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return overlap(pred, truth).dice


def iou(pred: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the intersection over union of two masks, as `dice`."""
    return overlap(pred, truth).iou


def overlap(pred: NDArray[Any], truth: NDArray[Any]) -> Overlap:
    """Return Dice and IoU of two masks, as `dice`."""
    if pred.shape != truth.shape:
        raise ValueError(f"masks must have one shape, got {pred.shape} and {truth.shape}")
    inside, wanted = pred.astype(bool), truth.astype(bool)
    both = int(np.count_nonzero(inside & wanted))
    total = int(np.count_nonzero(inside)) + int(np.count_nonzero(wanted))
    if total == 0:
        return Overlap(1.0, 1.0)
    return Overlap(2 * both / total, both / (total - both))


def score_image(
    name: str, pred: NDArray[np.integer], truth: NDArray[np.integer], n_classes: int
) -> ImageScore:
    """Compare the class masks of one image.

    Parameters
    ----------
    name : str
        Of the image.
    pred : ndarray, integer, shape (...)
        Classes 0 (background) to `n_classes`.
    truth : ndarray, integer, same shape
        Likewise. With a single class every label above 0 is that class: instances need not be
        merged first.
    n_classes : int
        Foreground classes.

    Raises
    ------
    ValueError
        If the shapes differ, or the truth holds a class that the model does not know.
    """
    if n_classes > 1 and truth.size and truth.max() > n_classes:
        raise ValueError(f"the truth of {name} holds class {truth.max()} of {n_classes}")
    foreground = overlap(pred, truth)
    if n_classes == 1:
        return ImageScore(name, foreground, (foreground,))
    classes = range(1, n_classes + 1)
    return ImageScore(name, foreground, tuple(overlap(pred == k, truth == k) for k in classes))


def evaluate(images: Sequence[ImageScore]) -> Evaluation:
    """Summarise the scores of a set of images, each of equal weight.

    Raises
    ------
    ValueError
        If there are none, or they do not have the same classes.
    """
    if not images:
        raise ValueError("no image to evaluate")
    classes = zip(*(image.classes for image in images), strict=True)
    return Evaluation(
        summarise([image.foreground for image in images]),
        tuple(summarise(scores) for scores in classes),
        tuple(images),
    )


def summarise(scores: Sequence[Overlap]) -> Summary:
    """Return means and standard deviations (ddof = 1; 0 for one image) of at least one score."""
    values = np.array([(score.dice, score.iou) for score in scores])  # (n, 2)
    n = len(values)
    mean = values.mean(axis=0)
    sd = values.std(axis=0, ddof=1) if n > 1 else np.zeros(2)
    return Summary(n, float(mean[0]), float(sd[0]), float(mean[1]), float(sd[1]))
