from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine import source
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.intensity import Window
from napari_rwkvseg.engine.source import PlaneSource, shifted, widened
from napari_rwkvseg.engine.tiles import Tile

STACK = np.arange(2 * 30 * 40, dtype=np.float32).reshape(2, 30, 40)
BOX = (slice(5, 25), slice(10, 40))


@pytest.fixture(params=[0, 2**24], ids=["tile by tile", "at once"])
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PlaneSource:
    monkeypatch.setattr(source, "WHOLE_PLANE", request.param)
    values = STACK.copy()
    values[1, 7, 12] = np.nan
    return PlaneSource(interpret(values, name="cells", axes="zyx"), (1,), BOX, Window(1000, 2000))


def test_tiles_count_from_the_corner_of_the_box(plane: PlaneSource) -> None:
    values, finite = plane.read(Tile(10, 20, 4, 6))
    assert values.shape == (4, 6, 1)
    expected = (STACK[1, 15:19, 30:36] - 1000) / 1000
    np.testing.assert_allclose(values[..., 0], expected, rtol=1e-6)
    assert finite.all()


def test_gaps_are_zero_and_recorded(plane: PlaneSource) -> None:
    values, finite = plane.read(Tile(0, 0, 20, 30))
    assert np.argwhere(~finite).tolist() == [[2, 2]]
    assert values[2, 2, 0] == 0


def test_a_pixel_is_finite_only_in_all_colours() -> None:
    colours = np.ones((20, 30, 3), np.float32)
    colours[4, 5, 2] = np.inf
    image = interpret(colours, name="cells", rgb=True)
    _, finite = PlaneSource(image, (), (slice(0, 20), slice(0, 30)), Window(0, 1)).read(
        Tile(0, 0, 20, 30)
    )
    assert np.argwhere(~finite).tolist() == [[4, 5]]


@given(st.integers(0, 99), st.integers(1, 100), st.integers(0, 50))
def test_context_stays_inside_the_plane(start: int, length: int, context: int) -> None:
    inner = slice(start, min(100, start + length))
    rows, cols = widened((inner, slice(0, 7)), (100, 7), context)
    assert cols == slice(0, 7)
    assert rows.start == max(0, inner.start - context)
    assert rows.stop == min(100, inner.stop + context)


def test_shifted() -> None:
    assert shifted(slice(3, 9), -2) == slice(1, 7)
