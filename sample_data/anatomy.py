"""The body of the CT sample: an upper abdomen of soft ellipsoids, in millimetres.

x runs to the patient's left (columns), y to the back (rows), z to the feet (slices): the
layout of an axial slice as radiologists see it, the liver on the left of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data.shapes import Field, noise

ORGANS = ("liver", "spleen", "kidney", "lung", "aorta", "bone", "lesion")  # labels 1 to 7
AIR = -1000.0

Mask = NDArray[np.bool_]
Grid = tuple[Field, Field, Field]  # z, y, x of every voxel, in mm from the body's middle


@dataclass(frozen=True)
class Ellipsoid:
    """A soft organ.

    Attributes
    ----------
    centre, radii : tuple of float
        z, y, x in mm.
    turn : float
        Rotation in the axial plane, radians.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: float = 0.0

    def level(self, grid: Grid) -> Field:
        """Return 0 at the centre, 1 on the surface, growing outwards."""
        z, y, x = (axis - mid for axis, mid in zip(grid, self.centre, strict=True))
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        across, along = (y * cos - x * sin), (x * cos + y * sin)
        rz, ry, rx = self.radii
        level: Field = np.sqrt((z / rz) ** 2 + (across / ry) ** 2 + (along / rx) ** 2)
        return level


LIVER = (Ellipsoid((8, -8, -68), (74, 74, 72), 0.2), Ellipsoid((-8, -46, -8), (46, 38, 74), -0.12))
SPLEEN = Ellipsoid((-12, 38, 102), (50, 46, 26), -0.4)
KIDNEYS = (Ellipsoid((46, 62, -62), (48, 27, 24), 0.5), Ellipsoid((34, 62, 66), (52, 28, 25), -0.5))
STOMACH = Ellipsoid((-8, -30, 70), (66, 46, 42), 0.5)
HEART = Ellipsoid((-76, -46, 18), (30, 40, 56), 0.35)
PANCREAS = Ellipsoid((30, -6, 22), (16, 13, 54), -0.35)
GALLBLADDER = Ellipsoid((34, -40, -58), (26, 15, 19), 0.6)
LESIONS = (
    Ellipsoid((-18, 8, -92), (13, 13, 13)),
    Ellipsoid((6, -38, -70), (9, 10, 9)),
    Ellipsoid((22, 22, -64), (8, 7, 9)),
)
AORTA, CAVA = (22.0, 6.0, 10.5), (8.0, -26.0, 12.0)  # y, x, radius of two upright tubes
SPINE = (58.0, 0.0)  # y, x of the vertebrae


def make_body(rng: np.random.Generator, grid: Grid) -> tuple[Field, NDArray[np.uint8]]:
    """Fill the body.

    Parameters
    ----------
    rng : Generator
        Of the deformation and the texture.
    grid : tuple of float64 ndarray, each (Z, Y, X)
        Positions in mm.

    Returns
    -------
    hounsfield : float64 ndarray, shape (Z, Y, X)
        Without noise and blur.
    labels : uint8 ndarray, shape (Z, Y, X)
        Index into `ORGANS` from 1; 0 is all else.
    """
    hounsfield = np.full(grid[0].shape, AIR)
    labels = np.zeros(grid[0].shape, np.uint8)
    bent = _bend(rng, grid)
    for inside, value, label in [*_wall(rng, grid), *_organs(rng, bent), *_bones(grid, bent)]:
        hounsfield = np.where(inside, value, hounsfield)
        labels[inside] = label
    return hounsfield, labels


Part = tuple[Mask, Field | float, int]  # where, Hounsfield units, label


def _bend(rng: np.random.Generator, grid: Grid, reach: float = 5.0) -> Grid:
    """Shift every position by a smooth few millimetres: no organ is an ellipsoid."""
    shape = grid[0].shape
    grain = (3.0, shape[1] / 14, shape[2] / 14)
    z, y, x = (axis + reach * noise(rng, shape, grain) for axis in grid)
    return z, y, x


