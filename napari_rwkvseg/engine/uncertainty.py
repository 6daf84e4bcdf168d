"""How unsure a model is, from the probabilities that it left behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def entropy(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the entropy of the class distribution, background included.

    Parameters
    ----------
    probability : ndarray, float, shape (K, ...)
        Probabilities of the K foreground classes, 0 to 1; the rest is background.

    Returns
    -------
    ndarray, float32, shape (...)
        0 where one class is certain, 1 where all K + 1 are equally likely.
    """
    total = _surprise(background(probability))
    for share in probability:
        total += _surprise(share.astype(np.float32))
    total /= np.float32(np.log(len(probability) + 1))
    return np.clip(total, 0, 1, out=total)


def margin(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return how close the runner-up comes to the winner.

    Parameters
    ----------
    probability : ndarray, float, shape (K, ...)
        As for `entropy`.

    Returns
    -------
    ndarray, float32, shape (...)
        1 minus the lead of the likeliest class over the second, background included: 0 where one
        class is certain, 1 on a tie.
    """
    first = background(probability)
    second = np.zeros_like(first)
    for share in probability:
        share = share.astype(np.float32)
        second = np.maximum(second, np.minimum(first, share))
        first = np.maximum(first, share)
    closeness = 1 - (first - second)
    return np.clip(closeness, 0, 1, out=closeness)


def background(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what the K foreground classes (K, ...) leave of 1, never below 0; float32."""
    rest: NDArray[np.float32] = 1 - np.add.reduce(probability, axis=0, dtype=np.float32)
    return np.maximum(rest, 0, out=rest)


def _surprise(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``-p log p``, 0 at p = 0."""
    tiny = np.finfo(np.float32).tiny
    return -share * np.log(np.maximum(share, tiny))
