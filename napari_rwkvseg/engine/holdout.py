"""Which corrections are held out to judge by: dealt once by hash, then never dealt again.

The first images of a project give a quarter of their blocks, of those with foreground and of those
without, counted through all images, and half of the very first ones with foreground, so that there
is soon something to judge by; later images stay whole, every fifth of them held out. Where objects
are wide, blocks would cut them, and parts of a lesion teach much less than all of it: there images
stay whole as soon as another one gave blocks to judge by, every fourth of them held out.

A block is a rectangle of rows and columns through all planes of an image, so that neighbouring
slices never lie on both sides. Training gets copies of the rectangles between the blocks: held-out
pixels are not masked there, they are absent. So are blocks that were not dealt yet: one that
training had looked at, if only as surroundings, could not be held out later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import Evidence
from napari_rwkvseg.engine.widths import object_width

GRID = 4  # blocks along each side of an image
SMALLEST_BLOCK = 16  # pixels; small images have fewer blocks
BLOCK_IMAGES = 8  # the first images of a project are dealt by blocks
EVERY_BLOCK, EVERY_IMAGE, EVERY_WIDE = 4, 5, 4  # one of so many is held out
WIDE = 0.75  # of a block's side: an object that wide lies in three blocks on average
FIRST_BLOCKS = 6  # with foreground: every second one is, for fewer than three judge nothing
COARSE_SIDE, COARSE_PLANES = 512, 16  # about what is looked at to see how wide objects are
EVERY_WITNESS = 3  # one of so many images that were learnt before only judges

Block = tuple[int, int]
Rectangle = tuple[slice, slice]
Use = Literal["blocks", "train", "judge"]


@dataclass(frozen=True)
class Deal:
    """What was dealt for one image.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the image.
    use : {"blocks", "train", "judge"}
        Whether its blocks are dealt one by one, or the whole image at once.
    blocks : mapping of (row, column) to bool
        Blocks dealt so far; True is held out.
    inside : int
        How many of them had foreground; of an image dealt at once, 1 if it had any.
    wide : bool
        Whether the objects, here or in earlier images if there are none here, are too wide to be
        cut into blocks.
    """

    shape: tuple[int, int]
    use: Use = "blocks"
    blocks: Mapping[Block, bool] = field(default_factory=dict)
    inside: int = 0
    wide: bool = False

    def held_out(self, block: Block) -> bool:
        """Return whether a block is held out; one that was not dealt is not."""
        return self.use == "judge" or self.blocks.get(block, False)

    def teaches(self, block: Block) -> bool:
        """Return whether a block may be learnt from: it was dealt, and not held out."""
        return self.use == "train" or (self.use == "blocks" and not self.blocks.get(block, True))

    def mask(self) -> NDArray[np.bool_]:
        """Return where pixels are held out, shape (H, W)."""
        found = np.zeros(self.shape, bool)
        for block, area in block_areas(self.shape).items():
            found[area] = self.held_out(block)
        return found


def block_areas(shape: tuple[int, int]) -> dict[Block, Rectangle]:
    """Return the rectangles of all blocks of an image; together they cover it once."""
    borders = [_borders(side) for side in shape]
    return {
        (row, column): (slice(*borders[0][row]), slice(*borders[1][column]))
        for row, column in product(range(len(borders[0])), range(len(borders[1])))
    }


def _borders(side: int) -> list[tuple[int, int]]:
    count = max(1, min(GRID, side // SMALLEST_BLOCK))
    ends = [round(side * part / count) for part in range(count + 1)]
    return list(pairwise(ends))


def first_deal(planes: Sequence[Evidence], before: Sequence[Deal]) -> Deal:
    """Return how an image is dealt that comes to a project, before any of its blocks is.

    Parameters
    ----------
    planes : sequence of Evidence
        The planes of the image that have evidence.
    before : sequence of Deal
        Of the images that came before.
    """
    shape = planes[0].levels.shape
    width = _coarse_width(planes)
    shows = any(plane.shows_object for plane in planes)
    # an image without objects is of the kind of the others
    wide = _is_wide(width, shape) if shows else any(one.wide for one in before)
    use = _first_use(wide, shows, before)
    return Deal(shape, use, inside=int(shows and use != "blocks"), wide=wide)


def _coarse_width(planes: Sequence[Evidence]) -> float:
    """Return how wide the objects of an image are, from so few pixels that it takes no time."""
    step = 1 + int(max(planes[0].levels.shape)) // COARSE_SIDE
    some = planes[:: 1 + len(planes) // COARSE_PLANES]
    grids = [np.where(plane.seen, plane.truth, 0)[::step, ::step] for plane in some]
    return step * object_width(grids)


def _is_wide(width: float, shape: tuple[int, ...]) -> bool:
    """Whether blocks of an image would cut objects of some width."""
    return width >= WIDE * min(high - low for side in shape for low, high in _borders(side))


def _first_use(wide: bool, shows: bool, before: Sequence[Deal]) -> Use:
    if len(before) >= BLOCK_IMAGES:
        return _turn(len(before), EVERY_IMAGE)
    if not wide or not any(one.inside for one in before):
        return "blocks"
    alike = [one for one in before if one.use != "blocks" and (one.inside > 0) == shows]
    return _turn(len(alike), EVERY_WIDE)


def _turn(number: int, every: int) -> Use:
    """Return how whole images are dealt in turn: the last of so many judges.

    Not an earlier one: of the first few lesions each teaches more than it could judge, and the
    blocks of the very first one judge by then.
    """
    return "judge" if number % every == every - 1 else "train"


def witnesses(learnt: Sequence[str]) -> tuple[str, ...]:
    """Return the images learnt before that are not replayed this time, only judged by.

    What is replayed hardly ever falls, so its held-out blocks would not show that other images of
    their kind do. These do show it. They are others whenever something has been learnt, so that
    each is replayed again before much of it is lost.

    Parameters
    ----------
    learnt : sequence of str
        Ids, in the order in which they were dealt. A single one is replayed.
    """
    count = len(learnt)
    return tuple(
        image for number, image in enumerate(learnt) if (number + count) % EVERY_WITNESS == 0
    )


def content_key(plane: Evidence) -> str:
    """Return what decides how an image is dealt: a hash of what its first plane shows.

    The same in every project, unlike the salted id, so that a run can be repeated elsewhere.
    """
    pixels = np.ascontiguousarray(plane.image, np.float16)
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def deal_blocks(
    deal: Deal, key: str, planes: Sequence[Evidence], others: Sequence[Deal] = ()
) -> Deal:
    """Deal the blocks in which there is evidence for the first time.

    Parameters
    ----------
    deal : Deal
        What was dealt before: it stays.
    key : str
        From `content_key`; with the block it decides.
    planes : sequence of Evidence
        The planes of the image that have evidence.
    others : sequence of Deal
        Of the other images of the project: a lesion may fill a single block of an image.

    Returns
    -------
    Deal
        Every second one of the first `FIRST_BLOCKS` blocks with foreground that come in a project,
        then the second of each `EVERY_BLOCK`, is held out, and the second of each `EVERY_BLOCK` of
        those without; blocks that come together come in the order of their hash.
    """
    areas = block_areas(deal.shape)
    seen = np.logical_or.reduce([plane.seen for plane in planes])
    inside = np.logical_or.reduce([plane.seen & (plane.truth > 0) for plane in planes])
    new = [block for block, area in areas.items() if seen[area].any() and block not in deal.blocks]
    new.sort(key=lambda block: _digest(key, *block))
    showing = [block for block in new if inside[areas[block]].any()]
    empty = [block for block in new if block not in showing]
    by_blocks = [one for one in (deal, *others) if one.use == "blocks"]
    before = sum(one.inside for one in by_blocks)
    before_empty = sum(len(one.blocks) for one in by_blocks) - before
    dealt = {block: _is_held_out(before + n, FIRST_BLOCKS) for n, block in enumerate(showing)}
    dealt |= {block: _is_held_out(before_empty + n) for n, block in enumerate(empty)}
    blocks = {**deal.blocks, **dealt}
    return replace(deal, blocks=blocks, inside=deal.inside + len(showing))


def _is_held_out(number: int, first: int = 0) -> bool:
    """Whether the block that comes as this number of its kind, from 0, is held out."""
    # the first one is for training
    return number % (2 if number < first else EVERY_BLOCK) == 1


def training_pieces(evidence: Evidence, deal: Deal) -> list[Evidence]:
    """Return copies of what may be trained on: rectangles without a held-out pixel.

    Parameters
    ----------
    evidence : Evidence
        A plane.
    deal : Deal
        Of its image.

    Returns
    -------
    list of Evidence
        The largest rectangles of blocks that teach; they overlap. Those without evidence are left
        out.
    """
    pieces = []
    for rows, columns in free_rectangles(deal):
        area = (rows, columns)
        if evidence.seen[area].any():
            image, truth = evidence.image[area].copy(), evidence.truth[area].copy()
            levels = evidence.levels[area].copy()
            pieces.append(replace(evidence, image=image, truth=truth, levels=levels))
    return pieces


def free_rectangles(deal: Deal) -> list[Rectangle]:
    """Return the rectangles of blocks that teach and cannot be made larger."""
    areas = block_areas(deal.shape)
    rows, columns = (1 + max(block[axis] for block in areas) for axis in (0, 1))
    taken = np.array([[not deal.teaches((r, c)) for c in range(columns)] for r in range(rows)])
    spans = [_spans(rows), _spans(columns)]
    free = [(r, c) for r, c in product(*spans) if not taken[slice(*r), slice(*c)].any()]
    largest = [one for one in free if not any(one != other and _in(one, other) for other in free)]
    return [
        (
            slice(areas[r[0], 0][0].start, areas[r[1] - 1, 0][0].stop),
            slice(areas[0, c[0]][1].start, areas[0, c[1] - 1][1].stop),
        )
        for r, c in largest
    ]


def _spans(count: int) -> list[tuple[int, int]]:
    return [(start, stop) for start in range(count) for stop in range(start + 1, count + 1)]


def _in(one: tuple[Block, Block], other: tuple[Block, Block]) -> bool:
    """Whether a rectangle of blocks lies inside another one."""
    return all(b[0] <= a[0] and a[1] <= b[1] for a, b in zip(one, other, strict=True))


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
