"""The hold-out: dealt once, spread, and never within reach of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.evidence import REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.holdout import (
    BLOCK_IMAGES,
    FIRST_BLOCKS,
    GRID,
    Deal,
    block_areas,
    content_key,
    deal_blocks,
    first_deal,
    free_rectangles,
    training_pieces,
    witnesses,
)
from tests.corrected import corrected

SIDES = st.integers(1, 90)


def with_seen(plane: Evidence, *areas: tuple[slice, slice]) -> Evidence:
    levels = np.full(plane.levels.shape, UNSEEN, np.uint8)
    for area in areas:
        levels[area] = REVIEWED
    return replace(plane, levels=levels)


def dealt(plane: Evidence, deal: Deal | None = None) -> Deal:
    return deal_blocks(deal or Deal(plane.truth.shape), plane.image_id, [plane])  # type: ignore[arg-type]


@given(SIDES, SIDES)
def test_blocks_cover_an_image_once(height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for area in block_areas((height, width)).values():
        covered[area] += 1
    assert (covered == 1).all()


def test_small_images_have_fewer_blocks() -> None:
    assert len(block_areas((512, 512))) == GRID**2
    assert len(block_areas((40, 15))) == 2


def test_a_quarter_of_the_blocks_is_held_out_and_one_more_of_the_first() -> None:
    deal = dealt(corrected())
    assert Counter(deal.blocks.values()) == {False: 11, True: 5}
    assert deal.mask().mean() == 5 / 16
    assert deal.inside > 8


def test_blocks_with_and_without_foreground_are_held_out_alike() -> None:
    plane = corrected()
    truth = np.zeros_like(plane.truth)
    truth[:32, :32] = 1  # four blocks of sixteen
    for number in range(5):
        named = replace(plane, truth=truth, image_id=str(number))
        held = [block for block, out in dealt(named).blocks.items() if out]
        assert sum(row < 2 and column < 2 for row, column in held) == 2
        assert len(held) == 5


def test_foreground_is_held_out_even_if_it_fills_a_single_block_of_each_image() -> None:
    deals: list[Deal] = []
    held = []
    for number in range(8):
        plane = replace(corrected(number), truth=np.zeros((64, 64), np.uint8))
        plane.truth[20:24, 4:8] = 1
        deal = deal_blocks(Deal((64, 64)), plane.image_id, [plane], deals)
        deals.append(deal)
        held.append(deal.blocks[1, 0])
        assert deal.inside == 1
    assert held == [False, True] * 3 + [False, False]
    assert sum(sum(deal.blocks.values()) for deal in deals) == 3 + 30


def test_the_deal_follows_from_the_image_and_nothing_else() -> None:
    plane = corrected()
    assert dealt(plane) == dealt(replace(plane, image=plane.image * 0.5, plane=3))
    other = [dealt(replace(plane, image_id=str(number))).blocks for number in range(8)]
    assert len({frozenset(blocks.items()) for blocks in other}) > 1


def test_a_single_block_is_for_training() -> None:
    plane = with_seen(corrected(), (slice(0, 4), slice(0, 4)))
    assert dealt(plane).blocks == {(0, 0): False}


@given(st.lists(st.integers(0, 15), min_size=1, max_size=12))
def test_what_was_dealt_stays_however_the_evidence_grows(order: list[int]) -> None:
    plane, deal, seen = corrected(), Deal((64, 64)), []
    plane = replace(plane, truth=np.ones_like(plane.truth))
    areas = list(block_areas((64, 64)).values())
    for number in order:
        seen.append(areas[number])
        grown = dealt(with_seen(plane, *seen), deal)
        assert {block: grown.blocks[block] for block in deal.blocks} == deal.blocks
        deal = grown
    assert len(deal.blocks) == len(set(order))
    count = len(set(order))
    first = min(count, FIRST_BLOCKS) // 2
    assert sum(deal.blocks.values()) == first + max(0, count - FIRST_BLOCKS) // 4


@given(st.sets(st.integers(0, 15)))
def test_no_held_out_pixel_is_in_a_piece_and_every_free_one_is(held: set[int]) -> None:
    blocks = list(block_areas((64, 64)))
    deal = Deal((64, 64), blocks={block: n in held for n, block in enumerate(blocks)})
    covered = np.zeros((64, 64), bool)
    for area in free_rectangles(deal):
        covered[area] = True
    assert (covered == ~deal.mask()).all()


def test_pieces_are_copies_of_the_free_rectangles() -> None:
    plane = corrected()
    blocks = {block: block[0] == 1 for block in block_areas((64, 64))}
    pieces = training_pieces(plane, Deal((64, 64), blocks=blocks))
    assert [piece.truth.shape for piece in pieces] == [(16, 64), (32, 64)]
    assert (pieces[1].image == plane.image[32:]).all()
    pieces[1].image[:] = 7
    assert plane.image.max() < 7


def test_pieces_without_evidence_are_left_out() -> None:
    plane = with_seen(corrected(), (slice(0, 4), slice(0, 4)))
    blocks = {block: block[0] == 1 for block in block_areas((64, 64))}
    assert len(training_pieces(plane, Deal((64, 64), blocks=blocks))) == 1


def test_a_whole_image_judges_or_teaches() -> None:
    plane = corrected()
    assert training_pieces(plane, Deal((64, 64), "judge")) == []
    assert Deal((64, 64), "judge").mask().all()
    assert [piece.truth.shape for piece in training_pieces(plane, Deal((64, 64), "train"))] == [
        (64, 64)
    ]


def with_square(number: int, side: int) -> Evidence:
    """A plane with one object, or none."""
    plane = replace(corrected(number), truth=np.zeros((64, 64), np.uint8))
    plane.truth[20 : 20 + side, 10 : 10 + side] = 1
    return plane


def uses_of(sides: Iterable[int]) -> list[str]:
    """How images with objects of some sides are dealt that come one after the other."""
    deals: list[Deal] = []
    for number, side in enumerate(sides):
        plane = with_square(number, side)
        deals.append(deal_blocks(first_deal([plane], deals), plane.image_id, [plane], deals))
    return [deal.use for deal in deals]


def test_the_first_images_give_blocks_and_every_fifth_later_one_judges() -> None:
    uses = uses_of([4] * 20)
    assert uses[:BLOCK_IMAGES] == ["blocks"] * BLOCK_IMAGES
    assert Counter(uses[BLOCK_IMAGES:]) == {"train": 9, "judge": 3}


def test_images_with_objects_that_blocks_would_cut_stay_whole_after_the_first() -> None:
    whole = ["train", "train", "train", "judge", "train", "train", "train"]
    assert uses_of([24] * BLOCK_IMAGES) == ["blocks", *whole]
    assert uses_of([4, 24, 24, 4, 24]) == ["blocks", "train", "train", "blocks", "train"]


def test_images_without_objects_are_dealt_like_the_others_and_counted_apart() -> None:
    assert uses_of([0, 24, 24, 0, 24, 0, 0, 0]) == ["blocks"] * 2 + ["train"] * 5 + ["judge"]
    assert uses_of([0, 4, 0, 0]) == ["blocks"] * 4


def test_only_what_was_gone_through_tells_how_wide_objects_are() -> None:
    first, plane = with_square(0, 24), with_square(1, 24)
    before = [first_deal([first], [])]
    before = [deal_blocks(before[0], first.image_id, [first])]
    slim = with_seen(plane, (slice(20, 44), slice(10, 14)))
    assert first_deal([plane], before).use == "train"
    assert first_deal([slim], before).use == "blocks"


@pytest.mark.parametrize(("side", "wide"), [(500, True), (200, False)])
def test_objects_of_large_images_and_stacks_are_measured_coarsely(side: int, wide: bool) -> None:
    truth = np.zeros((2100, 1900), np.uint8)
    truth[300 : 300 + side, 900 : 900 + side] = 1
    levels = np.full(truth.shape, REVIEWED, np.uint8)
    plane = Evidence("large", 0, np.zeros((*truth.shape, 1), np.float16), truth, levels)
    assert first_deal([plane], []).wide == wide
    assert first_deal([with_square(0, side // 40)] * 100, []).wide == wide


def test_blocks_are_counted_in_images_that_gave_some() -> None:
    uses = uses_of([24, 24, 24])
    assert uses == ["blocks", "train", "train"]
    deals: list[Deal] = []
    for number, side in enumerate([24, 24, 4]):
        plane = with_square(number, side)
        deals.append(deal_blocks(first_deal([plane], deals), plane.image_id, [plane], deals))
    first, _, last = deals
    alone = deal_blocks(Deal((64, 64)), plane.image_id, [plane], [first])
    assert last.blocks == alone.blocks


def test_what_an_image_shows_decides_and_not_what_it_is_called() -> None:
    plane = corrected(0)
    key = content_key(plane)
    assert content_key(replace(plane, image_id="other", plane=9, truth=1 - plane.truth)) == key
    assert content_key(replace(plane, image=plane.image.astype(np.float16))) == key
    assert content_key(corrected(1)) != key


@pytest.mark.parametrize("shape", [(1, 1), (3, 200)])
def test_odd_shapes_can_be_dealt(shape: tuple[int, int]) -> None:
    levels = np.full(shape, REVIEWED, np.uint8)
    plane = Evidence("odd", 0, np.zeros((*shape, 1)), np.zeros(shape, np.uint8), levels)
    assert set(dealt(plane).blocks) == set(block_areas(shape))


def test_a_block_that_was_not_dealt_does_not_teach_yet() -> None:
    plane = corrected()
    seen = with_seen(plane, (slice(0, 16), slice(0, 32)))
    deal = dealt(seen)
    (piece,) = training_pieces(seen, deal)
    assert piece.truth.shape == (16, 16)  # of two blocks one is held out, the other 14 unknown
    assert not deal.teaches((3, 3))
    assert not deal.held_out((3, 3))


def test_an_image_that_teaches_or_judges_does_so_as_a_whole() -> None:
    assert Deal((64, 64), "train").teaches((0, 0))
    assert not Deal((64, 64), "judge").teaches((0, 0))
    assert training_pieces(corrected(), Deal((64, 64), "judge")) == []


@given(st.integers(2, 40))
def test_about_a_third_of_what_was_learnt_only_judges(count: int) -> None:
    learnt = [str(number) for number in range(count)]
    silent = witnesses(learnt)
    assert max(1, count // 3) <= len(silent) <= count // 3 + 1
    assert len(silent) < count


def test_witnesses_take_turns_and_a_single_image_is_replayed() -> None:
    assert witnesses(["a"]) == witnesses([]) == ()
    turns = [set(witnesses("abcdef"[:count])) for count in (4, 5, 6)]
    assert set.union(*turns) >= set("abcd")
    assert not turns[0] & turns[1]
    assert not turns[1] & turns[2]
