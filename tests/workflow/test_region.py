from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.adapters.from_layers import image_from_layer
from napari_rwkvseg.workflow import Region
from napari_rwkvseg.workflow.region import region_of, shows_plane


def stack(axes: str, shape: tuple[int, ...], **keywords: Any) -> tuple[ViewerModel, Any, Any]:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(shape, np.uint8), **keywords)
    return viewer, layer, image_from_layer(layer, axes)


def test_the_whole_image_is_no_region() -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40))
    assert region_of(Region.WHOLE, layer, image, viewer) is None


def test_the_current_slice_follows_the_slider_in_world_units() -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40), scale=(4, 1, 1))
    viewer.dims.set_point(0, 12)
    region = region_of(Region.SLICE, layer, image, viewer)
    assert region == (slice(3, 4), slice(0, 32), slice(0, 40))


def test_the_slider_of_a_channel_axis_does_not_count() -> None:
    viewer, layer, image = stack("tcyx", (4, 2, 32, 40))
    viewer.dims.set_point(0, 2)
    viewer.dims.set_point(1, 1)
    region = region_of(Region.SLICE, layer, image, viewer)
    assert region == (slice(2, 3), slice(0, 32), slice(0, 40))


@pytest.mark.parametrize(("point", "index"), [(-5, 0), (99, 4)])
def test_a_slider_outside_the_image_means_its_nearest_slice(point: int, index: int) -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40))
    viewer.add_image(np.zeros((200, 32, 40)), translate=(-100, 0, 0))
    viewer.dims.set_point(0, point)
    region = region_of(Region.SLICE, layer, image, viewer)
    assert region is not None
    assert region[0] == slice(index, index + 1)


def test_what_is_visible_comes_from_the_canvas_and_stays_inside() -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40))
    layer.corner_pixels = np.array([[0, 4, 8], [0, 20, 60]])
    region = region_of(Region.VISIBLE, layer, image, viewer)
    assert region is not None
    assert region[1:] == (slice(4, 21), slice(8, 40))


def test_visible_is_never_empty() -> None:
    viewer, layer, image = stack("yx", (32, 40))
    layer.corner_pixels = np.array([[50, 60], [70, 80]])
    assert region_of(Region.VISIBLE, layer, image, viewer) == (slice(31, 32), slice(39, 40))


def test_corners_of_a_pyramid_are_given_at_full_resolution() -> None:
    viewer = ViewerModel()
    levels = [np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)]
    layer = viewer.add_image(levels, multiscale=True)
    layer._data_level = 1
    layer.corner_pixels = np.array([[4, 8], [9, 19]])
    image = image_from_layer(layer)
    assert region_of(Region.VISIBLE, layer, image, viewer) == (slice(8, 19), slice(16, 39))


@pytest.mark.parametrize(
    ("order", "ndisplay", "shown"),
    [((0, 1, 2), 2, True), ((0, 2, 1), 2, True), ((2, 0, 1), 2, False), ((0, 1, 2), 3, False)],
)
def test_a_plane_is_in_sight_as_rows_and_columns(
    order: tuple[int, ...], ndisplay: int, shown: bool
) -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40))
    viewer.dims.order, viewer.dims.ndisplay = order, ndisplay
    assert shows_plane(layer, image, viewer) is shown


def test_a_flat_image_beside_a_volume_is_in_sight_in_two_dimensions_only() -> None:
    viewer, layer, image = stack("yx", (32, 40))
    viewer.add_image(np.zeros((5, 32, 40)))
    assert shows_plane(layer, image, viewer)
    viewer.dims.ndisplay = 3
    assert not shows_plane(layer, image, viewer)


def test_visible_with_other_axes_in_sight_is_all_along_the_axis_of_the_slider() -> None:
    viewer, layer, image = stack("zyx", (5, 32, 40))
    viewer.dims.order = (2, 0, 1)
    layer.corner_pixels = np.array([[1, 4, 0], [3, 20, 0]])
    region = region_of(Region.VISIBLE, layer, image, viewer)
    assert region == (slice(1, 4), slice(4, 21), slice(0, 40))


def test_in_three_dimensions_all_is_visible() -> None:
    viewer, layer, image = stack("tzyx", (2, 5, 32, 40))
    viewer.dims.ndisplay = 3
    layer.corner_pixels = np.array([[0, 2, 4, 8], [0, 2, 20, 30]])
    region = region_of(Region.VISIBLE, layer, image, viewer)
    assert region is not None
    assert region[1:] == (slice(0, 5), slice(0, 32), slice(0, 40))
    assert region[0].stop - region[0].start == 1
