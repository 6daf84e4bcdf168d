"""A field of cultured cells, their DNA stained: a 20x wide-field fluorescence image.

Nuclei lie in loose groups and flatten where they touch. Each has its own size, brightness and
chromatin; a few are dividing, a few lie out of focus. Then the microscope: point spread with
its wide skirt, uneven illumination, camera with photon and read noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data.shapes import (
    Field,
    Labels,
    Outline,
    Sample,
    blur,
    count_photons,
    noise,
    smoothstep,
    wobble,
)

SPACING = 0.325  # µm per pixel: 6.5 µm camera pixels behind a 20x lens
DENSITY = 112 / 512**2  # nuclei per square pixel, before the crowded ones are dropped
OFFSET, GAIN, READ_NOISE = 110.0, 2.2, 1.9  # grey values; grey values per electron; electrons
BACKGROUND, SIGNAL = 34.0, 620.0  # electrons: of the medium, of a nucleus of brightness 1


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: where it is and how its chromatin looks.

    Attributes
    ----------
    outline : Outline
        Its border in focus.
    brightness : float
        Relative dose of stain per pixel, about 1.
    grain : float
        Contrast of the chromatin, 0 (even) to about 1.
    nucleoli : tuple of Outline
        Spots without DNA.
    dividing : bool
        Condensed chromosomes: bright, no nucleoli, hardly any texture.
    """

    outline: Outline
    brightness: float
    grain: float
    nucleoli: tuple[Outline, ...] = ()
    dividing: bool = False


def make_nuclei(seed: int, size: int = 512) -> Sample:
    """Make the fluorescence sample.

    Parameters
    ----------
    seed : int
        Of all random numbers.
    size : int
        Rows and columns, at least 64.

    Returns
    -------
    Sample
        uint16 image (size, size) of camera grey values, uint16 instances.
    """
    rng = np.random.default_rng(seed)
    shape = (size, size)
    cells = [_draw_nucleus(rng, centre) for centre in _scatter(rng, size)]
    owner, depth = _own(shape, cells)
    stain = _stain(rng, cells, owner, depth)
    scene = SIGNAL * _microscope(stain) + _surroundings(rng, shape, stain)
    grey = _camera(rng, scene * _illumination(shape))
    return Sample(grey, _renumber(owner), "YX", (SPACING, SPACING), "µm")


def _scatter(rng: np.random.Generator, size: int) -> list[tuple[float, float]]:
    """Place centres: half of them alone, half next to an earlier one."""
    centres: list[tuple[float, float]] = []
    for _ in range(round(DENSITY * size**2)):
        spot = rng.uniform(-8, size + 8, 2)
        if centres and rng.random() < 0.5:
            turn = rng.uniform(0, 2 * np.pi)
            near = centres[int(rng.integers(len(centres)))]
            spot = near + rng.uniform(28, 40) * np.array([np.sin(turn), np.cos(turn)])
        if all(np.hypot(spot[0] - y, spot[1] - x) > 27 for y, x in centres):
            centres.append((float(spot[0]), float(spot[1])))
    return centres


def _draw_nucleus(rng: np.random.Generator, centre: tuple[float, float]) -> Nucleus:
    angle = float(rng.uniform(0, np.pi))
    if rng.random() < 0.035:
        plate = Outline(centre, (float(rng.uniform(12, 15)), 5.6), angle, wobble(rng, 0.13))
        return Nucleus(plate, float(rng.uniform(1.6, 2.0)), 0.9, dividing=True)
    mean = float(np.clip(rng.lognormal(np.log(17.5), 0.17), 11, 25))
    ratio = float(rng.uniform(1.05, 1.6)) ** 0.5
    waves = wobble(rng, 0.16, orders=2) if rng.random() < 0.15 else wobble(rng, 0.055)
    outline = Outline(centre, (mean * ratio, mean / ratio), angle, waves)
    # The dose of DNA is nearly constant: large nuclei are flat and dim
    brightness = float((17.5 / mean) * rng.lognormal(0, 0.26))
    spots = tuple(_draw_nucleolus(rng, outline) for _ in range(rng.integers(1, 5)))
    return Nucleus(outline, brightness, float(rng.uniform(0.5, 1.0)), spots)


def _draw_nucleolus(rng: np.random.Generator, outline: Outline) -> Outline:
    turn, reach = rng.uniform(0, 2 * np.pi), 0.6 * min(outline.radii) * rng.random() ** 0.5
    centre = (
        outline.centre[0] + float(reach * np.sin(turn)),
        outline.centre[1] + float(reach * np.cos(turn)),
    )
    radius = float(rng.uniform(1.6, 3.4))
    return Outline(centre, (radius * 1.2, radius), float(rng.uniform(0, np.pi)), wobble(rng, 0.1))


