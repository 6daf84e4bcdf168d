"""Random views of corrected planes, placed where the evidence is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rwkvseg.engine.augment import Augmentation, draw_view
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.evidence import CHANGED, LEVELS, Evidence

MAX_SPOTS = 4096  # places kept per kind and piece: memory stays small
CHANGED_BY_HAND = -1  # kind of pixel; classes are kinds under their numbers
ROOM = 1.5  # sides of a view in which the place that it was drawn for may lie
PLAIN = Augmentation(
    scale=1, free_rotation=0, gamma=1, contrast=0, brightness=0, colour=0, grey=0, invert=0, blur=0,
    noise=0,
)  # fmt: skip


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
    """Draws views of some pieces: every kind of pixel equally often, of every image that shows it.

    Kinds are each class, and what was changed by hand. Lessons are often mostly background, and
    whole images may show nothing else: a view in two or three shows a lesion all the same.

    Parameters
    ----------
    pieces : sequence of Evidence
        Each with evidence; pieces of one plane share its id and number.
    """

    def __init__(self, pieces: Sequence[Evidence]) -> None:
        kinds: dict[int, dict[tuple[str, int], list[_Place]]] = {}
        for piece in pieces:
            plane = (piece.image_id, piece.plane)
            for kind, pixels in _kinds(piece):
                kinds.setdefault(kind, {}).setdefault(plane, []).append(_Place(piece, pixels))
        self._kinds = [list(planes.values()) for _, planes in sorted(kinds.items())]

    def draw(self, crop: int, augmentation: Augmentation, rng: np.random.Generator) -> list[Tensor]:
        """Return image (C, crop, crop), truth and levels (crop, crop) of one view."""
        planes = self._kinds[int(rng.integers(len(self._kinds)))]
        places = planes[int(rng.integers(len(planes)))]
        counts = np.array([place.count for place in places], float)
        place = places[int(rng.choice(len(places), p=counts / counts.sum()))]
        piece, spot = place.piece, int(place.spots[rng.integers(len(place.spots))])
        window = _window(piece.truth.shape, spot, round(ROOM * crop))
        # one number for class and level, so that both go through the same turn and zoom
        code = piece.truth[window].astype(np.int64) * LEVELS + piece.levels[window]
        sample = Sample(piece.image_id, piece.image[window], code)
        image, found = draw_view(sample, crop, augmentation, rng)
        return [image, found // LEVELS, found % LEVELS]


class _Place:
    """Where a piece shows one kind of pixel."""

    def __init__(self, piece: Evidence, pixels: NDArray[np.bool_]) -> None:
        spots = np.flatnonzero(pixels)
        self.piece, self.count = piece, len(spots)
        self.spots = spots[:: -(-len(spots) // MAX_SPOTS)]


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


def _kinds(piece: Evidence) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each kind of pixel in a piece, and where it is."""
    if (changed := piece.levels == CHANGED).any():
        yield CHANGED_BY_HAND, changed
    for k in np.unique(piece.truth[piece.seen]):
        yield int(k), piece.seen & (piece.truth == k)


def _window(shape: tuple[int, ...], spot: int, side: int) -> tuple[slice, ...]:
    """Return a square around a place, moved into the piece; all of the piece if that is smaller."""
    places = divmod(spot, shape[1])
    starts = [
        min(max(0, place - side // 2), max(0, length - side))
        for place, length in zip(places, shape, strict=True)
    ]
    return tuple(slice(start, start + side) for start in starts)
