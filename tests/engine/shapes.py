"""Masks of simple shapes of a known width."""

from __future__ import annotations

import numpy as np


def disc(width: float, side: int = 128) -> np.ndarray:
    """A disc in the middle."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    return (rows**2 + columns**2 < (width / 2) ** 2).astype(np.uint8)


def stripe(width: int, side: int = 128) -> np.ndarray:
    """A stripe from the upper to the lower border."""
    truth = np.zeros((side, side), np.uint8)
    truth[:, 40 : 40 + width] = 1
    return truth
