"""Masks of a dock that was closed are watched again by the next one of the same viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.workflow import Lanes, Workflow
from napari_rwkvseg.workflow.returning import Returning
from tests.workflow.builders import Bench, FakeLibrary, StepRunner, square


class Reopened:
    """What of a dock matters here that is opened where another one was."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.workflow = Workflow(
            viewer, FakeLibrary(), Lanes(*(StepRunner(True) for _ in range(4)))
        )
        self.placed: list[object] = []
        self.workflow.results.placed.connect(lambda run: self.placed.append(run.link.layer))
        self.returning = Returning(self.workflow)


@pytest.mark.parametrize("objects", [False, True])
def test_a_mask_is_measured_again_and_nothing_writes_into_it(objects: bool) -> None:
    bench = Bench(eager=True)
    bench.add(square())
    bench.workflow.set_options(replace(bench.state.options, separate=objects))
    mask = bench.run()
    bench.workflow.close()
    workflow = Reopened(bench.viewer).workflow
    run = workflow.results.run
    assert run is not None
    assert run.link.layer is mask
    assert (run.link.objects, run.class_names) == (objects, ("cell",))
    assert workflow.state.measured is not None
    before = mask.data.copy()
    workflow.segment()
    assert np.array_equal(mask.data, before)
    assert len(bench.viewer.layers) == 3


def test_the_topmost_of_several_masks_is_in_use_and_a_stranger_is_left_alone() -> None:
    bench = Bench(eager=True)
    image = bench.add(square())
    first = bench.run()
    first.paint((0, 0), 1)
    second = bench.run()
    stranger = bench.viewer.add_labels(np.zeros(square().shape, np.uint8))
    cut = bench.viewer.add_labels(np.zeros((3, 3), np.uint8), metadata=second.metadata)
    bench.workflow.close()
    again = Reopened(bench.viewer)
    assert again.placed == [first, second]
    assert stranger not in again.placed
    assert cut not in again.placed
    assert again.workflow.state.image is image


def test_an_image_whose_axes_must_be_named_gets_its_mask_back_then() -> None:
    bench = Bench(eager=True)
    bench.add(np.stack([square()] * 5))
    bench.workflow.selection.choose_axes("tyx")
    mask = bench.run()
    bench.workflow.close()
    again = Reopened(bench.viewer)
    assert again.workflow.results.run is None
    again.workflow.selection.choose_axes("tyx")
    run = again.workflow.results.run
    assert run is not None
    assert run.link.layer is mask
