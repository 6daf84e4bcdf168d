from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from tests.workflow.builders import Bench, square


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_empty_viewer_says_what_to_do(bench: Bench) -> None:
    assert bench.state.image is None
    assert "Open Sample" in bench.state.reading.text
    assert bench.workflow.obstacle().startswith("There is no image")


def test_the_first_image_is_chosen_and_described(bench: Bench) -> None:
    layer = bench.add(square(64), scale=(0.5, 0.5), units=("um", "um"))
    assert bench.state.image is layer
    assert bench.state.reading.text == "image 64×64, 0.5×0.5 µm"
    assert bench.state.reading.problem == ""


def test_the_choice_follows_the_active_image_but_not_other_layers(bench: Bench) -> None:
    first, second = bench.add(square(), "a"), bench.add(square(), "b")
    bench.viewer.layers.selection.active = first
    assert bench.state.image is first
    bench.viewer.add_labels(np.zeros((32, 32), int))
    assert bench.state.image is first
    bench.viewer.layers.selection.active = second
    assert bench.state.image is second


def test_renaming_reaches_listeners_and_messages(bench: Bench) -> None:
    layer = bench.add(np.zeros((1, 8)), "short")
    heard: list[object] = []
    bench.state.events.images.connect(heard.append)
    layer.name = "line"
    assert heard == [(layer,)]
    assert bench.state.reading.problem.startswith("line: side 1 below minimum")


def test_removing_the_chosen_image_falls_back_to_another(bench: Bench) -> None:
    first, second = bench.add(square(), "a"), bench.add(square(), "b")
    bench.viewer.layers.remove(second)
    assert bench.state.image is first
    bench.viewer.layers.remove(first)
    assert bench.state.image is None
    assert bench.state.images == ()


def test_an_unclear_axis_is_asked_and_the_answer_remembered_per_layer(bench: Bench) -> None:
    stack = bench.add(np.stack([square()] * 5))
    assert bench.state.reading.image is None
    assert set(bench.state.reading.choices) >= {"zyx", "tyx", "cyx"}
    bench.workflow.selection.choose_axes("zyx")
    assert bench.state.reading.text == "5 slices of 32×32"
    assert "tyx" in bench.state.reading.choices  # can still be changed
    bench.add(square(), "other")
    bench.viewer.layers.selection.active = stack
    assert bench.state.reading.axes == "zyx"


def test_an_answer_that_no_longer_fits_is_asked_again(bench: Bench) -> None:
    layer = bench.add(np.stack([square()] * 5))
    bench.workflow.selection.choose_axes("zyx")
    layer.data = square()
    assert bench.state.reading.text == "image 32×32"


def test_one_of_several_channels_is_chosen(bench: Bench) -> None:
    bench.add(np.stack([square(), 1 - square()]))
    bench.workflow.selection.choose_axes("cyx")
    assert (bench.state.reading.n_channels, bench.state.reading.channel) == (2, 0)
    bench.workflow.selection.choose_channel(1)
    assert bench.state.reading.channel == 1


def test_rgb_has_no_channel_to_choose(bench: Bench) -> None:
    bench.add(np.zeros((32, 32, 3), np.uint8), rgb=True)
    assert (bench.state.reading.n_channels, bench.state.reading.channel) == (1, None)


def test_an_image_that_napari_opened_as_labels_is_listed_with_a_remedy(bench: Bench) -> None:
    layer = Labels(np.zeros((32, 32), np.uint32), name="cells")
    layer._set_source_path = None
    bench.viewer.add_labels(np.zeros((32, 32), int))
    assert bench.state.images == ()


def test_our_own_results_are_not_offered_as_images(bench: Bench) -> None:
    bench.add(square(), "map", metadata={"rwkvseg": {"model": "bright"}})
    assert bench.state.images == ()


def test_a_changed_scale_is_read_again(bench: Bench) -> None:
    layer = bench.add(square(), units=("um", "um"))
    layer.scale = (2, 2)
    assert bench.state.reading.text == "image 32×32, 2×2 µm"
