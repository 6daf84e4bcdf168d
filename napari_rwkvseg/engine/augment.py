"""Random views of a training image: place, scale, rotation, mirror, and how it was exposed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_rwkvseg.engine.dataset import Sample

KNOTS = 5  # along each side of a view that is deformed
FACTORS = ("scale", "gamma")  # 1 changes nothing
AMOUNTS = ("elastic", "contrast", "brightness", "colour", "grey", "invert", "blur", "noise")  # 0


@dataclass(frozen=True)
class Augmentation:
    """How far views may differ from the image.

    Attributes
    ----------
    scale : float
        Largest magnification; the smallest is its inverse.
    free_rotation : float
        Probability of any angle up to `turn`; else a multiple of 90°, if `quarters`.
    turn : float
        Largest angle in degrees, either way.
    quarters : bool
        Whether views are turned by multiples of 90°: not where anatomy has an orientation.
    mirror : float
        Probability of a mirror image, left for right.
    elastic : float
        Largest shift of a smooth deformation, as a share of the view's side.
    gamma : float
        Largest exponent of the intensities; the smallest is its inverse.
    contrast, brightness : float
        Largest relative change of the slope, and largest shift in units of the range.
    colour : float
        Largest relative change of the slope of a single channel.
    grey, invert, blur, noise : float
        Probabilities of dropping the colour, of a negative, of defocus and of noise.
    """

    scale: float = 1.6
    free_rotation: float = 0.5
    turn: float = 180.0
    quarters: bool = True
    mirror: float = 0.5
    elastic: float = 0.0
    gamma: float = 1.5
    contrast: float = 0.3
    brightness: float = 0.15
    colour: float = 0.15
    grey: float = 0.1
    invert: float = 0.05
    blur: float = 0.15
    noise: float = 0.3

    def calmer(self, share: float) -> Augmentation:
        """Return an augmentation whose views are nearer to the image.

        Parameters
        ----------
        share : float
            Of every range and every chance that stays, 0 to 1; turns and mirror images stay as they
            are, for they are as likely as the image itself.
        """
        return replace(
            self,
            **{name: getattr(self, name) ** share for name in FACTORS},
            **{name: getattr(self, name) * share for name in AMOUNTS},
        )


def draw_view(
    sample: Sample, crop: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return one random view of a sample.

    Parameters
    ----------
    sample : Sample
        Image (H, W, C) and truth (H, W).
    crop : int
        Side of the view in pixels. Smaller images are continued by reflection.
    augmentation : Augmentation
        Ranges.
    rng : Generator
        The only source of chance.

    Returns
    -------
    image : Tensor, float32, shape (C, crop, crop)
    truth : Tensor, int64, shape (crop, crop)
    """
    grid = _sampling_grid(sample.truth.shape, crop, augmentation, rng)
    image = torch.from_numpy(np.asarray(sample.image, np.float32)).permute(2, 0, 1)
    truth = torch.from_numpy(np.asarray(sample.truth, np.float32))
    view = _sample(image, grid, "bilinear")
    label = _sample(truth[None], grid, "nearest")[0]
    return expose(view, augmentation, rng), label.long()


def _sampling_grid(
    shape: tuple[int, ...], crop: int, augmentation: Augmentation, rng: np.random.Generator
) -> Tensor:
    """Return where each pixel of the view lies in the image, (1, crop, crop, 2), -1..1."""
    height, width = shape
    zoom = augmentation.scale ** rng.uniform(-1, 1)
    angle = _angle(augmentation, rng)
    mirror = 1 if rng.random() < 1 - augmentation.mirror else -1
    half = crop / 2 / zoom  # half the side of the view, in pixels of the image
    middle = [_middle(side, half, rng) for side in (width, height)]

    cos, sin = math.cos(angle) * half, math.sin(angle) * half
    rows = [
        [mirror * cos * 2 / width, -sin * 2 / width, middle[0] * 2 / width - 1],
        [mirror * sin * 2 / height, cos * 2 / height, middle[1] * 2 / height - 1],
    ]
    grid = functional.affine_grid(torch.tensor([rows]), [1, 1, crop, crop], align_corners=False)
    if not augmentation.elastic:
        return grid
    reach = [2 * augmentation.elastic * 2 * half / side for side in (width, height)]
    return grid + _deformation(crop, rng) * torch.tensor(reach)


def _angle(augmentation: Augmentation, rng: np.random.Generator) -> float:
    """Draw the angle of a view, in radians."""
    quarter = math.pi / 2 * int(rng.integers(4)) if augmentation.quarters else 0.0
    if rng.random() >= augmentation.free_rotation:
        return quarter
    turn = math.radians(augmentation.turn)
    angle = float(rng.uniform(0, 2 * turn))
    return angle if angle <= turn else angle - 2 * turn


def _deformation(crop: int, rng: np.random.Generator) -> Tensor:
    """Draw smooth shifts of the pixels of a view, (1, crop, crop, 2), about -1 to 1."""
    knots = torch.from_numpy(rng.uniform(-1, 1, (1, 2, KNOTS, KNOTS)).astype(np.float32))
    # cubic, because straight pieces would put kinks into every edge that crosses a knot
    shifts = functional.interpolate(knots, (crop, crop), mode="bicubic", align_corners=True)
    return shifts.permute(0, 2, 3, 1)


def _middle(side: int, half: float, rng: np.random.Generator) -> float:
    """Draw the middle of a view: the view inside the image, or the image anywhere in the view.

    A small image lies in a corner when it is segmented: networks must not learn that it is centred.
    """
    low, high = sorted((half, side - half))
    return float(rng.uniform(low, high))


def _sample(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled = functional.grid_sample(
        image[None], grid, mode=mode, padding_mode="reflection", align_corners=False
    )
    return sampled[0]


def expose(image: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Return the image (C, H, W) as another exposure would show it."""
    if rng.random() < augmentation.grey:
        image = image.mean(0, keepdim=True).expand_as(image)
    if rng.random() < augmentation.invert:
        image = 1 - image
    image = image.clamp_min(0) ** float(augmentation.gamma ** rng.uniform(-1, 1))
    slope = 1 + augmentation.contrast * rng.uniform(-1, 1)
    slopes = slope * (1 + augmentation.colour * rng.uniform(-1, 1, len(image)))
    shift = augmentation.brightness * rng.uniform(-1, 1)
    image = image * torch.tensor(slopes, dtype=torch.float32)[:, None, None] + float(shift)
    if rng.random() < augmentation.blur:
        image = _defocus(image, float(rng.uniform(0.5, 1.5)))
    if rng.random() < augmentation.noise:
        grain = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + torch.from_numpy(grain) * float(rng.uniform(0.01, 0.08))
    return image


def _defocus(image: Tensor, sigma: float) -> Tensor:
    """Blur an image (C, H, W) by a Gaussian of `sigma` pixels."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).repeat(len(image), 1)  # (C, K)
    padded = functional.pad(image[None], (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel[:, None, None, :], groups=len(image))
    return functional.conv2d(across, kernel[:, None, :, None], groups=len(image))[0]
