"""Random views of corrected planes, placed where the evidence is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rwkvseg.engine.augment import Augmentation, draw_view
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.evidence import CHANGED, LEVELS, Evidence

MAX_SPOTS = 4096  # places kept per kind and piece: memory stays small
ROOM = 1.5  # sides of a view in which the place that it was drawn for may lie
PLAIN = Augmentation(
    scale=1, free_rotation=0, gamma=1, contrast=0, brightness=0, colour=0, grey=0, invert=0, blur=0,
    noise=0,
)  # fmt: skip

Spots = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Views:
    """A batch to learn from.

    Attributes
    ----------
    images : Tensor, float32, shape (B, C, crop, crop)
    truths, levels : Tensor, int64, shape (B, crop, crop)
        Class, and level of evidence, per pixel.
    replay : Tensor, bool, shape (B,)
        Which views show images that were learnt before.
    """

    images: Tensor
    truths: Tensor
    levels: Tensor
    replay: Tensor

    def select(self, chosen: Tensor) -> Views:
        """Return some of the views."""
        return Views(
            self.images[chosen], self.truths[chosen], self.levels[chosen], self.replay[chosen]
        )

    def to(self, device: torch.device) -> Views:
        """Return the views on a device."""
        return Views(
            self.images.to(device),
            self.truths.to(device),
            self.levels.to(device),
            self.replay.to(device),
        )


class EvidenceSource:
    """Draws views of some pieces: every image equally often, every kind of pixel equally often.

    Parameters
    ----------
    pieces : sequence of Evidence
        Each with evidence; pieces of one plane share its id and number.
    """

    def __init__(self, pieces: Sequence[Evidence]) -> None:
        by_plane: dict[tuple[str, int], list[tuple[Evidence, list[Spots]]]] = {}
        for piece in pieces:
            key = (piece.image_id, piece.plane)
            by_plane.setdefault(key, []).append((piece, _find_spots(piece)))
        self._planes = list(by_plane.values())

    def __len__(self) -> int:
        return len(self._planes)

    def draw(self, crop: int, augmentation: Augmentation, rng: np.random.Generator) -> list[Tensor]:
        """Return image (C, crop, crop), truth and levels (crop, crop) of one view."""
        plane = self._planes[int(rng.integers(len(self._planes)))]
        areas = np.array([float(np.count_nonzero(piece.seen)) for piece, _ in plane])
        piece, spots = plane[int(rng.choice(len(plane), p=areas / areas.sum()))]
        kind = spots[int(rng.integers(len(spots)))]
        window = _window(piece.truth.shape, int(kind[rng.integers(len(kind))]), round(ROOM * crop))
        # one number for class and level, so that both go through the same turn and zoom
        code = piece.truth[window].astype(np.int64) * LEVELS + piece.levels[window]
        sample = Sample(piece.image_id, piece.image[window], code)
        image, found = draw_view(sample, crop, augmentation, rng)
        return [image, found // LEVELS, found % LEVELS]


def draw_views(
    fresh: EvidenceSource,
    replay: EvidenceSource | None,
    count: int,
    crop: int,
    augmentation: Augmentation,
    replay_share: float,
    rng: np.random.Generator,
) -> Views:
    """Draw a batch.

    Parameters
    ----------
    fresh, replay : EvidenceSource
        Corrections to learn; corrections learnt before, if there are any.
    count, crop : int
        Views; side of a view in pixels.
    augmentation : Augmentation
        How far views differ from the image.
    replay_share : float
        Chance of a view to come from `replay`.
    rng : Generator
        The only source of chance.
    """
    again = [replay is not None and rng.random() < replay_share for _ in range(count)]
    drawn = [(replay if r and replay else fresh).draw(crop, augmentation, rng) for r in again]
    images, truths, levels = (torch.stack(list(part)) for part in zip(*drawn, strict=True))
    return Views(images, truths, levels, torch.tensor(again))


def _find_spots(piece: Evidence) -> list[Spots]:
    """Return places (flat indices) for each kind of evidence: changed pixels, and each class."""
    kinds = [piece.levels == CHANGED]
    kinds += [piece.seen & (piece.truth == k) for k in np.unique(piece.truth[piece.seen])]
    found = [np.flatnonzero(kind) for kind in kinds]
    return [spots[:: -(-len(spots) // MAX_SPOTS)] for spots in found if len(spots)]


def _window(shape: tuple[int, ...], spot: int, side: int) -> tuple[slice, ...]:
    """Return a square around a place, moved into the piece; all of the piece if that is smaller."""
    places = divmod(spot, shape[1])
    starts = [
        min(max(0, place - side // 2), max(0, length - side))
        for place, length in zip(places, shape, strict=True)
    ]
    return tuple(slice(start, start + side) for start in starts)
