"""Scan orders: what is visited, in which steps, on grids of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.scan.orders import (
    ORDER_KINDS,
    IndexArray,
    scan_order,
)

steady = settings(derandomize=True, database=None, deadline=None, max_examples=60)
kinds = st.sampled_from(ORDER_KINDS)
sides = st.integers(1, 40)


def ranks(kind: str, height: int, width: int) -> list[list[int]]:
    rank = np.argsort(scan_order(kind, height, width))  # the step at which each cell is visited
    grid: list[list[int]] = rank.reshape(height, width).tolist()
    return grid


def path_of(kind: str, height: int, width: int) -> IndexArray:
    """Row and column of each cell in visiting order, shape (height * width, 2)."""
    return np.stack(np.divmod(scan_order(kind, height, width), width), axis=-1)


def steps(kind: str, height: int, width: int) -> IndexArray:
    """Rows and columns moved at each step, without sign, shape (height * width - 1, 2)."""
    return np.abs(np.diff(path_of(kind, height, width), axis=0))


def cells(kind: str, height: int, width: int) -> list[tuple[int, int]]:
    return [(int(row), int(column)) for row, column in path_of(kind, height, width)]


class TestScanOrder:
    def test_there_are_seven_kinds(self) -> None:
        assert ORDER_KINDS == (
            "row",
            "column",
            "diagonal",
            "antidiagonal",
            "hilbert",
            "spiral",
            "raster",
        )

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("row", [[0, 1, 2, 3], [7, 6, 5, 4], [8, 9, 10, 11]]),
            ("column", [[0, 5, 6, 11], [1, 4, 7, 10], [2, 3, 8, 9]]),
            ("antidiagonal", [[0, 1, 5, 6], [2, 4, 7, 10], [3, 8, 9, 11]]),
            ("diagonal", [[6, 5, 1, 0], [10, 7, 4, 2], [11, 9, 8, 3]]),
            ("spiral", [[0, 1, 2, 3], [9, 10, 11, 4], [8, 7, 6, 5]]),
            ("raster", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        ],
    )
    def test_visits_a_small_grid_as_drawn(self, kind: str, expected: list[list[int]]) -> None:
        assert ranks(kind, 3, 4) == expected

    def test_hilbert_is_the_classic_curve_on_four_by_four(self) -> None:
        expected = [[0, 1, 14, 15], [3, 2, 13, 12], [4, 7, 8, 11], [5, 6, 9, 10]]
        assert ranks("hilbert", 4, 4) == expected

    @given(kind=kinds, height=sides, width=sides)
    @steady
    def test_visits_each_cell_once(self, kind: str, height: int, width: int) -> None:
        order = scan_order(kind, height, width)
        assert order.dtype == np.int64
        assert sorted(order.tolist()) == list(range(height * width))

    @given(kind=kinds, length=st.integers(1, 60))
    @steady
    def test_walks_a_line_from_end_to_end(self, kind: str, length: int) -> None:
        expected = list(range(length))
        if kind == "diagonal":  # starts at the top right corner
            assert scan_order(kind, 1, length).tolist() == expected[::-1]
        else:
            assert scan_order(kind, 1, length).tolist() == expected
        assert scan_order(kind, length, 1).tolist() == expected

    @pytest.mark.parametrize("kind", ORDER_KINDS)
    def test_is_cached_and_cannot_be_written(self, kind: str) -> None:
        order = scan_order(kind, 5, 7)
        assert scan_order(kind, 5, 7) is order
        assert not order.flags.writeable

    def test_the_cache_is_bounded(self) -> None:
        assert scan_order.cache_info().maxsize == 128

    def test_an_unknown_kind_is_refused_with_the_valid_ones(self) -> None:
        with pytest.raises(ValueError, match=r"'zigzag'.*row, column, diagonal, .*raster"):
            scan_order("zigzag", 4, 4)

    @pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5), (5, -2)])
    @pytest.mark.parametrize("kind", ORDER_KINDS)
    def test_an_empty_grid_is_refused_with_its_size(
        self, kind: str, height: int, width: int
    ) -> None:
        with pytest.raises(ValueError, match=f"at least 1×1 cells, got {height}×{width}"):
            scan_order(kind, height, width)


class TestSteps:
    @given(kind=st.sampled_from(["row", "column", "spiral"]), height=sides, width=sides)
    @steady
    def test_snakes_and_spiral_go_to_a_neighbour_by_the_edge(
        self, kind: str, height: int, width: int
    ) -> None:
        assert (steps(kind, height, width).sum(axis=1) == 1).all()

    @given(kind=st.sampled_from(["diagonal", "antidiagonal"]), height=sides, width=sides)
    @steady
    def test_diagonal_snakes_go_to_one_of_eight_neighbours(
        self, kind: str, height: int, width: int
    ) -> None:
        assert (steps(kind, height, width).max(axis=1) == 1).all()

    @given(height=sides, width=sides)
    @steady
    def test_diagonal_snakes_take_an_edge_step_only_between_two_lines(
        self, height: int, width: int
    ) -> None:
        by_edge = steps("antidiagonal", height, width).sum(axis=1) == 1
        assert by_edge.sum() == height + width - 2

    def test_hilbert_has_one_diagonal_step_where_long_is_odd_and_short_is_even(self) -> None:
        sizes = [(height, width) for height in range(1, 34) for width in range(1, 34)]
        counts = {
            size: np.unique(steps("hilbert", *size).sum(axis=1), return_counts=True)
            for size in sizes
        }
        for (height, width), (length, count) in counts.items():
            long, short = max(height, width), min(height, width)
            found = dict(zip(length.tolist(), count.tolist(), strict=True))
            diagonal = int(long % 2 == 1 and short % 2 == 0 and short > 2)
            assert found.pop(2.0, 0) == diagonal, (height, width)
            assert set(found) <= {1.0}, (height, width)

    def test_the_diagonal_hilbert_step_does_not_leave_the_eight_neighbours(self) -> None:
        assert steps("hilbert", 4, 7).max() == 1

    @given(height=sides, width=sides)
    @steady
    def test_hilbert_joins_the_ends_of_the_longer_side(self, height: int, width: int) -> None:
        path = cells("hilbert", height, width)
        far = (0, width - 1) if width >= height else (height - 1, 0)
        off = sum(abs(a - b) for a, b in zip(path[-1], far, strict=True))
        beside = min(height, width) == 2 and max(height, width) % 2 == 1
        assert path[0] == (0, 0)
        assert off == int(beside)

    @pytest.mark.parametrize("side", [16, 23, 32])
    def test_hilbert_keeps_neighbours_together(self, side: int) -> None:
        def spread(kind: str) -> float:
            # 16 steps in a row: how far apart their ends are, on average
            path = path_of(kind, side, side)
            return float(np.hypot(*(path[16:] - path[:-16]).T).mean())

        assert spread("hilbert") < 0.6 * spread("row")


class TestSymmetry:
    @given(height=sides, width=sides)
    @steady
    def test_transposing_the_grid_turns_row_into_column_snake(
        self, height: int, width: int
    ) -> None:
        transposed = [(column, row) for row, column in cells("row", height, width)]
        assert transposed == cells("column", width, height)

    @given(height=sides, width=sides)
    @steady
    def test_diagonal_and_antidiagonal_are_mirror_images(self, height: int, width: int) -> None:
        mirrored = [(row, width - 1 - column) for row, column in cells("diagonal", height, width)]
        assert mirrored == cells("antidiagonal", height, width)

    @given(short=sides, extra=st.integers(1, 20))
    @steady
    def test_hilbert_on_a_tall_grid_is_that_on_the_wide_one_transposed(
        self, short: int, extra: int
    ) -> None:
        transposed = [(column, row) for row, column in cells("hilbert", short, short + extra)]
        assert transposed == cells("hilbert", short + extra, short)

    @given(height=sides, width=sides)
    @steady
    def test_a_spiral_never_moves_outwards(self, height: int, width: int) -> None:
        row, column = np.divmod(scan_order("spiral", height, width), width)
        border = np.minimum.reduce([row, column, height - 1 - row, width - 1 - column])
        assert (np.diff(border) >= 0).all()
