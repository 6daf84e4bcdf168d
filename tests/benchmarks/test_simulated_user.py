"""The simulated person: what is painted, what it costs, and what comes next."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated_user import (
    LOOK_SECONDS,
    OPEN_SECONDS,
    PIXELS_PER_SECOND,
    STROKE_SECONDS,
    Desk,
    EveryNth,
    Random,
    Suggested,
    correct,
    unseen_areas,
    work_through,
)
from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN
from napari_rwkvseg.engine.holdout import block_areas
from tests.corrected import discs

AREAS = list(block_areas((64, 64)).values())


def desk(probability: float = 0.5) -> Desk:
    """Nothing was found yet in an image of discs."""
    image, _ = discs()
    return Desk(
        np.full((1, 64, 64), probability, np.float16),
        image[..., None],
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64), np.uint8),
    )


def test_objects_are_painted_and_each_costs_a_stroke_and_its_pixels() -> None:
    mask, truth, levels = (np.zeros((32, 32), np.uint8) for _ in range(3))
    truth[2:7, 2:7] = 1
    mask[20:30, 20:30] = 1
    seconds = correct(mask, truth, levels)
    assert (mask == truth).all()
    assert seconds == pytest.approx(2 * STROKE_SECONDS + 125 / PIXELS_PER_SECOND)
    assert (
        (levels == CHANGED) == (truth > 0) | (np.indices((32, 32)) // 10 == 2).all(axis=0)
    ).all()
    assert set(np.unique(levels)) == {UNSEEN, CHANGED}


def test_a_border_that_is_off_by_two_pixels_stays() -> None:
    mask, truth, levels = (np.zeros((32, 32), np.uint8) for _ in range(3))
    truth[4:28, 4:28] = 1
    mask[6:26, 6:26] = 1
    assert correct(mask, truth, levels) == 0
    assert mask.sum() == 400
    assert not levels.any()


def test_a_block_is_finished_before_the_next_and_time_runs_out_between_blocks() -> None:
    image = desk()
    truth = discs()[1]
    order = iter(AREAS)
    spent = work_through(image, truth, lambda _: next(order), OPEN_SECONDS + 0.1)
    assert spent >= OPEN_SECONDS + LOOK_SECONDS
    first, second = AREAS[:2]
    assert (image.levels[first] > UNSEEN).all()
    assert not image.levels[second].any()
    assert (image.levels[first][image.mask[first] > 0] == CHANGED).all()
    assert REVIEWED in image.levels[first]


def test_work_ends_when_all_blocks_are_seen() -> None:
    image = desk()
    spent = work_through(image, image.mask.copy(), Random().area, 1e6)
    assert spent == pytest.approx(OPEN_SECONDS + len(AREAS) * LOOK_SECONDS)
    assert (image.levels == REVIEWED).all()


@pytest.mark.parametrize("choice", [Suggested(), Random(), EveryNth(4)])
def test_every_way_visits_each_block_once(choice: Suggested | Random | EveryNth) -> None:
    image, visits = desk(), 0
    while (area := choice.area(image)) is not None:
        assert area in unseen_areas(image.levels)
        image.levels[area] = REVIEWED
        visits += 1
    assert visits == len(AREAS)


def test_images_are_chosen_as_each_way_says() -> None:
    desks = [desk(probability) for probability in (0, 0.1, 0.5, 0.95)]
    look, left = desks.__getitem__, [0, 1, 3]
    assert Suggested().image(look, [0, 1, 2, 3], 4) == 2
    assert Suggested().image(look, left, 4) == 1
    assert {Random(seed).image(look, left, 4) for seed in range(20)} == {0, 1, 3}
    opened: list[int] = []
    for _ in range(4):
        opened.append(EveryNth(4).image(look, [n for n in range(12) if n not in opened], 12))
    assert opened == [0, 3, 6, 9]


def test_blocks_are_evenly_spread() -> None:
    image, visited = desk(), []
    for _ in range(4):
        area = EveryNth(4).area(image)
        assert area is not None
        image.levels[area] = REVIEWED
        visited.append(AREAS.index(area))
    assert visited == [0, 5, 10, 15]
