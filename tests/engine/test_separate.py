"""Touching objects come apart, single ones stay whole, at any magnification."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from napari_rwkvseg.engine.separate import separate

FLAT = (1.0, 1.0)


def discs(*places: tuple[float, float, float], shape: tuple[int, int] = (80, 120)) -> NDArray:
    """Draw discs (y, x, radius) in pixels."""
    rows, cols = np.indices(shape)
    return np.any([(rows - y) ** 2 + (cols - x) ** 2 <= r * r for y, x, r in places], axis=0)


def count(mask: NDArray, **options: float) -> int:
    spacing = (1.0,) * mask.ndim
    return int(separate(mask, mask.astype(np.float32), spacing, **options).max())  # type: ignore[arg-type]


def scattered(rng: np.random.Generator, n: int, radius: float, side: int) -> NDArray:
    """Draw n discs of nearly equal size, some touching, none by more than a fifth of its width."""
    places: list[tuple[float, float, float]] = []
    while len(places) < n:
        y, x = rng.uniform(radius, side - radius, 2)
        if all((y - v) ** 2 + (x - u) ** 2 > (1.6 * radius) ** 2 for v, u, _ in places):
            places.append((y, x, radius * rng.uniform(0.9, 1.1)))
    return discs(*places, shape=(side, side))


class TestDiscs:
    def test_two_that_overlap_a_little_come_apart_where_they_meet(self) -> None:
        mask = discs((40, 40, 20), (40, 70, 20))
        found = separate(mask, mask.astype(np.float32), FLAT)
        assert found.max() == 2
        assert found[40, 40] != found[40, 70]
        areas = np.bincount(found.ravel())[1:]
        assert areas[0] == pytest.approx(areas[1], rel=0.05)

    def test_two_that_overlap_almost_wholly_stay_one(self) -> None:
        assert count(discs((40, 40, 20), (40, 52, 20))) == 1

    def test_an_ellipse_stays_one(self) -> None:
        rows, cols = np.indices((80, 120))
        assert count(((rows - 40) / 15) ** 2 + ((cols - 60) / 50) ** 2 <= 1) == 1

    def test_a_ragged_outline_parts_nothing(self) -> None:
        rng = np.random.default_rng(3)
        rows, cols = np.indices((80, 120))
        reach = 20 + ndimage.gaussian_filter(rng.normal(size=(80, 120)), 1) * 4
        ragged = ndimage.binary_opening(np.hypot(rows - 40, cols - 60) <= reach)
        assert _parts(ragged) == count(ragged) == 1

    @pytest.mark.parametrize("radius", [5, 10, 20, 40])
    def test_magnification_changes_nothing(self, radius: int) -> None:
        places = [(1.5, 1.5), (1.5, 3.2), (3.2, 2.3), (1.5, 6.0)]
        mask = discs(
            *((y * radius, x * radius, radius) for y, x in places),
            shape=(5 * radius, 8 * radius),
        )
        assert count(mask) == 4

    def test_crowded_fields_are_counted_within_two_percent(self) -> None:
        fields = [scattered(np.random.default_rng(seed), 120, 12, 340) for seed in range(4)]
        assert sum(map(_parts, fields)) < 240  # without separation half of them are missed
        counts = [count(field) for field in fields]
        assert sum(counts) == pytest.approx(480, abs=9)
        assert max(counts) <= 120

    def test_one_small_beside_one_large_are_two(self) -> None:
        assert count(discs((40, 40, 24), (40, 73, 10))) == 2


class TestOptions:
    def test_a_dip_of_probability_parts_a_bar(self) -> None:
        bar = np.zeros((30, 90), bool)
        bar[10:20, 5:85] = True
        probability = np.where(np.abs(np.arange(90) - 45) < 4, 0.55, 1.0) * bar
        assert count(bar) == 1
        assert separate(bar, probability, FLAT).max() == 2

    def test_a_seed_distance_joins_what_is_nearer(self) -> None:
        mask = discs((40, 40, 12), (40, 61, 14))
        assert count(mask, seed_distance=10) == 2
        assert count(mask, seed_distance=50) == 1

    def test_a_basin_below_the_smallest_size_joins_its_neighbour(self) -> None:
        mask = discs((40, 40, 24), (40, 73, 10))
        small = int(np.bincount(separate(mask, mask.astype(float), FLAT).ravel()).min())
        assert count(mask, min_size=small) == 2
        assert count(mask, min_size=small + 1) == 1

    def test_spacing_decides_which_way_is_far(self) -> None:
        # along the first axis two balls; seen with flat steps two lenses without a waist
        rows, cols, slices = np.indices((9, 40, 40))
        balls = np.zeros((9, 40, 40), bool)
        for centre in (2, 6):
            balls |= (rows - centre) ** 2 * 25 + (cols - 20) ** 2 + (slices - 20) ** 2 <= 121
        assert separate(balls, balls.astype(float), (5.0, 1.0, 1.0)).max() == 2
        assert separate(balls, balls.astype(float), (0.2, 1.0, 1.0)).max() == 1


class TestParts:
    """Each connected part is split by itself."""

    def test_a_neighbour_that_does_not_touch_changes_nothing(self) -> None:
        pair = [(40, 30, 14), (40, 55, 12)]
        alone = discs(*pair)
        beside = discs(*pair, (40, 82, 14))  # its summit lies near, beyond a gap of one pixel
        found = separate(beside, beside.astype(np.float32), FLAT)
        assert found.max() == 3
        assert np.array_equal(
            np.where(alone, found, 0), separate(alone, alone.astype(np.float32), FLAT)
        )

    def test_the_typical_object_is_that_of_all_parts(self) -> None:
        small = discs((20, 20, 5), (20, 29, 5))
        assert count(small) == 2
        assert count(small | discs((60, 80, 18))) == 2  # beside the large one, a bump

    def test_memory_follows_the_parts_not_the_image(self) -> None:
        mask = np.zeros((2048, 2048), bool)
        mask[:80, :120] = mask[-80:, -120:] = discs((40, 40, 20), (40, 70, 20))
        probability = mask.astype(np.float16)
        tracemalloc.start()
        try:
            found = separate(mask, probability, FLAT)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.max() == 4
        assert peak < 12 * mask.size  # two numbers of four bytes, and something for the parts

    def test_specks_are_objects_as_they_are_after_those_that_may_come_apart(self) -> None:
        mask = discs((40, 40, 14), (40, 65, 12))
        mask[0, 0] = mask[0, 2] = mask[78, 110:118] = True
        found = separate(mask, mask.astype(np.float32), FLAT)
        assert found.max() == 5
        assert {int(found[40, 40]), int(found[40, 65])} == {1, 2}
        assert {int(found[0, 0]), int(found[0, 2]), int(found[78, 112])} == {3, 4, 5}
        assert np.array_equal(found > 0, mask)

    def test_a_token_stops_it_between_parts(self) -> None:
        mask = discs((40, 40, 14), (40, 80, 14))
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            separate(mask, mask.astype(np.float32), FLAT, token=token)


class TestAnyMask:
    def test_nothing_holds_nothing(self) -> None:
        assert count(np.zeros((4, 5), bool)) == 0

    def test_all_foreground_is_one_object(self) -> None:
        assert count(np.ones((4, 5), bool)) == 1

    def test_corners_do_not_touch(self) -> None:
        assert count(np.array([[True, False], [False, True]])) == 2

    @given(arrays(bool, (7, 9)))
    def test_every_pixel_gets_an_object_within_its_part(self, mask: NDArray[np.bool_]) -> None:
        found = separate(mask, mask.astype(np.float16), FLAT)
        assert found.dtype == np.int32
        assert np.array_equal(found > 0, mask)
        assert set(np.unique(found)) >= set(range(1, found.max() + 1))
        for box_label in range(1, found.max() + 1):
            assert _parts(found == box_label) == 1

    @given(arrays(bool, (7, 9)))
    def test_no_probability_at_all_still_labels_every_pixel(self, mask: NDArray[np.bool_]) -> None:
        assert np.array_equal(separate(mask, np.zeros(mask.shape), FLAT) > 0, mask)


def _parts(mask: NDArray) -> int:
    return int(ndimage.label(mask)[1])
