"""Held-out corrections, and what a network makes of them: right, found and wanted pixels.

A block is counted in quarters: how these differ tells more about chance than a few whole blocks do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rwkvseg.engine.doubt import KEEP_ALL, Limits
from napari_rwkvseg.engine.effort import or_on_processor
from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.forward import mean_over_mirrors, mirrors_for
from napari_rwkvseg.engine.holdout import Rectangle
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.source import widened
from napari_rwkvseg.network.model import SegmentationNetwork

CONTEXT = 64  # pixels around a block that the network sees, see `grown` of `count_pixels`
QUARTERS = 4  # of a block
WHOLE = 640  # longest side of a plane that is read in one piece, as in prediction

Counts = NDArray[np.float64]
N = TypeVar("N", np.float64, np.int64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out blocks of one corrected plane.

    Attributes
    ----------
    evidence : Evidence
        The plane.
    blocks : tuple of (slice, slice)
        Rows and columns of its held-out blocks.
    replay : bool
        Whether the image was learnt before.
    """

    evidence: Evidence
    blocks: tuple[Rectangle, ...]
    replay: bool = False


class Place(NamedTuple):
    """A held-out block, through all planes of its image.

    Attributes
    ----------
    image : str
        Id of the image.
    replay : bool
        Whether it was learnt before.
    rows, columns : tuple of int
        Start and stop.
    """

    image: str
    replay: bool
    rows: tuple[int, int]
    columns: tuple[int, int]


def count_pixels(
    network: SegmentationNetwork,
    held_out: Sequence[HeldOut],
    class_rows: Sequence[int | None],
    device: torch.device,
    token: CancelToken | None = None,
    limits: Limits = KEEP_ALL,
    grown: float = 1.0,
) -> Job[Counts]:
    """Compare a network with what is held out, block by block.

    Parameters
    ----------
    network : SegmentationNetwork
        In evaluation mode; it is moved to where it runs.
    held_out : sequence of HeldOut
        What to compare with.
    class_rows : sequence of int or None
        For each class of the truth, in label order, the network's number of it; None if it does
        not know the class.
    device : torch.device
        Where; what does not fit into its memory runs on the processor.
    token : CancelToken, optional
        Polled at every forward pass.
    limits : Limits
        What a find must have to count.
    grown : float
        How many times as large what is read at once is as usual, each way: as tiles are that grow
        with the frame, see `as_read` in `predict`.

    Yields
    ------
    Progress
        One per plane.

    Returns
    -------
    ndarray, float64, shape (blocks, 4, K, 3)
        Pixels with evidence that are right, found, and wanted, per block, quarter and class.
    """
    counts: list[list[list[list[int]]]] = []
    for done, held in enumerate(held_out, start=1):
        found = _Finder(network, held.evidence, device, token, limits, grown)
        for block in held.blocks:
            seen = quarters(held.evidence.seen[block])
            truth = quarters(held.evidence.truth[block])
            classes = quarters(found.classes(block))
            counts.append(
                [
                    [
                        _agreement(c == row if row else np.zeros_like(s), t == k, s)
                        for k, row in enumerate(class_rows, start=1)
                    ]
                    for c, t, s in zip(classes, truth, seen, strict=True)
                ]
            )
        yield Progress(done, len(held_out), "Comparing on held-out corrections")
    return np.array(counts, np.float64).reshape(-1, QUARTERS, len(class_rows), 3)


def probabilities(
    network: SegmentationNetwork,
    image: NDArray[np.floating],
    device: torch.device,
    token: CancelToken | None = None,
) -> NDArray[np.float32]:
    """Return what a network makes of a normalised plane (H, W, C), as in prediction.

    The network is moved to the device; to the processor, if memory runs out there.

    Returns
    -------
    ndarray, float32, shape (1 + K, H, W)
        Background first.
    """
    pixels = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]

    def on(device: torch.device) -> NDArray[np.float32]:
        network.to(device)
        with torch.inference_mode():
            found = mean_over_mirrors(network, pixels.to(device), mirrors_for(network), token)
        result: NDArray[np.float32] = found[0].cpu().numpy()
        return result

    return or_on_processor(on, device)


def quarters(block: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the four parts of a block (H, W), row by row."""
    height, width = (side // 2 for side in block.shape)
    return [part for rows in np.split(block, [height]) for part in np.split(rows, [width], axis=1)]


def block_pixels(held_out: Sequence[HeldOut]) -> NDArray[np.int64]:
    """Return the pixels with evidence, shape (blocks, 4), in the order of `count_pixels`."""
    seen = [
        [np.count_nonzero(part) for part in quarters(held.evidence.seen[block])]
        for held in held_out
        for block in held.blocks
    ]
    return np.array(seen, np.int64).reshape(-1, QUARTERS)


def block_places(held_out: Sequence[HeldOut]) -> list[Place]:
    """Return where each block lies, in the order of `count_pixels`."""
    return [
        Place(
            held.evidence.image_id,
            held.replay,
            (rows.start, rows.stop),
            (columns.start, columns.stop),
        )
        for held in held_out
        for rows, columns in held.blocks
    ]


def through_planes(counts: NDArray[N], places: Sequence[Place]) -> NDArray[N]:
    """Return the sums (places, …) of counts (blocks, …) over all planes of each place.

    Slices of a stack are alike at the same place: many of them are not many blocks. Places come in
    the order in which they occur first.
    """
    numbers = {place: number for number, place in enumerate(dict.fromkeys(places))}
    sums = np.zeros((len(numbers), *counts.shape[1:]), counts.dtype)
    np.add.at(sums, [numbers[place] for place in places], counts)
    return sums


def _agreement(
    found: NDArray[np.bool_], wanted: NDArray[np.bool_], seen: NDArray[np.bool_]
) -> list[int]:
    masks = (found & wanted & seen, found & seen, wanted & seen)
    return [int(np.count_nonzero(mask)) for mask in masks]


class _Finder:
    """Classes that a network finds in the blocks of a plane: at once, or block by block."""

    def __init__(
        self,
        network: SegmentationNetwork,
        evidence: Evidence,
        device: torch.device,
        token: CancelToken | None,
        limits: Limits,
        grown: float,
    ) -> None:
        self._network, self._device, self._token = network, device, token
        self._limits, self._context = limits, int(grown * CONTEXT)
        self._image = evidence.image
        self._whole: NDArray[Any] | None = None
        if max(evidence.truth.shape) <= grown * WHOLE:
            self._whole = self._forward((slice(None), slice(None)))

    def classes(self, block: Rectangle) -> NDArray[Any]:
        """Return the class of each pixel of a block."""
        if self._whole is not None:
            return self._whole[block]
        around = widened(block, self._image.shape[:2], self._context)
        found = self._forward(around)
        inside = tuple(
            slice(part.start - wide.start, part.stop - wide.start)
            for part, wide in zip(block, around, strict=True)
        )
        result: NDArray[Any] = found[inside]
        return result

    def _forward(self, area: Rectangle) -> NDArray[Any]:
        part = self._image[area]
        values = probabilities(self._network, part, self._device, self._token)
        found: NDArray[Any] = values.argmax(axis=0)
        cut = found.shape != self._image.shape[:2]
        for k in range(1, len(values)):
            found[self._limits.doubted(found == k, values[k], cut)] = 0
        return found
