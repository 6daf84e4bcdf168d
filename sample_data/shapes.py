"""What all samples are made of: soft noise, wobbly outlines, photon counts.

Every random number comes from the generator passed in, and every expected photon count is
rounded before it is drawn, so that a last-bit difference between two processors cannot shift
the stream of random numbers: the same seed gives the same image everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]
Labels = NDArray[np.uint16]
Window = tuple[slice, slice]

COUNT_STEP = 1 / 64  # photons; expected counts are rounded to this


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its truth.

    Attributes
    ----------
    image : ndarray
        (Y, X), (Z, Y, X) or (Y, X, 3) for RGB.
    truth : ndarray, uint8 or uint16
        Labels with the shape of the image, without the RGB axis; 0 is background.
    axes : str
        One letter per axis of `image`, as TIFF spells them: "YX", "ZYX", "YXS".
    spacing : tuple of float
        Distance of neighbours along each spatial axis, in the order of `truth`.
    unit : str
        Unit of `spacing`.
    """

    image: NDArray[np.generic]
    truth: NDArray[np.unsignedinteger]
    axes: str
    spacing: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Outline:
    """A closed wobbly curve: an ellipse whose radius is modulated by low harmonics.

    Attributes
    ----------
    centre : tuple of float
        Row and column, in pixels.
    radii : tuple of float
        Half axes before the wobble, long one first, in pixels.
    angle : float
        Of the long axis to the column axis, in radians.
    wobble : tuple of (float, float)
        Amplitude (share of the radius) and phase of harmonics 2, 3, 4, ...
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    angle: float
    wobble: tuple[tuple[float, float], ...] = ()

    def window(self, shape: tuple[int, int], margin: float = 1.35) -> Window:
        """Return the part of an image of `shape` that the outline can reach; may be empty."""
        reach = margin * max(self.radii)
        spans = (
            slice(max(0, int(mid - reach)), max(0, min(size, int(mid + reach) + 2)))
            for mid, size in zip(self.centre, shape, strict=True)
        )
        rows, cols = spans
        return rows, cols

    def level(self, window: Window) -> Field:
        """Return 0 at the centre, 1 on the curve, growing outwards; one value per pixel."""
        rows, cols = np.ogrid[window]
        down, right = rows - self.centre[0], cols - self.centre[1]
        along = (right * np.cos(self.angle) + down * np.sin(self.angle)) / self.radii[0]
        across = (down * np.cos(self.angle) - right * np.sin(self.angle)) / self.radii[1]
        turn = np.arctan2(across, along)
        radius = np.ones_like(turn)
        for order, (amplitude, phase) in enumerate(self.wobble, start=2):
            radius += amplitude * np.cos(order * turn + phase)
        level: Field = np.hypot(along, across) / radius
        return level


def wobble(
    rng: np.random.Generator, amplitude: float, orders: int = 4
) -> tuple[tuple[float, float], ...]:
    """Draw harmonics that get weaker with their order."""
    return tuple(
        (float(amplitude * rng.normal() / order), float(rng.uniform(0, 2 * np.pi)))
        for order in range(1, orders + 1)
    )


def noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]
) -> Field:
    """Return a soft random field of mean 0 and deviation 1; `sigma` is its grain in pixels."""
    field: Field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    standard: Field = (field - field.mean()) / field.std()
    return standard


def blur(field: Field, sigma: float | tuple[float, ...]) -> Field:
    """Return `field` seen through a Gaussian of `sigma` pixels."""
    soft: Field = ndimage.gaussian_filter(field, sigma, mode="nearest")
    return soft


def smoothstep(value: Field, low: float, high: float) -> Field:
    """Return 0 below `low`, 1 above `high`, a smooth rise between; falls if high < low."""
    ramp = np.clip((value - low) / (high - low), 0, 1)
    step: Field = ramp * ramp * (3 - 2 * ramp)
    return step


def count_photons(rng: np.random.Generator, expected: Field) -> Field:
    """Draw Poisson counts around `expected` (any shape, >= 0)."""
    rounded = np.round(np.maximum(expected, 0) / COUNT_STEP) * COUNT_STEP
    return rng.poisson(rounded).astype(np.float64)
