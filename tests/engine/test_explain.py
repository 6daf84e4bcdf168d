"""An explanation reads the image exactly as a prediction does."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch

from napari_rwkvseg.engine.explain import (
    Explanation,
    as_one_channel,
    explain,
    part_read,
)
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.predict import predict
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, finish
from napari_rwkvseg.engine.tiles import Tile
from napari_rwkvseg.errors import BadImageError
from tests.recording import scanning_model

RANDOM = np.random.default_rng(1)


def noise(*shape: int, **keywords: object) -> ImageData:
    return interpret(RANDOM.random(shape).astype(np.float32), name="noise", **keywords)


def explained(image: ImageData, index: tuple[int, ...] = (), **keywords: object) -> Explanation:
    return finish(explain(scanning_model(), image, index, **keywords))


def test_what_is_explained_is_what_was_predicted() -> None:
    stack, model = noise(3, 50, 70, axes="zyx"), scanning_model()
    found = finish(explain(model, stack, (1,)))
    wanted = finish(predict(model, stack, PredictOptions(device="cpu"))).probability[0, 1]
    ours = found.trace.logits.softmax(1)[0, 1].numpy()
    np.testing.assert_allclose(ours, wanted.astype(np.float32), atol=2e-3)


def test_rgb_images_are_read_by_one_channel_models_too() -> None:
    assert explained(noise(40, 40, 3, rgb=True)).plane.shape == (40, 40, 1)


def test_small_planes_are_read_whole() -> None:
    assert part_read((640, 500), None, PredictOptions()) == (Tile(0, 0, 640, 500), 1)


def test_of_a_large_plane_the_tile_around_the_pixel_is_read() -> None:
    options = PredictOptions(tile=64, overlap=16)
    assert part_read((112, 112), (5, 100), options) == (Tile(0, 48, 64, 64), 4)
    found = explained(noise(112, 112), focus=(5, 100), options=options)
    assert (found.tile, found.tiles) == (Tile(0, 48, 64, 64), 4)
    assert found.cells(0).origin == (3.5, 51.5)
    with pytest.raises(ValueError, match="outside"):
        found.look(0, 0, (100, 100))


def test_a_large_frame_is_read_at_the_scale_of_its_prediction() -> None:
    start = scanning_model()
    model = replace(start, card=replace(start.card, frame_side=32.0))
    found = finish(explain(model, noise(96, 96), options=PredictOptions(tile=64, overlap=16)))
    assert found.network.config.shrink == 3
    assert (found.tile, found.tiles) == (Tile(0, 0, 96, 96), 1)  # tiles have grown as well
    assert found.cells(0).stride == 3 * explained(noise(96, 96)).cells(0).stride
    assert found.card is model.card


def test_only_the_tile_of_a_lazy_image_is_read() -> None:
    read: list[object] = []

    def block(block_info: object = None) -> np.ndarray:
        read.append(block_info)
        return np.eye(48, dtype=np.float32)

    lazy = da.map_blocks(block, chunks=((48,) * 4, (48,) * 4), dtype=np.float32)
    image = interpret(lazy, name="lazy")
    first = explained(image, focus=(0, 0), options=PredictOptions(tile=48, overlap=0))
    read.clear()
    again = explained(
        image, focus=(0, 0), options=PredictOptions(tile=48, overlap=0), window=first.window
    )
    assert (len(read), again.tile) == (1, Tile(0, 0, 48, 48))


def test_the_model_itself_stays_as_it_is() -> None:
    model = scanning_model()
    found = finish(explain(model, noise(40, 40)))
    assert found.network is not model.network
    assert all(p.requires_grad for p in model.network.parameters())
    assert not any(p.requires_grad for p in found.network.parameters())


def test_probabilities_and_label_are_those_at_the_pixel() -> None:
    found = explained(noise(50, 70))
    expected = found.trace.logits[0, :, 3, 60].softmax(0)
    np.testing.assert_allclose(found.probabilities((3, 60)), expected.numpy())
    assert found.label((3, 60)) == int(expected.argmax())


def test_the_field_is_that_of_the_likeliest_class_unless_asked_otherwise() -> None:
    found = explained(noise(50, 70))
    pixel = (20, 30)
    default, asked = found.field(pixel), found.field(pixel, found.label(pixel))
    np.testing.assert_array_equal(default.gradient, asked.gradient)
    assert default.gradient.shape == (50, 70)
    assert (default.row, default.column) == pixel


def test_lengths_are_physical_where_they_are_known() -> None:
    known = noise(40, 40, spacing=(0.5, 0.65), units=("um", "um"))
    assert explained(known).pixel_length == (0.65, "µm")
    assert explained(noise(40, 40)).pixel_length == (1.0, "px")


def test_one_channel_of_several_is_read() -> None:
    image = noise(2, 40, 40, axes="cyx")
    with pytest.raises(BadImageError, match="2 channels"):
        explained(image)
    with pytest.raises(BadImageError, match="3 channels"):
        explained(noise(3, 40, 40, axes="cyx"))
    single = as_one_channel(image, 1)
    assert (single.name, explained(single).plane.shape) == ("noise", (40, 40, 1))
    assert as_one_channel(image, None) is image


def test_it_stops_when_asked_to() -> None:
    token = CancelToken()
    job = explain(scanning_model(), noise(40, 40), token=token)
    next(job)
    token.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_nothing_is_left_requiring_gradients() -> None:
    found = explained(noise(40, 40))
    found.field((20, 20))
    assert not found.trace.logits.requires_grad
    assert isinstance(found.trace.logits, torch.Tensor)
