"""The effective receptive field: which pixels of the input a pixel of the output depends on.

The logit of a pixel is the log-odds of its class, log p / (1 - p). The absolute value of its
gradient with respect to the input says how much each input pixel would move it. The idea is
Luo et al. 2016 (1701.04128); here for one pixel of one real image instead of the mean over noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

SMOOTHING = 2.0  # px, standard deviation: a single pixel's gradient is noise to the eye


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """How much one output pixel depends on each input pixel.

    Attributes
    ----------
    row, column : int
        The output pixel.
    gradient : ndarray, float32, shape (H, W)
        Absolute gradient, summed over channels, not smoothed; sums to 1, or 0 everywhere if the
        pixel depends on nothing.
    """

    row: int
    column: int
    gradient: NDArray[np.float32]

    def smoothed(self, sigma: float = SMOOTHING) -> NDArray[np.float32]:
        """Return the gradient (H, W) blurred by a Gaussian of `sigma` pixels."""
        blurred: NDArray[np.float32] = gaussian_filter(self.gradient, sigma, mode="constant")
        return blurred

    def radius(self, share: float) -> float:
        """Return the radius in pixels of the smallest disc around the pixel that holds `share`.

        Parameters
        ----------
        share : float
            Part of the whole, 0 to 1. Pixels count with their centres.
        """
        distance = self._distance().ravel()
        order = np.argsort(distance, kind="stable")
        held = np.cumsum(self.gradient.ravel()[order], dtype=np.float64)
        if held[-1] == 0:
            return 0.0
        # A hair less than the share: sums of rounded numbers may just miss it.
        first = int(np.searchsorted(held, share * held[-1] - 1e-9))
        return float(distance[order[min(first, order.size - 1)]])

    def within(self, radius: float) -> NDArray[np.bool_]:
        """Return the disc (H, W) of that radius in pixels around the pixel."""
        inside: NDArray[np.bool_] = self._distance() <= radius
        return inside

    def _distance(self) -> NDArray[np.float64]:
        rows, columns = np.indices(self.gradient.shape)
        distance: NDArray[np.float64] = np.hypot(rows - self.row, columns - self.column)
        return distance


def receptive_field(
    network: nn.Module, image: Tensor, row: int, column: int, label: int
) -> ReceptiveField:
    """Return what the log-odds of a class at a pixel depend on.

    Parameters
    ----------
    network : Module
        In evaluation mode; reads (B, C, H, W), returns logits (B, n_classes, H, W).
    image : Tensor, shape (1, C, H, W), float32
        Normalised.
    row, column : int
        The pixel.
    label : int
        The class, 0 is the background.

    Raises
    ------
    ValueError
        If the pixel lies outside the image, or there is no such class.
    """
    height, width = image.shape[2:]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"pixel ({row}, {column}) lies outside an image of {height}×{width}")
    # A leaf of its own: the caller's image must not start to collect gradients.
    read = image.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        logits = network(read)[0, :, row, column]  # (n_classes,)
        (gradient,) = torch.autograd.grad(_log_odds(logits, label), read)
    # Absolute values: that a pixel speaks for a class or against it is influence both times.
    strength = gradient[0].abs().sum(dim=0).double()  # (H, W)
    total = strength.sum()
    if total > 0:
        strength = strength / total
    return ReceptiveField(row, column, strength.float().cpu().numpy())


def _log_odds(logits: Tensor, label: int) -> Tensor:
    """Return log p / (1 - p) of one class of logits (n_classes,)."""
    if not 0 <= label < len(logits):
        raise ValueError(f"label must be 0 to {len(logits) - 1}, got {label}")
    # Not the logit alone: a constant added to all logits changes nothing that one could see.
    others = torch.cat((logits[:label], logits[label + 1 :]))  # (n_classes - 1,)
    return logits[label] - others.logsumexp(dim=0)
