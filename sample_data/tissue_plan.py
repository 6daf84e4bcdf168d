"""Where things lie in the tissue sample: glands, the run of the fibres, nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sample_data.shapes import Field, Labels, Outline, blur, noise, smoothstep, wobble

PITCH = 205.0  # pixels between neighbouring glands

Kind = Literal["epithelium", "fibroblast", "lymphocyte"]


@dataclass(frozen=True)
class Cell:
    """One nucleus of the section.

    Attributes
    ----------
    outline : Outline
        Its border.
    kind : str
        Decides size and chromatin.
    dose : float
        Amount of haematoxylin, about 1.
    """

    outline: Outline
    kind: Kind
    dose: float


@dataclass(frozen=True, eq=False)
class Glands:
    """Where the glands are.

    Attributes
    ----------
    outlines : tuple of Outline
        Basement membranes.
    level : float64 ndarray, shape (Y, X)
        0 in the middle of a gland, 1 on its basement membrane, larger in the stroma.
    lumen : float64 ndarray, shape (Y, X)
        1 in the empty middle of a gland, 0 outside, soft between.
    """

    outlines: tuple[Outline, ...]
    level: Field
    lumen: Field


def place_glands(rng: np.random.Generator, shape: tuple[int, int]) -> Glands:
    """Put glands on a jittered triangle lattice, wobbly enough to look cut."""
    spots = [
        (row * 0.92 + 0.35, col + 0.5 * (row % 2) + 0.18)
        for row in range(-1, int(shape[0] / PITCH) + 2)
        for col in range(-1, int(shape[1] / PITCH) + 2)
    ]
    outlines = tuple(_draw_gland(rng, PITCH * np.array(spot)) for spot in spots)
    everywhere = (slice(0, shape[0]), slice(0, shape[1]))
    level = np.min([outline.level(everywhere) for outline in outlines], axis=0)
    ragged = level + 0.03 * noise(rng, shape, 4.0) + 0.04 * noise(rng, shape, 13.0)
    return Glands(outlines, level, smoothstep(ragged, 0.47, 0.41))


def _draw_gland(rng: np.random.Generator, centre: Field) -> Outline:
    row, col = centre + rng.normal(0, 14, 2)
    long = float(rng.uniform(70, 92))
    radii = (long, long * float(rng.uniform(0.7, 0.95)))
    return Outline((float(row), float(col)), radii, float(rng.uniform(0, np.pi)), wobble(rng, 0.05))


def fibre_direction(rng: np.random.Generator, glands: Glands) -> Field:
    """Return the angle of the collagen at each pixel: round the glands, waving."""
    down, right = np.gradient(blur(glands.level, 16.0))
    angle: Field = np.arctan2(-right, down) + 0.32 * noise(rng, down.shape, 26.0)
    return angle


def line_glands(rng: np.random.Generator, glands: Glands) -> list[Cell]:
    """Return the columnar cells' nuclei: near the basement membrane, pointing to the lumen."""
    cells: list[Cell] = []
    for gland in glands.outlines:
        circumference = np.pi * sum(gland.radii)
        count = int(circumference / 15.5)
        for turn in np.linspace(0, 2 * np.pi, count, endpoint=False):
            turn = turn + rng.normal(0, 0.35) * 2 * np.pi / count
            cells.append(_columnar(rng, gland, float(turn), float(rng.normal(0.80, 0.045))))
    return cells


def _columnar(rng: np.random.Generator, gland: Outline, turn: float, depth: float) -> Cell:
    waves = sum(a * np.cos(k * turn + p) for k, (a, p) in enumerate(gland.wobble, start=2))
    along, across = depth * (1 + waves) * np.array(gland.radii) * [np.cos(turn), np.sin(turn)]
    right = along * np.cos(gland.angle) - across * np.sin(gland.angle)
    down = along * np.sin(gland.angle) + across * np.cos(gland.angle)
    pointing = float(np.arctan2(down, right) + rng.normal(0, 0.16))
    radii = (float(rng.uniform(10.0, 14.0)), float(rng.uniform(6.0, 8.6)))
    centre = (gland.centre[0] + float(down), gland.centre[1] + float(right))
    outline = Outline(centre, radii, pointing, wobble(rng, 0.05, 3))
    return Cell(outline, "epithelium", float(rng.lognormal(-0.32, 0.17)))


def fill_stroma(rng: np.random.Generator, glands: Glands, flow: Field) -> list[Cell]:
    """Return fibroblasts along the fibres and a scatter of lymphocytes."""
    rows, cols = flow.shape
    spots = rng.integers((0, 0), (rows, cols), size=(round(0.0016 * rows * cols), 2))
    return [
        _stromal(rng, (float(row), float(col)), float(flow[row, col]))
        for row, col in spots
        if glands.level[row, col] > 1.12
    ]


def _stromal(rng: np.random.Generator, centre: tuple[float, float], fibre: float) -> Cell:
    if rng.random() < 0.62:
        radii = (float(rng.uniform(11, 17)), float(rng.uniform(2.6, 4.4)))
        outline = Outline(centre, radii, fibre + float(rng.normal(0, 0.12)), wobble(rng, 0.06, 3))
        return Cell(outline, "fibroblast", float(rng.lognormal(-0.1, 0.2)))
    radii = (float(rng.uniform(6.6, 8.2)), float(rng.uniform(6.2, 7.4)))
    outline = Outline(centre, radii, float(rng.uniform(0, np.pi)), wobble(rng, 0.04, 3))
    return Cell(outline, "lymphocyte", float(rng.lognormal(0.02, 0.12)))


def stack(cells: list[Cell], shape: tuple[int, int]) -> tuple[Labels, list[Cell]]:
    """Lay the nuclei into the section; those mostly hidden behind earlier ones are dropped.

    Returns
    -------
    truth : uint16 ndarray
        Instances, numbered from 1 in the order of `kept`.
    kept : list of Cell
        The nuclei that are visible.
    """
    truth = np.zeros(shape, np.uint16)
    kept: list[Cell] = []
    for cell in cells:
        window = cell.outline.window(shape)
        inside = cell.outline.level(window) < 1
        free = inside & (truth[window] == 0)
        if free.sum() > max(20, 0.75 * inside.sum()):
            kept.append(cell)
            truth[window][free] = len(kept)
    return truth, kept
