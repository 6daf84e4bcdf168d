from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.engine.tiles import Blender, Tile, blend_profile, plan_tiles


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[int, int], int, int]:
    """Draw a plane, a tile and an overlap that fits."""
    tile = draw(st.integers(8, 40))
    return (
        (draw(st.integers(1, 150)), draw(st.integers(1, 150))),
        tile,
        draw(st.integers(0, tile // 2)),
    )


def blended(
    plane: np.ndarray, tile: int, overlap: int, spoil: int = 0
) -> tuple[np.ndarray, Blender]:
    """Cut (K, H, W) into tiles and join them; `spoil` pixels at inner tile edges are made wrong."""
    shape = plane.shape[1:]
    tiles = plan_tiles(shape, tile, overlap)
    out = np.full(plane.shape, np.nan, np.float16)
    blender = Blender(out, tiles, overlap)
    for place in tiles:
        part = plane[:, *place.to_slices()].copy()
        for axis, (start, length) in enumerate(
            [(place.top, place.height), (place.left, place.width)]
        ):
            edges = np.moveaxis(part, axis + 1, 0)
            if start > 0:
                edges[:spoil] = 99
            if start + length < shape[axis] and spoil:
                edges[-spoil:] = 99
        blender.add(place, part)
    blender.finish()
    return out, blender


class TestPlanTiles:
    def test_a_small_plane_is_one_tile(self) -> None:
        assert plan_tiles((300, 512), 512, 64) == (Tile(0, 0, 300, 512),)

    def test_one_pixel_more_needs_two(self) -> None:
        assert plan_tiles((300, 513), 512, 64) == (Tile(0, 0, 300, 512), Tile(0, 1, 300, 512))

    def test_tiles_are_spread_evenly_row_by_row(self) -> None:
        tiles = plan_tiles((960, 1000), 512, 64)
        assert [(t.top, t.left) for t in tiles] == [
            (0, 0), (0, 244), (0, 488), (448, 0), (448, 244), (448, 488),
        ]  # fmt: skip

    def test_slices(self) -> None:
        assert Tile(3, 5, 7, 11).to_slices() == (slice(3, 10), slice(5, 16))

    @pytest.mark.parametrize("overlap", [-1, 257])
    def test_refuses_an_overlap_that_does_not_fit(self, overlap: int) -> None:
        with pytest.raises(
            ValueError, match=f"overlap must be 0 to half of the tile .256., got {overlap}"
        ):
            plan_tiles((900, 900), 512, overlap)

    @given(plans())
    def test_tiles_cover_the_plane_and_overlap_enough(
        self, plan: tuple[tuple[int, int], int, int]
    ) -> None:
        shape, tile, overlap = plan
        tiles = plan_tiles(shape, tile, overlap)
        covered = np.zeros(shape, int)
        for place in tiles:
            covered[place.to_slices()] += 1
            assert (place.height, place.width) == (min(tile, shape[0]), min(tile, shape[1]))
        assert covered.min() >= 1
        lefts = sorted({place.left for place in tiles})
        assert all(a + tile - b >= overlap for a, b in itertools.pairwise(lefts))


class TestBlending:
    @settings(deadline=None)
    @given(plans())
    def test_weights_sum_to_one_everywhere(self, plan: tuple[tuple[int, int], int, int]) -> None:
        shape, tile, overlap = plan
        tiles = plan_tiles(shape, tile, overlap)
        blender = Blender(np.zeros((1, *shape), np.float16), tiles, overlap)
        total = np.zeros(shape)
        for place in tiles:
            weight = blender.weight(place)
            assert weight.min() >= 0
            total[place.to_slices()] += weight
        np.testing.assert_allclose(total, 1, atol=1e-6)

    @settings(deadline=None)
    @given(plans(), st.integers(1, 3))
    def test_joined_tiles_are_the_plane(
        self, plan: tuple[tuple[int, int], int, int], classes: int
    ) -> None:
        shape, tile, overlap = plan
        plane = np.random.default_rng(1).random((classes, *shape), np.float32)
        found, _ = blended(plane, tile, overlap)
        np.testing.assert_allclose(found, plane, atol=1e-3)

    @settings(deadline=None)
    @given(plans())
    def test_the_outer_quarter_of_an_overlap_counts_nothing(
        self, plan: tuple[tuple[int, int], int, int]
    ) -> None:
        shape, tile, overlap = plan
        plane = np.random.default_rng(1).random((1, *shape), np.float32)
        found, _ = blended(plane, tile, overlap, spoil=overlap // 4)
        np.testing.assert_allclose(found, plane, atol=1e-3)

    def test_the_rise_is_smooth_and_symmetric(self) -> None:
        left, right = blend_profile((0, 64), 128, 192, 64)
        assert (left[:80] == 1).all()
        assert (left[112:] == 0).all()
        np.testing.assert_allclose(left[64:], right[:64][::-1])
        assert np.abs(np.diff(left)).max() < 0.05
        assert left[96] == pytest.approx(0.5, abs=0.03)

    def test_the_border_of_the_plane_is_no_overlap(self) -> None:
        left, right = blend_profile((0, 64), 128, 192, 64)
        assert (left[0], right[-1]) == (1, 1)

    def test_only_a_band_is_kept_in_float32(self) -> None:
        _, blender = blended(np.ones((2, 1000, 90), np.float32), 64, 16)
        assert blender._band.shape == (2, 64, 90)

    def test_finished_rows_are_written_before_the_end(self) -> None:
        out = np.zeros((1, 100, 40), np.float16)
        tiles = plan_tiles((100, 40), 40, 10)
        blender = Blender(out, tiles, 10)
        for place in tiles[:2]:
            blender.add(place, np.ones((1, 40, 40), np.float32))
        assert (out[0, : tiles[1].top] == 1).all()
        assert (out[0, tiles[1].top :] == 0).all()
