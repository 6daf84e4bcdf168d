from __future__ import annotations

import gc
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, finish
from napari_rwkvseg.workflow import Compute, Extras
from napari_rwkvseg.workflow.jobs import Outcome, Request, mean_intensity, measure_mask, segment
from tests.fakes import fake_model
from tests.workflow.builders import square


def request(image: ImageData, **changes: Any) -> Request:
    base = Request(
        image=image,
        load=fake_model,
        region=None,
        options=MaskOptions(),
        extras=Extras(),
        compute=Compute(device="cpu", threads=1),
    )
    return replace(base, **changes)


def outcome(image: ImageData, **changes: Any) -> Outcome:
    return finish(segment(request(image, **changes), CancelToken()))


def stack(n: int = 3) -> ImageData:
    return interpret(np.stack([square()] * n), name="cells", axes="zyx")


def test_bright_pixels_become_class_1() -> None:
    mask = outcome(interpret(square(), name="cells")).mask
    assert mask.labels.dtype == np.uint8
    assert np.array_equal(mask.labels, square() > 0.5)


@pytest.mark.parametrize(("chosen", "found"), [(None, False), (0, True)])
def test_the_model_of_a_prediction_says_what_is_too_small(chosen: int | None, found: bool) -> None:
    options = MaskOptions(min_size=chosen)
    load = partial(fake_model, min_size=1 + int((square() > 0.5).sum()))
    result = outcome(interpret(square(), name="cells"), load=load, options=options)
    assert result.mask.labels.any() == found
    assert result.mask.options == options


def test_the_garbage_collector_rests_while_model_and_window_are_prepared() -> None:
    collects: list[bool] = []

    def load() -> Model:
        collects.append(gc.isenabled())
        return fake_model()

    image = interpret(square(), name="cells")
    outcome(image, load=load, prepare=lambda: collects.append(gc.isenabled()))
    assert collects == [False, False]
    assert gc.isenabled()


def test_separate_objects_continue_through_a_stack() -> None:
    labels = outcome(stack(), options=MaskOptions(separate=True)).mask.labels
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == [0, 1]


def test_a_region_leaves_the_rest_empty() -> None:
    region = (slice(1, 2), slice(0, 32), slice(0, 32))
    labels = outcome(stack(), region=region).mask.labels
    assert labels.any(axis=(1, 2)).tolist() == [False, True, False]


def test_a_region_keeps_what_was_there_outside() -> None:
    region = (slice(1, 2), slice(0, 32), slice(0, 32))
    base = np.full((3, 32, 32), 1, np.uint8)
    labels = outcome(stack(), region=region, base=base).mask.labels
    assert [int(plane.sum()) for plane in labels] == [1024, 256, 1024]


def test_objects_of_a_region_get_new_numbers() -> None:
    region = (slice(1, 2), slice(0, 32), slice(0, 32))
    base = np.full((3, 32, 32), 4, np.int32)
    labels = outcome(
        stack(), region=region, base=base, options=MaskOptions(separate=True)
    ).mask.labels
    assert np.unique(labels[1]).tolist() == [0, 5]


def test_a_base_of_another_kind_is_not_mixed_in() -> None:
    region = (slice(1, 2), slice(0, 32), slice(0, 32))
    base = np.full((3, 32, 32), 4, np.int32)
    assert not outcome(stack(), region=region, base=base).mask.labels[0].any()


def test_maps_come_on_request_one_probability_per_class() -> None:
    extras = Extras(probability=True, uncertainty=True)
    image = interpret(square(), name="cells")
    maps = outcome(image, extras=extras).maps
    assert [kind for kind, _, _ in maps] == ["probability", "uncertainty"]
    assert maps[0][1].max() > 0.99
    two = outcome(image, extras=extras, load=lambda: fake_model(("a", "b"))).maps
    assert [kind for kind, _, _ in two] == ["probability of a", "probability of b", "uncertainty"]


def test_maps_of_a_region_have_the_shape_of_the_image() -> None:
    region = (slice(1, 2), slice(0, 32), slice(0, 32))
    maps = outcome(stack(), region=region, extras=Extras(probability=True)).maps
    assert maps[0][1].shape == (3, 32, 32)
    assert not maps[0][1][0].any()


def test_a_cancelled_run_stops_before_it_predicts() -> None:
    token = CancelToken()
    job = segment(request(interpret(square(), name="cells")), token)
    assert next(job).message == "Loading the model"
    token.cancel()
    with pytest.raises(Cancelled):
        next(job)


def measured(labels: NDArray[Any], image: ImageData, objects: bool = True) -> Any:
    return finish(measure_mask(labels, image, objects, ("cell",), CancelToken()))


def test_each_object_has_a_row_and_a_box() -> None:
    labels = np.zeros((32, 32), np.int32)
    labels[2:6, 3:9], labels[20:22, 20:22] = 1, 4
    result = measured(labels, interpret(square(), name="cells"))
    assert [row[0] for row in result.table.rows] == [1, 4]
    assert result.boxes == {
        1: (slice(2, 6), slice(3, 9)),
        4: (slice(20, 22), slice(20, 22)),
    }


def test_the_mask_is_copied_before_it_is_measured() -> None:
    labels = np.ones((32, 32), np.int32)
    job = measure_mask(labels, interpret(square(), name="cells"), True, ("cell",), CancelToken())
    next(job)
    labels[:] = 0
    assert len(finish(job).table.rows) == 1


def test_intensity_is_the_mean_over_colours() -> None:
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[..., 0] = 90
    intensity = mean_intensity(interpret(photo, name="photo", rgb=True), CancelToken())
    assert intensity is not None
    assert intensity.shape == (32, 32)
    assert intensity[0, 0] == 30


def test_the_intensity_of_huge_images_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_rwkvseg.workflow.jobs.MEASURED_INTENSITY_LIMIT", 100)
    assert mean_intensity(interpret(square(), name="cells"), CancelToken()) is None
