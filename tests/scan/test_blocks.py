"""Blocks: every cell in one of them, and two-level orders that finish what they begin."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.scan.blocks import Block, block_sequences, partition, two_level_order
from napari_rwkvseg.scan.orders import ORDER_KINDS, scan_order

steady = settings(derandomize=True, database=None, deadline=None, max_examples=60)
kinds = st.sampled_from(ORDER_KINDS)
sides = st.integers(1, 30)
sizes = st.integers(1, 12)


class TestPartition:
    def test_goes_row_by_row_and_is_ragged_at_the_far_borders(self) -> None:
        assert partition(3, 5, 2) == (
            Block(0, 0, 2, 2),
            Block(0, 2, 2, 2),
            Block(0, 4, 2, 1),
            Block(2, 0, 1, 2),
            Block(2, 2, 1, 2),
            Block(2, 4, 1, 1),
        )

    def test_a_grid_smaller_than_a_block_is_one_block(self) -> None:
        assert partition(3, 5, 8) == (Block(0, 0, 3, 5),)

    @given(height=sides, width=sides, size=sizes)
    @steady
    def test_covers_each_cell_once(self, height: int, width: int, size: int) -> None:
        covered = np.zeros((height, width), int)
        for block in partition(height, width, size):
            assert 1 <= block.height <= size
            assert 1 <= block.width <= size
            rows = slice(block.top, block.top + block.height)
            covered[rows, block.left : block.left + block.width] += 1
        assert (covered == 1).all()

    @pytest.mark.parametrize("size", [0, -8])
    def test_an_empty_block_is_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match=f"side of at least 1 cell, got {size}"):
            partition(4, 4, size)

    def test_a_block_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Block(0, 0, 2, 2).top = 1  # type: ignore[misc]

    def test_an_empty_grid_is_refused(self) -> None:
        with pytest.raises(ValueError, match="got 0×4"):
            partition(0, 4, 2)


class TestBlockSequences:
    def test_index_the_whole_grid_in_the_order_inside_each_block(self) -> None:
        sequences = block_sequences("row", 3, 5, 2)
        assert [sequence.tolist() for sequence in sequences] == [
            [0, 1, 6, 5],
            [2, 3, 8, 7],
            [4, 9],
            [10, 11],
            [12, 13],
            [14],
        ]

    @given(kind=kinds, height=sides, width=sides, size=sizes)
    @steady
    def test_visit_each_cell_of_the_grid_once(
        self, kind: str, height: int, width: int, size: int
    ) -> None:
        visits = np.concatenate(block_sequences(kind, height, width, size))
        assert sorted(visits.tolist()) == list(range(height * width))

    @given(kind=kinds, height=sides, width=sides, size=sizes)
    @steady
    def test_each_block_is_scanned_like_a_grid_of_its_own(
        self, kind: str, height: int, width: int, size: int
    ) -> None:
        blocks = partition(height, width, size)
        sequences = block_sequences(kind, height, width, size)
        for block, sequence in zip(blocks, sequences, strict=True):
            local = (sequence // width - block.top) * block.width + sequence % width - block.left
            assert np.array_equal(local, scan_order(kind, block.height, block.width))

    def test_are_cached_and_cannot_be_written(self) -> None:
        sequences = block_sequences("hilbert", 9, 9, 4)
        assert block_sequences("hilbert", 9, 9, 4) is sequences
        assert not any(sequence.flags.writeable for sequence in sequences)
        assert block_sequences.cache_info().maxsize == 64

    def test_an_unknown_order_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'peano'"):
            block_sequences("peano", 4, 4, 2)


class TestTwoLevelOrder:
    def test_visits_blocks_in_one_order_and_their_cells_in_another(self) -> None:
        order = two_level_order("column", "row", 4, 4, 2)
        assert order.reshape(4, 4).tolist() == [
            [0, 1, 5, 4],
            [8, 9, 13, 12],
            [10, 11, 15, 14],
            [2, 3, 7, 6],
        ]

    @given(outer=kinds, inner=kinds, height=sides, width=sides, size=sizes)
    @steady
    def test_finishes_a_block_before_it_leaves(
        self, outer: str, inner: str, height: int, width: int, size: int
    ) -> None:
        order = two_level_order(outer, inner, height, width, size)
        across = -(-width // size)
        block = order // width // size * across + order % width // size
        entered = block[np.flatnonzero(np.diff(block, prepend=-1))]
        assert np.array_equal(entered, scan_order(outer, -(-height // size), across))
        assert sorted(order.tolist()) == list(range(height * width))

    @given(outer=kinds, inner=kinds, height=sides, width=sides)
    @steady
    def test_one_block_is_the_inner_order_and_blocks_of_one_cell_the_outer(
        self, outer: str, inner: str, height: int, width: int
    ) -> None:
        whole = two_level_order(outer, inner, height, width, 30)
        single = two_level_order(outer, inner, height, width, 1)
        assert np.array_equal(whole, scan_order(inner, height, width))
        assert np.array_equal(single, scan_order(outer, height, width))

    def test_is_cached_and_cannot_be_written(self) -> None:
        order = two_level_order("hilbert", "row", 9, 9, 4)
        assert two_level_order("hilbert", "row", 9, 9, 4) is order
        assert not order.flags.writeable
        assert two_level_order.cache_info().maxsize == 64

    @pytest.mark.parametrize(("outer", "inner"), [("peano", "row"), ("row", "peano")])
    def test_an_unknown_order_is_refused(self, outer: str, inner: str) -> None:
        with pytest.raises(ValueError, match="'peano'"):
            two_level_order(outer, inner, 4, 4, 2)

    def test_empty_blocks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1 cell, got 0"):
            two_level_order("row", "row", 4, 4, 0)
