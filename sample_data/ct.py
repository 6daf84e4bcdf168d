"""An upper abdomen as computed tomography sees it: projected, counted, reconstructed.

Every slice is projected (Radon transform), the rays lose photons by the law of Beer and
Lambert, the detector counts what is left, and filtered back-projection returns Hounsfield
units, with the streaks and the grain that come of it.
"""

from __future__ import annotations

import numpy as np
from skimage.transform import iradon, radon

from sample_data.anatomy import AIR, Grid, make_body
from sample_data.shapes import Field, Sample, blur, count_photons

SLICE_DISTANCE = 5.0  # mm
FIELD_OF_VIEW = 384.0  # mm, side of a slice
WATER = 0.0192  # absorption per mm at about 70 keV
PHOTONS = 2.4e5  # per ray and view in front of the patient
PADDING = -1024  # Hounsfield units outside the circle that the scanner sees


def make_ct(seed: int, slices: int = 24, size: int = 192, views: int = 300) -> Sample:
    """Make the CT sample.

    Parameters
    ----------
    seed : int
        Of all random numbers.
    slices, size : int
        Slices along the body; rows and columns of each.
    views : int
        Projections over half a turn.

    Returns
    -------
    Sample
        int16 image (slices, size, size) in Hounsfield units; uint8 labels, see
        `anatomy.ORGANS`.
    """
    rng = np.random.default_rng(seed)
    pixel = FIELD_OF_VIEW / size
    grid = _positions(slices, size, pixel)
    hounsfield, truth = make_body(rng, grid)
    outside = np.hypot(*grid[1:]) > FIELD_OF_VIEW / 2 - 1.5 * pixel
    scene = blur(_add_couch(hounsfield, grid), (0.35, 0.45, 0.45))
    absorption = np.where(outside, 0, WATER * np.clip(1 + scene / 1000, 0, None))
    angles = np.linspace(0, 180, views, endpoint=False)
    seen = [_scan(rng, plane, angles, pixel) for plane in absorption]
    image = np.where(outside, PADDING, np.round(seen)).astype(np.int16)
    return Sample(image, truth, "ZYX", (SLICE_DISTANCE, pixel, pixel), "mm")


def _positions(slices: int, size: int, pixel: float) -> Grid:
    """Return z, y, x of every voxel in mm, 0 in the middle of the volume."""
    steps = (SLICE_DISTANCE, pixel, pixel)
    axes = [
        step * (np.arange(count) - (count - 1) / 2)
        for step, count in zip(steps, (slices, size, size), strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z, y, x


def _add_couch(hounsfield: Field, grid: Grid) -> Field:
    """Put the patient on a curved shell of carbon fibre filled with foam."""
    _, y, x = grid
    sag = y - 122 + (x / 70) ** 2 * 4
    couch = (np.abs(x) < 132) & (hounsfield == AIR)
    shell = couch & (np.abs(sag) < 14.5)
    foam = couch & (np.abs(sag) < 11)
    return np.where(foam, -930.0, np.where(shell, 40.0, hounsfield))


def _scan(rng: np.random.Generator, absorption: Field, angles: Field, pixel: float) -> Field:
    """Return Hounsfield units of one slice from noisy projections.

    Parameters
    ----------
    absorption : float64 ndarray, shape (Y, X)
        Per mm.
    angles : float64 ndarray, shape (V,)
        Of the views, in degrees.
    pixel : float
        Side of a pixel in mm.
    """
    paths = radon(absorption * pixel, theta=angles, circle=True)  # type: ignore[no-untyped-call]
    counted = count_photons(rng, PHOTONS * np.exp(-paths))
    measured = np.log(PHOTONS / np.maximum(counted, 1))
    rebuilt = iradon(measured, angles, filter_name="hann")  # type: ignore[no-untyped-call]
    hounsfield: Field = 1000 * (rebuilt / pixel / WATER - 1)
    return hounsfield