def _wall(rng: np.random.Generator, grid: Grid) -> list[Part]:
    """Return skin, fat, muscle and the cavity with its fat, outside in."""
    oval = _oval(grid) + 0.012 * noise(rng, grid[0].shape, (3.0, 16.0, 16.0))
    ripple = oval + 0.010 * noise(rng, oval.shape, (2.5, 9.0, 9.0))
    strands = noise(rng, oval.shape, (0.6, 1.0, 1.0))
    return [
        (oval < 1, 20.0, 0),
        (oval < 0.982, -104 + 5 * strands, 0),
        (ripple < 0.865, 55 + 7 * strands, 0),
        (ripple < 0.795, -98 + 9 * strands, 0),
    ]


def _oval(grid: Grid) -> Field:
    """Return 0 on the body's axis, 1 on the skin: a superellipse, flatter at the back."""
    z, y, x = grid
    wide = 166 * (1 + 0.0004 * z)
    sum_: Field = np.abs(x / wide) ** 2.3 + np.abs(y / np.where(y > 0, 110, 120)) ** 2.3
    furrow = 0.035 * np.exp(-((x / 20) ** 2)) * (y > 0)  # along the spine
    return sum_ ** (1 / 2.3) + furrow


def _organs(rng: np.random.Generator, grid: Grid) -> list[Part]:
    """Return what fills the cavity, what lies in front last."""
    shape = grid[0].shape
    liver = np.min([part.level(grid) for part in LIVER], axis=0)
    inside = _oval(grid) < 0.785
    texture = noise(rng, shape, (0.5, 1.2, 1.2))
    return [
        (inside & _tubes(rng, shape, 7.0, 0.30), 118.0, 0),  # mesenteric vessels
        *_bowel(rng, grid, inside),
        (PANCREAS.level(grid) + 0.10 * texture < 1, 92.0 + 6 * texture, 0),
        *_stomach(grid, inside),
        ((SPLEEN.level(grid) < 1) & inside, 122.0 + 3 * texture, 2),
        *(part for kidney in KIDNEYS for part in _kidney(rng, kidney, grid)),
        ((liver < 1) & inside, 108.0 + 4 * texture, 1),
        ((liver < 0.93) & inside & _tubes(rng, shape, 8.0, 0.27), 160.0, 1),
        (GALLBLADDER.level(grid) < 1, 9.0, 0),
        *((lesion.level(grid) < 1, 62.0 + 8 * texture, 7) for lesion in LESIONS),
        *_vessels(grid),
        *_lungs(rng, grid, inside),
        ((HEART.level(grid) < 1) & inside, 112.0 + 5 * texture, 0),
        ((HEART.level(grid) < 0.74) & inside, 158.0, 0),
    ]


def _tubes(rng: np.random.Generator, shape: tuple[int, ...], grain: float, width: float) -> Mask:
    """Return a web of tubes: where two soft fields are near zero together."""
    grains = (0.4 * grain, grain, grain)
    tubes: Mask = np.hypot(noise(rng, shape, grains), noise(rng, shape, grains)) < width
    return tubes


def _bowel(rng: np.random.Generator, grid: Grid, inside: Mask) -> list[Part]:
    """Return loops in the lower front: wall, fluid, some gas."""
    z, y, _ = grid
    loops = noise(rng, z.shape, (2.4, 6.0, 6.0))
    here = inside & (z > -2) & (y < 38) & (loops > 0.35)
    filling = noise(rng, z.shape, (2.0, 5.0, 5.0))
    return [
        (here, 78.0, 0),
        (here & (loops > 0.62), 24.0 + 14 * np.round(filling), 0),
        (here & (loops > 0.80) & (filling > 0.9) & (y < 4), -820.0, 0),
    ]


def _stomach(grid: Grid, inside: Mask) -> list[Part]:
    """Return wall, fluid, and the gas that rises to the front of a patient on their back."""
    level = STOMACH.level(grid)
    return [
        ((level < 1) & inside, 84.0, 0),
        ((level < 0.90) & inside, 26.0, 0),
        ((level < 0.90) & inside & (grid[1] < -58), -960.0, 0),
    ]


