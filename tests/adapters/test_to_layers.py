from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_rwkvseg.adapters.from_layers import image_from_layer
from napari_rwkvseg.adapters.to_layers import (
    UNNAMED_COLOR,
    Geometry,
    class_colors,
    geometry_of,
    map_layer,
    mask_layer,
    object_features,
)
from napari_rwkvseg.engine.card import ModelCard

CARD = ModelCard("organs", "Organs", "CT", ("liver", "spleen"))
MOVED = {"scale": (2, 3), "translate": (5, 7), "rotate": 30, "shear": [0.2], "units": ("mm", "mm")}


def mask_on(image: Image, axes: str | None = None) -> Labels:
    """Return an empty mask of an image layer."""
    reading = image_from_layer(image, axes)
    empty = np.zeros(reading.spatial_shape, np.uint8)
    data, meta, kind = mask_layer(empty, "mask", geometry_of(image, reading), CARD, objects=False)
    assert kind == "labels"
    return Labels(data, **meta)


def picture(shape: tuple[int, ...], **keywords: Any) -> Image:
    return Image(np.zeros(shape, np.uint8), **keywords)


def test_every_transform_is_that_of_the_image() -> None:
    affine = np.array([[1, 0.1, 4], [0, 1, 2], [0, 0, 1]])
    image = picture((32, 40), affine=affine, axis_labels=("y", "x"), **MOVED)
    mask = mask_on(image)
    corners = [(0, 0), (31, 0), (0, 39), (31, 39)]
    for corner in corners:
        assert np.allclose(mask.data_to_world(corner), image.data_to_world(corner))
    assert mask.units == image.units
    assert mask.axis_labels == ("y", "x")


def test_colours_do_not_count_as_an_axis() -> None:
    assert mask_on(picture((32, 40, 3), rgb=True, **MOVED)).data.shape == (32, 40)


def test_a_leading_channel_axis_is_left_out_of_all_transforms() -> None:
    rotation = np.eye(4)
    rotation[2:, 2:] = [[0, -1], [1, 0]]
    image = picture(
        (2, 5, 32, 40),
        scale=(1, 4, 2, 3),
        translate=(0, 1, 5, 7),
        rotate=rotation,
        shear=[0, 0, 0, 0, 0, 0.2],
        axis_labels=("c", "z", "y", "x"),
    )
    mask = mask_on(image)
    assert mask.data.shape == (5, 32, 40)
    assert mask.axis_labels == ("z", "y", "x")
    assert np.allclose(mask.data_to_world((3, 10, 20)), image.data_to_world((0, 3, 10, 20))[1:])


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channel_axis_inside_becomes_one_pixel_as_thick_as_all(channel: int) -> None:
    viewer = ViewerModel()
    image = viewer.add_layer(picture((4, 3, 32, 40), scale=(2, 1.5, 1, 1)))
    mask = viewer.add_layer(mask_on(image, "zcyx"))
    mask.data[2, 0, 10, 20] = 7
    world = image.data_to_world((2, channel, 10, 20))
    viewer.dims.set_point((0, 1), world[:2])
    mask.refresh()
    assert mask.get_value(world, world=True) == 7
    assert np.allclose(mask.extent.world[:, 0], image.extent.world[:, 0])


def test_arrays_and_regions_gain_and_lose_the_stretched_axis() -> None:
    geometry = Geometry({}, stretched=1)
    array = np.zeros((4, 32, 40))
    assert geometry.fit(array).shape == (4, 1, 32, 40)
    assert geometry.strip(geometry.fit(array)).shape == (4, 32, 40)
    whole = (slice(0, 4), slice(2, 3), slice(5, 6))
    assert geometry.fit_region(whole) == (slice(0, 4), slice(0, 1), slice(2, 3), slice(5, 6))
    assert geometry.place((1, 2, 3)) == (1, 0, 2, 3)


def test_fitting_copies_nothing() -> None:
    array = np.zeros((4, 32, 40))
    assert np.shares_memory(Geometry({}, stretched=1).fit(array), array)


def test_geometries_agree_while_the_image_stays_where_it_is() -> None:
    image = picture((32, 40))
    reading = image_from_layer(image)
    before = geometry_of(image, reading)
    assert before.agrees(geometry_of(image, reading))
    image.scale = (2, 2)
    assert not before.agrees(geometry_of(image, reading))


def test_classes_have_names_and_colours_and_nothing_painted_is_invisible() -> None:
    mask = mask_on(picture((32, 40)))
    assert mask.features["class"].tolist() == ["background", "liver", "spleen"]
    colors = class_colors(2)
    assert colors[0] == "transparent"
    assert colors[None] == UNNAMED_COLOR
    assert len({colors[1], colors[2], colors[None]}) == 3


def test_objects_are_named_after_the_only_class() -> None:
    features = object_features(("nucleus",), [3, 8])
    assert features == {"index": [0, 3, 8], "class": ["background", "nucleus", "nucleus"]}
    assert object_features(("a", "b"), [3])["class"] == ["background", "object"]


def test_results_say_where_they_come_from_and_keep_the_geometry_of_the_file() -> None:
    image = picture((32, 40), metadata={"geometry": {"affine": 1}, "PatientName": "DOE"})
    mask = mask_on(image)
    assert mask.metadata["rwkvseg"]["notice"].startswith("For research use only")
    assert mask.metadata["geometry"] == {"affine": 1}
    assert "DOE" not in str(mask.metadata)


def test_maps_show_values_from_0_to_1_where_the_image_lies() -> None:
    image = picture((32, 40), **MOVED)
    geometry = geometry_of(image, image_from_layer(image))
    values = np.zeros((32, 40), np.float16)
    data, meta, kind = map_layer(values, "probability", geometry, CARD, "inferno")
    shown = Image(data, **meta)
    assert kind == "image"
    assert shown.contrast_limits == [0, 1]
    assert np.allclose(shown.extent.world, image.extent.world)
