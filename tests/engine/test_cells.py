"""Cells lie where the network read them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.cells import CellGrid
from napari_rwkvseg.engine.tiles import Tile

ODD = CellGrid((8, 12), 8, Tile(100, 200, 50, 70))  # padded to 64 × 96


def test_cells_that_are_padding_only_are_not_shown() -> None:
    assert ODD.shown == (7, 9)
    assert ODD.overhang == 6


def test_the_first_cell_has_its_centre_between_pixels() -> None:
    assert ODD.origin == (103.5, 203.5)


def test_nothing_overhangs_where_the_stride_divides_the_image() -> None:
    cells = CellGrid((4, 4), 16, Tile(0, 0, 64, 64))
    assert (cells.shown, cells.overhang) == ((4, 4), 0)


@given(st.integers(32, 90), st.integers(32, 90), st.sampled_from([4, 8, 16, 32]), st.data())
def test_each_pixel_lies_in_the_cell_that_claims_it(
    height: int, width: int, stride: int, data: st.DataObject
) -> None:
    padded = [-(-side // 32) * 32 // stride for side in (height, width)]
    cells = CellGrid((padded[0], padded[1]), stride, Tile(7, 9, height, width))
    row = data.draw(st.integers(7, 7 + height - 1))
    column = data.draw(st.integers(9, 9 + width - 1))
    token = cells.token_at(row, column)
    assert cells.visible(np.array([token])).all()
    centre = cells.positions(np.array([token]))[0] * stride + cells.origin
    assert np.abs(centre - (row, column)).max() <= (stride - 1) / 2


def test_pixels_outside_the_tile_have_no_cell() -> None:
    with pytest.raises(ValueError, match=r"\(150, 200\) lies outside"):
        ODD.token_at(150, 200)


def test_a_crop_keeps_rows_and_columns_together() -> None:
    kept = ODD.crop(np.arange(96))
    assert kept.shape == (7, 9)
    assert kept[1].tolist() == list(range(12, 21))


def test_a_span_lists_cells_once() -> None:
    pixels = np.array([(100, 200), (101, 207), (108, 200)])
    assert ODD.span(pixels).tolist() == [[0, 0], [1, 0]]