def _kidney(rng: np.random.Generator, kidney: Ellipsoid, grid: Grid) -> list[Part]:
    """Return cortex, medulla and the fatty sinus that opens to the middle."""
    level = kidney.level(grid)
    pyramids = noise(rng, level.shape, (1.0, 2.2, 2.2))
    towards = 9.0 if kidney.centre[2] < 0 else -9.0
    middle = (kidney.centre[0], kidney.centre[1] - 3, kidney.centre[2] + towards)
    sinus = Ellipsoid(middle, (24, 9, 12), kidney.turn).level(grid)
    return [
        (level < 1, 186.0, 3),
        ((level < 0.74) & (pyramids > -0.2), 148.0, 3),
        (sinus + 0.12 * pyramids < 1, -70.0, 0),
        (sinus + 0.12 * pyramids < 0.55, 30.0, 0),
    ]


def _vessels(grid: Grid) -> list[Part]:
    """Return aorta with its thin wall, caval and portal vein."""
    z, y, x = grid
    aorta = np.hypot(y - AORTA[0] - 0.05 * z, x - AORTA[1])
    cava = np.hypot((y - CAVA[0] - 0.1 * z) * 1.25, x - CAVA[1])
    portal = np.hypot(y + 4 - 0.3 * x, z - 2 + 0.35 * x)
    return [
        (cava < CAVA[2], 138.0, 0),
        ((portal < 6.5) & (x > -62) & (x < 12), 150.0, 0),
        (aorta < AORTA[2] + 1.5, 60.0, 0),
        (aorta < AORTA[2], 172.0, 5),
    ]


def _lungs(rng: np.random.Generator, grid: Grid, inside: Mask) -> list[Part]:
    """Return the lung bases: what of the chest lies above the two domes of the diaphragm."""
    z, y, x = grid
    beside = np.abs(x) - 74
    dome = -84 + 62 * np.minimum(1.3, (beside / 72) ** 2 + ((y - 2) / 84) ** 2)
    above = dome - z  # mm
    chest = inside & (np.hypot((x - 4) / 40, (y + 4) / 86) > 1)  # beside the mediastinum
    vessels = _tubes(rng, z.shape, 4.5, 0.24)
    return [
        (chest & (above > -3), 58.0, 0),  # the diaphragm itself
        (chest & (above > 0), -858.0 + 24 * noise(rng, z.shape, (0.6, 1.5, 1.5)), 4),
        (chest & (above > 4) & vessels, -60.0, 4),
    ]


def _bones(grid: Grid, bent: Grid) -> list[Part]:
    """Return the muscles of the back, vertebrae, discs and ribs."""
    z, y, x = grid
    side = np.abs(x)
    muscle = np.hypot((y - 80) / 21, (side - 33) / 29) < 1
    psoas = np.hypot((y - 54) / 15, (side - 31) / 12) < 1
    disc = np.mod(z + 12, 34.0) < 6
    body = np.hypot((y - SPINE[0]) / 15.5, x / 21.5)
    canal = np.hypot((y - 81) / 8.5, x / 11)
    arch = (np.hypot((y - 82) / 15, x / 18) < 1) | (np.hypot((y - 98) / 11, x / 4.2) < 1)
    wings = np.hypot((y - 80 - 0.1 * side) / 5.5, x / 36) < 1
    bone = arch | (wings & ~disc)
    return [
        (muscle & (_oval(bent) < 0.90), 56.0, 0),
        (psoas & (z > 5), 58.0, 0),
        (bone, 330.0, 6),
        (canal < 1, 32.0, 0),
        (body < 1, np.where(disc, 82.0, 430.0), 0),
        ((body < 1) & ~disc, 430.0, 6),
        ((body < 0.88) & ~disc, 185.0, 6),
        *_ribs(grid),
    ]


def _ribs(grid: Grid) -> list[Part]:
    """Return ribs that slope to the front: an axial slice cuts each at a slant."""
    z, y, x = grid
    oval = _oval(grid)
    turn = np.arctan2(np.abs(x), y)  # 0 at the back, pi in front
    phase = np.cos(2 * np.pi * (z + 62 * turn) / 27)
    here = (turn > 0.42) & (turn < 2.25)
    thick = np.hypot((oval - 0.835) / 0.030, np.minimum(phase - 1, 0) / 0.9)
    return [(here & (thick < 1), 420.0, 6), (here & (thick < 0.55), 190.0, 6)]
