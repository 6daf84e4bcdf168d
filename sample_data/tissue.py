"""A section of glandular tissue stained with haematoxylin and eosin, 20x bright field.

Glands with a lumen and a ring of columnar cells lie in wavy collagen with fibroblasts,
lymphocytes and a few red blood cells. The two stains absorb: the image follows from their
amounts by the law of Beer and Lambert, then comes the microscope.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sample_data.shapes import (
    Field,
    Labels,
    Outline,
    Sample,
    Window,
    blur,
    count_photons,
    noise,
    smoothstep,
    wobble,
)
from sample_data.tissue_plan import (
    Cell,
    Glands,
    Kind,
    fibre_direction,
    fill_stroma,
    line_glands,
    place_glands,
    stack,
)

SPACING = 0.35  # µm per pixel
WHITE = np.array([243.0, 240.0, 244.0])  # grey values of the lamp through bare glass
PHOTONS = 26.0  # per grey value
# Optical density per unit of stain in red, green, blue
HAEMATOXYLIN = np.array([0.66, 0.72, 0.30])
EOSIN = np.array([0.13, 0.86, 0.38])
BLOOD = np.array([0.06, 0.74, 0.62])


def make_tissue(seed: int, size: int = 384) -> Sample:
    """Make the stained tissue sample.

    Parameters
    ----------
    seed : int
        Of all random numbers.
    size : int
        Rows and columns, at least 96.

    Returns
    -------
    Sample
        uint8 RGB image (size, size, 3), uint16 nucleus instances.
    """
    rng = np.random.default_rng(seed)
    shape = (size, size)
    glands = place_glands(rng, shape)
    flow = fibre_direction(rng, glands)
    cells = line_glands(rng, glands) + fill_stroma(rng, glands, flow)
    truth, kept = stack(cells, shape)
    chromatin = _chromatin(rng, kept, truth)
    blood = _red_cells(rng, glands, truth)
    eosin = _eosin(rng, glands, flow, truth) * (1 - 0.9 * np.clip(blood, 0, 1))
    haze = 0.06 * (1 - glands.lumen) * np.clip(1 + 0.5 * noise(rng, shape, 3), 0, None)
    density = (
        (chromatin + haze)[..., None] * HAEMATOXYLIN
        + eosin[..., None] * EOSIN
        + blood[..., None] * BLOOD
    )
    return Sample(_scan(rng, density), truth, "YXS", (SPACING, SPACING), "µm")


def _comb(grain: Field, flow: Field, steps: int, stride: float = 1.0) -> Field:
    """Average `grain` along `flow` (line integral convolution): streaks of 2 * `steps`."""
    total = grain.copy()
    for sign in (-stride, stride):
        place = np.indices(grain.shape).astype(np.float64)
        for _ in range(steps):
            angle = ndimage.map_coordinates(flow, place, order=0, mode="nearest")
            place[0] += sign * np.sin(angle)
            place[1] += sign * np.cos(angle)
            total += ndimage.map_coordinates(grain, place, order=1, mode="reflect")
    spread = total.std()
    streaks: Field = (total - total.mean()) / spread
    return streaks


def _eosin(rng: np.random.Generator, glands: Glands, flow: Field, truth: Labels) -> Field:
    """Return the amount of eosin per pixel: collagen, cytoplasm, basement membranes."""
    shape = truth.shape
    collagen = _collagen(rng, shape, flow)
    columns = _comb(noise(rng, shape, 1.3), flow + np.pi / 2, 9)  # cells stand upright
    foam = 0.5 * noise(rng, shape, 1.4) + noise(rng, shape, 5.0)
    cytoplasm = 0.31 + 0.035 * columns + 0.035 * foam + 0.10 * smoothstep(glands.level, 0.55, 0.95)
    membrane = 0.14 * np.exp(-(((glands.level - 1.02) / 0.02) ** 2))
    inside = smoothstep(glands.level, 1.03, 0.97)
    body = inside * cytoplasm + (1 - inside) * collagen + membrane
    brush = 0.22 * np.exp(-(((glands.lumen - 0.45) / 0.3) ** 2))  # the cells' apical border
    secretion = 0.05 * np.clip(noise(rng, shape, 12.0) - 0.3, 0, None)
    body = (body + brush) * (1 - glands.lumen) + secretion * glands.lumen
    return np.where(truth > 0, 0.6 * body, body)


def _collagen(rng: np.random.Generator, shape: tuple[int, int], flow: Field) -> Field:
    fibrils = _comb(noise(rng, shape, 0.7), flow, 8)
    fibres = _comb(noise(rng, shape, 1.5), flow, 16)
    bundles = _comb(noise(rng, shape, 3.2), flow, 14)
    amount: Field = (
        0.40 + 0.06 * fibrils + 0.08 * fibres + 0.05 * bundles + 0.06 * noise(rng, shape, 25.0)
    )
    # Clefts between the bundles
    gaps = smoothstep(bundles + 0.8 * fibres + 0.4 * noise(rng, shape, 14.0), -1.5, -2.3)
    collagen: Field = np.clip(amount, 0.12, None) * (1 - 0.85 * gaps)
    return collagen


def _chromatin(rng: np.random.Generator, cells: list[Cell], truth: Labels) -> Field:
    """Return the amount of haematoxylin per pixel."""
    shape = truth.shape
    clumps, dust = noise(rng, shape, 1.8), noise(rng, shape, 0.9)
    texture = 0.62 * smoothstep(clumps, 0.0, 1.6) + 0.10 * dust
    layers = np.zeros((2, *shape))  # in focus, and a little below
    for number, cell in enumerate(cells, start=1):
        window = cell.outline.window(shape)
        level, owner = cell.outline.level(window), truth[window]
        soft = 0.7 / min(cell.outline.radii)  # partly covered pixels at the border
        cover = smoothstep(level, 1 + soft, 1 - soft) * ((owner == number) | (owner == 0))
        layer = layers[int(rng.random() < 0.3)][window]
        layer += cover * cell.dose * _dose(rng, cell, level, texture[window], window)
    amount: Field = layers[0] + blur(layers[1], 1.5)
    return amount


def _dose(
    rng: np.random.Generator, cell: Cell, level: Field, texture: Field, window: Window
) -> Field:
    pale, lining, contrast = _LOOK[cell.kind]
    rim = np.exp(-(((level - 0.93) / 0.10) ** 2))  # chromatin lines the envelope
    dose: Field = pale + lining * rim + contrast * texture
    if cell.kind == "epithelium":
        dose += 0.5 * smoothstep(_nucleolus(rng, cell.outline).level(window), 1.3, 0.7)
    return dose


# Even dose, dose of the envelope, contrast of the clumps
_LOOK: dict[Kind, tuple[float, float, float]] = {
    "epithelium": (0.62, 0.34, 0.55),
    "fibroblast": (0.95, 0.15, 0.45),
    "lymphocyte": (0.72, 0.25, 0.85),
}


def _nucleolus(rng: np.random.Generator, outline: Outline) -> Outline:
    row, col = np.array(outline.centre) + rng.normal(0, 2.0, 2)
    return Outline((float(row), float(col)), (1.9, 1.6), 0.0)


def _red_cells(rng: np.random.Generator, glands: Glands, truth: Labels) -> Field:
    """Return the amount of haemoglobin: erythrocytes squeezed into small vessels."""
    blood = np.zeros(truth.shape)
    free = np.argwhere((glands.level > 1.2) & (truth == 0))
    vessels = free[rng.integers(len(free), size=4)] if len(free) else free
    for vessel in vessels:
        for place in _spread(rng, vessel):
            radii = (float(rng.uniform(7.5, 9.5)), float(rng.uniform(6.0, 8.0)))
            cell = Outline(place, radii, float(rng.uniform(0, np.pi)), wobble(rng, 0.05, 3))
            window = cell.window((truth.shape[0], truth.shape[1]))
            level = cell.level(window)
            disc = smoothstep(level, 1.06, 0.88) * (0.42 + 0.3 * smoothstep(level, 0.1, 0.8))
            blood[window] = np.maximum(blood[window], disc)
    return np.where((truth > 0) | (glands.level < 1.03), 0, blood)


def _spread(rng: np.random.Generator, middle: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Return up to nine places around `middle` that do not crowd each other."""
    places: list[tuple[float, float]] = []
    for row, col in middle + rng.normal(0, 13, (9, 2)):
        if all(np.hypot(row - y, col - x) > 15 for y, x in places):
            places.append((float(row), float(col)))
    return places


def _scan(rng: np.random.Generator, density: Field) -> NDArray[np.uint8]:
    """Send light through the section, blur it, count it.

    Parameters
    ----------
    density : float64 ndarray, shape (Y, X, 3)
        Optical density, base 10.
    """
    light = WHITE * 10.0 ** (-0.52 * np.clip(density, 0, None))
    light = 0.85 * blur(light, (0.75, 0.75, 0)) + 0.15 * blur(light, (2.6, 2.6, 0))
    grey = count_photons(rng, light * PHOTONS) / PHOTONS
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)
