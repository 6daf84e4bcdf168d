"""Where to correct next: unsure and unlike what was seen; never what was gone through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED
from napari_rwkvseg.engine.holdout import block_areas
from napari_rwkvseg.engine.suggest import Blocks, measure_blocks, rank_images, suggest

SIDE = 64  # four by four blocks of 16 pixels
AREAS = block_areas((SIDE, SIDE))


def certain(*lead: int) -> np.ndarray:
    """A model that is certain of background everywhere."""
    return np.zeros((1, *lead, SIDE, SIDE), np.float16)


def unseen(*lead: int) -> np.ndarray:
    return np.zeros((*lead, SIDE, SIDE), np.uint8)


def flat(value: float = 0.5, channels: int = 1) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Planes that look the same everywhere."""
    return lambda index: np.full((SIDE, SIDE, channels), value, np.float32)


def fixed(plane: np.ndarray) -> Callable[[tuple[int, ...]], np.ndarray]:
    return lambda index: plane


def test_the_unsure_block_of_the_unsure_slice_comes_first() -> None:
    probability = certain(3)
    area = AREAS[2, 1]
    probability[0, 1][area] = 0.5
    found = suggest(probability, flat(), unseen(3))
    assert found is not None
    assert (found.index, found.area) == ((1,), area)
    assert found.score == pytest.approx(1)  # nothing is known yet: all is new


def test_a_whole_slice_can_be_asked_for() -> None:
    probability = certain(3)
    probability[0, 2, :8] = 0.5
    found = suggest(probability, flat(), unseen(3), unit="slice")
    assert found is not None
    assert (found.index, found.area) == ((2,), (slice(0, SIDE), slice(0, SIDE)))
    assert found.score == pytest.approx(8 / SIDE)


def test_of_blocks_that_are_equally_unsure_the_one_unlike_the_seen_ones_comes_first() -> None:
    plane = np.zeros((SIDE, SIDE, 1), np.float32)
    odd, seen = AREAS[3, 2], AREAS[0, 0]
    plane[odd] = 1
    levels = unseen()
    levels[seen] = REVIEWED
    found = suggest(certain() + np.float16(0.5), fixed(plane), levels)
    assert found is not None
    assert found.area == odd
    assert 0 < found.score < 1


@pytest.mark.parametrize("what", ["texture", "found", "skew"])
def test_blocks_differ_by_texture_skew_and_what_was_found(what: str) -> None:
    probability, plane, levels = certain() + np.float16(0.5), np.zeros((SIDE, SIDE, 1)), unseen()
    odd = AREAS[1, 1]
    plane[:, ::4] = plane[:, 1::4] = 1  # halves of 1 and 0: finer stripes have the same intensities
    if what == "texture":
        plane[odd] = np.arange(16)[None, :, None] % 2
    elif what == "skew":  # one bright pixel of eight, or one dark one: same mean, spread, edges
        plane[:] = np.where(np.arange(SIDE) % 8 == 0, 0.85, 0.45)[None, :, None]
        plane[odd] = 1 - plane[odd]
    else:
        probability[0][odd] = 0.375
    levels[AREAS[0, 0]] = REVIEWED
    found = suggest(probability, fixed(plane), levels)
    assert found is not None
    assert found.area == odd


def test_what_was_gone_through_never_comes_again() -> None:
    probability, levels = certain() + np.float16(0.5), unseen()
    visited = set()
    while (found := suggest(probability, flat(), levels)) is not None:
        assert not levels[found.area].any()
        levels[found.area] = REVIEWED
        visited.add(found.area[0].start * SIDE + found.area[1].start)
    assert len(visited) == len(AREAS)
    assert levels.all()


def test_a_stroke_does_not_close_a_block_and_its_pixels_do_not_count() -> None:
    probability, levels = certain(), unseen()
    area = AREAS[1, 3]
    probability[0][area] = 0.5
    probability[0][area][:4] = 0
    levels[area][:4] = CHANGED
    found = suggest(probability, flat(), levels)
    assert found is not None
    assert (found.area, found.score) == (area, pytest.approx(1))


def test_equal_blocks_come_in_order() -> None:
    levels = unseen()
    levels[AREAS[0, 0]] = REVIEWED
    found = suggest(certain(), flat(), levels)
    assert found is not None
    assert (found.area, found.score) == (AREAS[0, 1], 0)


def test_pixels_that_are_not_finite_do_no_harm() -> None:
    plane = np.full((SIDE, SIDE, 3), np.nan, np.float32)
    levels = unseen()
    levels[AREAS[0, 0]] = REVIEWED
    found = suggest(certain() + np.float16(0.5), fixed(plane), levels)
    assert found is not None
    assert np.isfinite(found.score)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"levels must have shape \(64, 64\), got \(3, 64, 64\)"):
        suggest(certain(), flat(), unseen(3))
    with pytest.raises(ValueError, match=r"plane \(\) must have shape \(64, 64\) and channels"):
        suggest(certain(), fixed(np.zeros((SIDE, SIDE))), unseen())


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_suggestion_is_an_unseen_block_with_the_highest_score(data: Any) -> None:
    lead = data.draw(st.sampled_from([(), (2,), (2, 2)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    classes = data.draw(st.integers(1, 3))
    probability = rng.dirichlet(np.ones(classes + 1), (*lead, SIDE, SIDE))
    probability = np.moveaxis(probability, -1, 0)[1:].astype(np.float16)
    images = rng.normal(100, 50, (*lead, SIDE, SIDE, 2))
    levels = unseen(*lead)
    for index in np.ndindex(lead):
        for area in AREAS.values():
            levels[index][area] = rng.integers(2)
    found = suggest(probability, images.__getitem__, levels)
    if levels.all():
        assert found is None
        return
    assert found is not None
    assert not levels[found.index][found.area].any()
    assert 0 <= found.score <= 1
    louder = suggest(probability, (7 * images).__getitem__, levels)  # the scale says nothing
    assert louder is not None
    assert louder.score == pytest.approx(found.score, rel=1e-3, abs=1e-6)


def look(probability: float, value: float, seen: bool = False) -> Blocks:
    """Blocks of an image that looks the same everywhere."""
    levels = unseen() + np.uint8(REVIEWED if seen else 0)
    return measure_blocks(certain() + np.float16(probability), flat(value), levels)


def test_images_are_ranked_by_uncertainty() -> None:
    assert rank_images([look(0, 0.5), look(0.5, 0.5), look(0.9, 0.5)]) == (1, 2, 0)


def test_what_was_seen_in_one_image_is_less_new_in_another() -> None:
    seen, same, other = look(0.5, 0.2, seen=True), look(0.5, 0.2), look(0.5, 0.8)
    assert rank_images([seen, same, other]) == (2, 1)


def test_rounding_does_not_make_a_block_new() -> None:
    area = AREAS[0, 0]
    seen, same, rounded = (
        Blocks((((), area),), np.array([0.5]), np.array([one_open]), np.array([[value]]))
        for one_open, value in ((False, 1.0), (True, 1.0), (True, 1.0 + 2**-52))
    )
    assert rank_images([seen, same, rounded]) == (1, 2)


def test_a_plane_of_a_million_pixels_takes_at_most_a_tenth_of_a_second() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((1, 1024, 1024), np.float32).astype(np.float16)
    plane = rng.random((1024, 1024, 3), np.float32)
    levels = np.zeros((1024, 1024), np.uint8)
    seconds = []
    for _ in range(3):
        start = time.thread_time()  # of this thread only: the machine may be busy
        suggest(probability, fixed(plane), levels)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.1