def _own(shape: tuple[int, int], cells: list[Nucleus]) -> tuple[Labels, Field]:
    """Share out the pixels.

    Returns
    -------
    owner : uint16 ndarray
        Number of the nucleus at each pixel, from 1; 0 outside.
    depth : float64 ndarray
        0 on the border of a nucleus, also where two meet, 1 at its centre.
    """
    first, second = np.full(shape, np.inf), np.full(shape, np.inf)
    owner = np.zeros(shape, np.uint16)
    for number, cell in enumerate(cells, start=1):
        window = cell.outline.window(shape, margin=1.6)
        level, best = cell.outline.level(window), first[window]
        wins = level < best
        second[window] = np.minimum(second[window], np.where(wins, best, level))
        owner[window][wins] = number
        first[window] = np.where(wins, level, best)
    owner[first >= 1] = 0
    first = np.minimum(first, 1)
    depth = np.minimum(1 - first, second - first)
    return owner, depth


def _stain(rng: np.random.Generator, cells: list[Nucleus], owner: Labels, depth: Field) -> Field:
    """Return the stain per pixel, before any blur; an average nucleus has about 1."""
    shape = owner.shape
    coarse, fine = noise(rng, shape, 3.2), noise(rng, shape, 1.3)
    clumps = smoothstep(noise(rng, shape, 1.5), 1.2, 2.4)  # heterochromatin
    texture = 0.14 * coarse + 0.13 * fine + 0.55 * clumps - 0.04
    stain = np.zeros(shape)
    for number, cell in enumerate(cells, start=1):
        window = cell.outline.window((shape[0], shape[1]), margin=1.6)
        inside, deep = owner[window] == number, depth[window]
        # Thick in the middle, with a thin lining of dense chromatin at the border
        dome = 0.52 + 0.48 * np.sqrt(np.clip(1.9 * deep, 0, 1)) + 0.10 * (deep < 0.16)
        dose = cell.brightness * dome * np.clip(1 + cell.grain * texture[window], 0.2, None)
        for spot in cell.nucleoli:
            dose *= 1 - 0.42 * cell.grain * smoothstep(spot.level(window), 1.25, 0.6)
        stain[window][inside] = dose[inside]
    return stain


def _microscope(stain: Field) -> Field:
    """Blur with the point spread function: a sharp core, a skirt of light from other depths."""
    return 0.80 * blur(stain, 1.05) + 0.13 * blur(stain, 5.0) + 0.07 * blur(stain, 22.0)


def _surroundings(rng: np.random.Generator, shape: tuple[int, int], stain: Field) -> Field:
    """Return electrons per pixel of all that is not a nucleus in focus."""
    haze = BACKGROUND * (1 + 0.22 * noise(rng, shape, 40.0))
    cytoplasm = 70 * blur((stain > 0).astype(np.float64), 16.0)
    cytoplasm *= np.clip(1 + 0.25 * noise(rng, shape, 2.5) + 0.3 * noise(rng, shape, 9.0), 0, None)
    return haze + cytoplasm + _floaters(rng, shape) + _debris(rng, shape)


def _floaters(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return the glow of cells far above the focal plane."""
    glow = np.zeros(shape)
    for _ in range(max(1, round(DENSITY * 0.10 * shape[0] * shape[1]))):
        centre = (float(rng.uniform(0, shape[0])), float(rng.uniform(0, shape[1])))
        outline = Outline(centre, (19.0, 15.0), float(rng.uniform(0, np.pi)))
        window = outline.window(shape)
        glow[window] += rng.uniform(110, 240) * (outline.level(window) < 1)
    return blur(glow, 11.0)


def _debris(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Return small bright fragments and dust."""
    dust = np.zeros(shape)
    for _ in range(max(1, round(9e-5 * shape[0] * shape[1]))):
        row, col = rng.integers(shape[0]), rng.integers(shape[1])
        dust[row, col] += rng.uniform(150, 900)
    return blur(dust, 1.15)


def _illumination(shape: tuple[int, int]) -> Field:
    """Return the share of the lamp's light at each pixel: brightest off centre."""
    rows, cols = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    share: Field = 1.04 - 0.17 * ((rows - 0.18) ** 2 + (cols + 0.12) ** 2)
    return share


def _camera(rng: np.random.Generator, electrons: Field) -> NDArray[np.uint16]:
    counted = count_photons(rng, electrons) + READ_NOISE * rng.standard_normal(electrons.shape)
    grey = np.round(OFFSET + GAIN * counted)
    return np.clip(grey, 0, 65535).astype(np.uint16)


def _renumber(owner: Labels) -> Labels:
    """Return labels 1..n without gaps: some nuclei lie outside the image."""
    kept = np.union1d(owner, [0])
    return np.searchsorted(kept, owner).astype(np.uint16)
