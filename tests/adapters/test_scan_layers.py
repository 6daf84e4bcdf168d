"""Layers of the explorer lie on the pixels that their tokens stand for, in real napari layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Layer, Vectors

from napari_rwkvseg.adapters.from_layers import image_from_layer, is_candidate
from napari_rwkvseg.adapters.scan_layers import (
    PREFIX,
    PlanePlace,
    heat_layer,
    scan_layers,
    visit_limits,
)
from napari_rwkvseg.adapters.to_layers import geometry_of
from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.heat import Heat
from napari_rwkvseg.engine.progress import finish
from tests.recording import record_operator, scanning_model, visited

CLASSES = {"image": Image, "vectors": Vectors}


def made(described: tuple[Any, dict[str, Any], str]) -> Layer:
    data, meta, kind = described
    return CLASSES[kind](data, **meta)


def stack_layer(shape: tuple[int, ...] = (3, 50, 70), **keywords: Any) -> Image:
    """A stack that is scaled, moved and turned."""
    turn = np.eye(3)
    turn[1:, 1:] = [[0.8, -0.6], [0.6, 0.8]]
    look = {"scale": (5, 0.5, 0.6), "translate": (1, 2, 3), "rotate": turn, "shear": (0, 0, 0.2)}
    return Image(np.random.default_rng(0).random(shape), units=("mm",) * 3, **(look | keywords))


def explained(
    layer: Image, index: tuple[int, ...], axes: str | None
) -> tuple[Explanation, PlanePlace]:
    image = image_from_layer(layer, axes)
    found = finish(explain(scanning_model(), image, index))
    return found, PlanePlace(geometry_of(layer, image), index)


@pytest.mark.parametrize("stride_of", [0, 2, 3])
def test_cells_lie_on_their_pixels_in_a_turned_stack(stride_of: int) -> None:
    layer = stack_layer()
    found, place = explained(layer, (2,), "zyx")
    path = found.path(stride_of, 0)
    for described in scan_layers(path, place):
        ours = made(described)
        stride = path.cells.stride
        for cell in [(0, 0), (1, 2)]:
            centre = [stride * c + (stride - 1) / 2 for c in cell]
            np.testing.assert_allclose(
                ours.data_to_world((0, *cell)), layer.data_to_world((2, *centre)), atol=1e-9
            )
        assert ours.units == layer.units


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.1, 5), st.floats(-180, 180), st.floats(-1, 1), st.sampled_from([1, 4, 8]),
    st.floats(-20, 20),
)  # fmt: skip
def test_any_transform_of_a_picture_is_followed(
    scale: float, turn: float, shear: float, stride: int, start: float
) -> None:
    layer = Image(np.zeros((40, 40)), scale=(scale, 1), rotate=turn, shear=[shear])
    place = PlanePlace(geometry_of(layer, image_from_layer(layer)), ())
    heat = Heat(np.zeros((3, 3), np.float32), stride, (start, 2.0), "")
    ours = made(heat_layer(heat, place))
    np.testing.assert_allclose(
        ours.data_to_world((2, 1)),
        layer.data_to_world((start + 2 * stride, 2.0 + stride)),
        atol=1e-9,
    )


def test_channels_before_and_between_other_axes_are_bridged() -> None:
    first = Image(np.zeros((2, 40, 40)), scale=(1, 2, 2))
    place = PlanePlace(geometry_of(first, image_from_layer(first, "cyx")), ())
    assert place.fit(np.zeros((5, 5))).shape == (5, 5)
    between = Image(np.zeros((3, 2, 40, 40)), scale=(4, 1, 2, 2))
    place = PlanePlace(geometry_of(between, image_from_layer(between, "zcyx")), (2,))
    assert place.fit(np.zeros((5, 5))).shape == (1, 1, 5, 5)
    assert place.transforms(8, (3.5, 3.5))["translate"].tolist() == [8, 0.5, 7, 7]


def test_ranks_drawn_are_steps_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_operator(monkeypatch)
    found, place = explained(stack_layer(), (1,), "zyx")
    outer = [call for call in calls if call.plan.heads == 4]
    for number, call in enumerate(outer):
        for head in range(4):
            rank, arrows, _ = map(made, scan_layers(found.path(number, head), place))
            across = found.trace.layers[number].grid[1]
            for sequence in visited(call.plan, head):
                for step, token in enumerate(sequence):
                    row, column = divmod(token, across)
                    if row < rank.data.shape[1] and column < rank.data.shape[2]:
                        assert rank.data[0, row, column] == step
            _, rows, columns = np.moveaxis(arrows.data[:, 0], 1, 0).astype(int)
            assert (rank.data[0, rows, columns] == arrows.features["step"]).all()


def test_layers_look_as_they_should() -> None:
    found, place = explained(Image(np.random.default_rng(0).random((50, 70))), (), None)
    rank, arrows, borders = map(made, scan_layers(found.path(0, 0), place))
    assert rank.interpolation2d == "nearest"
    assert rank.contrast_limits == [0, 63 / 0.995]
    assert (arrows.vector_style, borders.vector_style) == ("arrow", "line")
    assert len(arrows.data) == 7 * 7 + 6 + 3  # a window of 7 × 8, turns on one column of the next
    assert [layer.name for layer in (rank, arrows, borders)] == [
        PREFIX + "order", PREFIX + "path", PREFIX + "blocks",
    ]  # fmt: skip


def test_explorer_layers_are_never_offered_as_images() -> None:
    found, place = explained(Image(np.random.default_rng(0).random((40, 40))), (), None)
    layers = [made(d) for d in scan_layers(found.path(0, 0), place)]
    layers.append(made(heat_layer(found.look(0, 0, (3, 3)), place)))
    assert not any(map(is_candidate, layers))


def test_a_head_without_blocks_has_an_empty_border_layer() -> None:
    found, place = explained(Image(np.random.default_rng(0).random((40, 40))), (), None)
    borders = made(scan_layers(found.path(2, 0), place)[2])
    assert borders.data.shape == (0, 2, 2)


def test_the_brightest_heat_is_a_common_one() -> None:
    values = np.full((40, 40), 0.001, np.float32)
    values[3, 3] = 0.9
    place = explained(Image(np.random.default_rng(0).random((40, 40))), (), None)[1]
    layer = made(heat_layer(Heat(values, 1, (0.0, 0.0), ""), place))
    assert layer.contrast_limits[1] == pytest.approx(0.001)
    empty = made(heat_layer(Heat(values * 0, 1, (0.0, 0.0), ""), place))
    assert empty.contrast_limits == [0, 1]


def test_cells_not_yet_visited_are_see_through() -> None:
    found, place = explained(Image(np.random.default_rng(0).random((64, 64))), (), None)
    layer = made(scan_layers(found.path(0, 3), place)[0])
    low, high = visit_limits(20)
    shares = (np.array([0, 10, 20, 21, 40]) - low) / (high - low)
    alpha = layer.colormap.map(np.clip(shares, 0, 1))[:, 3]
    assert alpha.tolist() == [1, 1, 1, 0, 0]
