from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.engine.progress import Progress
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.workflow import Extras, Lanes, Message, Region, Tone, Workflow
from napari_rwkvseg.workflow.correct.empty import place_empty
from napari_rwkvseg.workflow.workflow import duration, progress_text
from tests.fakes import fake_model
from tests.store.model_builders import small_model
from tests.workflow.builders import Bench, StepRunner, square


@pytest.fixture
def bench() -> Bench:
    return Bench(eager=True)


def test_a_run_adds_a_mask_named_after_the_image(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()
    assert bench.names == ["cells", "cells · mask"]
    assert np.array_equal(mask.data, square() > 0.5)
    assert not bench.state.running


def test_the_mask_lies_exactly_on_its_image(bench: Bench) -> None:
    image = bench.add(
        square(), scale=(2, 3), translate=(5, 7), rotate=30, shear=[0.2], units=("mm", "mm"),
        axis_labels=("y", "x"),
    )  # fmt: skip
    mask = bench.run()
    assert np.allclose(mask.extent.world, image.extent.world)
    assert mask.units == image.units
    assert mask.axis_labels == image.axis_labels


def test_classes_are_named_in_the_status_bar(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()
    assert mask.features["class"].tolist() == ["background", "cell"]
    assert "cell" in mask.get_status((16, 16), world=True)["coordinates"]


def test_a_second_run_while_running_is_impossible(bench: Bench) -> None:
    bench.add(square())
    bench.workflow.segment()
    bench.workflow.segment()
    assert bench.segmenting.started == 1


def test_cancel_changes_nothing_and_says_so(bench: Bench) -> None:
    bench.add(square())
    bench.workflow.segment()
    bench.segmenting.step()
    bench.workflow.cancel()
    assert bench.segmenting.token.cancelled
    assert (bench.state.running, bench.names) == (False, ["cells"])
    assert bench.state.message.text.startswith("Stopped")


def test_an_untouched_mask_is_refreshed_in_place(bench: Bench) -> None:
    bench.add(square())
    first = bench.run()
    bench.workflow.set_options(replace(bench.state.options, threshold=0.01))
    bench.run()
    assert bench.names == ["cells", "cells · mask"]
    assert bench.viewer.layers[-1] is first


def test_an_edited_mask_stays_and_the_result_is_new(bench: Bench) -> None:
    bench.add(square())
    first = bench.run()
    first.paint((2, 2), 1)
    painted = first.data.copy()
    second = bench.run()
    assert second is not first
    assert np.array_equal(first.data, painted)
    assert bench.state.message.text == "You edited cells · mask, so the result is in a new layer."


def test_the_threshold_works_without_a_second_run(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()
    assert not mask.data[1].any()
    bench.workflow.set_options(replace(bench.state.options, threshold=0.05))
    assert mask.data[1].all()
    assert bench.segmenting.started == 1


def test_the_threshold_leaves_an_edited_mask_alone(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()
    mask.paint((30, 30), 1)
    painted = mask.data.copy()
    for threshold in (0.05, 0.06, 0.07):
        bench.workflow.set_options(replace(bench.state.options, threshold=threshold))
    assert np.array_equal(mask.data, painted)
    assert bench.names == ["cells", "cells · mask", "cells · mask [1]"]


def test_switching_to_objects_replaces_an_untouched_mask_under_its_name(bench: Bench) -> None:
    bench.add(square())
    bench.run()
    bench.add(square(), "on top")
    bench.viewer.layers.selection.active = bench.viewer.layers[0]
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    assert bench.names == ["cells", "cells · mask", "on top"]
    assert bench.viewer.layers[1].data.dtype == np.int32


def after_slice_2_of_3(bench: Bench, whole: bool) -> None:
    """Segment a stack as a whole or not, then one slice of it."""
    bench.add(np.stack([square()] * 3), axis_labels=("z", "y", "x"))
    if whole:
        bench.run()
    bench.workflow.set_region(Region.SLICE)
    bench.viewer.dims.set_point(0, 2)
    bench.run()


def test_switching_to_objects_after_a_run_on_one_slice_leaves_the_other_slices(
    bench: Bench,
) -> None:
    after_slice_2_of_3(bench, whole=True)
    mask = bench.viewer.layers[-1]
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    assert bench.names == ["cells", "cells · mask", "cells · mask [1]"]
    assert [int((plane > 0).sum()) for plane in mask.data] == [256, 256, 256]
    note = "cells · mask holds more than the last run, whose result is in a new layer."
    assert bench.state.message.text == note
    for separate in (False, True):  # the new layer holds no more than the run
        bench.workflow.set_options(replace(bench.state.options, separate=separate))
    assert bench.names == ["cells", "cells · mask", "cells · mask [1]"]


def test_a_mask_of_one_slice_only_is_replaced_by_one_of_objects(bench: Bench) -> None:
    after_slice_2_of_3(bench, whole=False)
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    assert bench.names == ["cells", "cells · mask"]
    mask = bench.viewer.layers[-1].data
    assert mask.dtype == np.int32
    assert [int((plane > 0).sum()) for plane in mask] == [0, 0, 256]


def test_options_make_no_second_mask_from_one_that_began_empty(bench: Bench) -> None:
    bench.add(square())
    place_empty(bench.workflow)
    mask = bench.viewer.layers[-1]
    mask.data_setitem((np.array([3]), np.array([4])), 1)
    for change in ({"threshold": 0.05}, {"separate": True}):
        bench.workflow.set_options(replace(bench.state.options, **change))
    assert bench.names == ["cells", "cells · mask"]
    assert mask.data.sum() == 1
    assert bench.state.message.text == ""


def test_options_changed_during_a_run_apply_to_its_result(bench: Bench) -> None:
    bench.add(square())
    bench.workflow.segment()
    bench.workflow.set_options(replace(bench.state.options, threshold=0.05))
    bench.segmenting.finish()
    assert bench.viewer.layers[-1].data[1].all()


def test_slices_are_segmented_one_after_the_other_into_one_mask(bench: Bench) -> None:
    bench.add(np.stack([square()] * 3))
    bench.workflow.selection.choose_axes("zyx")
    bench.workflow.set_region(Region.SLICE)
    bench.viewer.dims.set_point(0, 0)
    mask = bench.run()
    mask.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    bench.viewer.dims.set_point(0, 2)
    bench.run()
    assert bench.names == ["cells", "cells · mask"]
    assert [int(plane.sum()) for plane in mask.data] == [257, 0, 256]


def test_removing_the_image_stops_its_run(bench: Bench) -> None:
    layer = bench.add(square())
    bench.workflow.segment()
    bench.viewer.layers.remove(layer)
    assert bench.segmenting.token.cancelled
    assert bench.state.message.text.startswith("Stopped, because cells was removed")
    assert not bench.state.running


def test_a_renamed_image_gives_its_new_name_to_the_mask(bench: Bench) -> None:
    layer = bench.add(square())
    bench.workflow.segment()
    layer.name = "nuclei"
    bench.segmenting.finish()
    assert bench.names == ["nuclei", "nuclei · mask"]


def test_a_result_for_exchanged_data_is_a_new_layer_with_a_note(bench: Bench) -> None:
    layer = bench.add(square())
    first = bench.run()
    bench.workflow.segment()
    layer.data = square(48)
    bench.segmenting.finish()
    assert bench.names == ["cells", "cells · mask", "cells · mask [1]"]
    assert first.data.shape == (32, 32)
    assert "changed during the run" in bench.state.message.text


def test_a_bad_image_is_refused_in_one_sentence(bench: Bench) -> None:
    bench.add(np.zeros((1, 40)), "line")
    bench.workflow.segment()
    assert bench.state.message.tone is Tone.ERROR
    assert bench.state.message.text.startswith("line: side 1 below minimum")
    assert (bench.segmenting.started, bench.state.running) == (0, False)


def test_an_error_in_the_run_is_shown_and_the_button_is_back(bench: Bench) -> None:
    bench.add(np.full((32, 32), np.nan, np.float32), "empty")
    bench.run()
    assert bench.state.message.tone is Tone.ERROR
    assert bench.state.message.text.startswith("empty: no finite pixel")
    assert not bench.state.running


def test_a_missing_model_is_named(bench: Bench) -> None:
    bench.workflow.library.models.clear()  # type: ignore[attr-defined]
    bench.workflow.reload_models()
    bench.add(square())
    bench.workflow.segment()
    assert bench.state.message.text == "There is no model yet. Import one under Models."


def test_a_constant_image_gives_an_empty_mask_and_a_note(bench: Bench) -> None:
    bench.add(np.full((32, 32), 7, np.uint8))
    mask = bench.run()
    assert not mask.data.any()
    assert bench.state.message.tone is Tone.NOTE
    assert "onstant" in bench.state.message.text


def test_maps_are_added_below_the_mask_and_refreshed(bench: Bench) -> None:
    bench.add(square())
    bench.workflow.set_extras(Extras(probability=True, uncertainty=True))
    bench.run()
    names = ["cells", "cells · probability", "cells · uncertainty", "cells · mask"]
    assert bench.names == names
    bench.run()
    assert bench.names == names
    assert bench.state.image is bench.viewer.layers[0]


def test_a_mask_follows_its_image_during_and_after_the_run(bench: Bench) -> None:
    image = bench.add(square())
    bench.workflow.set_extras(Extras(probability=True))
    bench.workflow.segment()
    image.scale, image.units = (0.5, 0.5), ("um", "um")
    bench.segmenting.finish()
    mask, chance = bench.viewer.layers["cells · mask"], bench.viewer.layers["cells · probability"]
    assert mask.scale.tolist() == chance.scale.tolist() == [0.5, 0.5]
    assert bench.state.measured is not None
    assert "area (µm²)" in bench.state.measured.table.columns
    image.translate = (3, 4)
    image.scale = (2, 2)
    assert mask.translate.tolist() == chance.translate.tolist() == [3, 4]
    assert mask.scale.tolist() == chance.scale.tolist() == [2, 2]
    (row,) = bench.state.measured.table.rows
    assert row[bench.state.measured.table.columns.index("area (µm²)")] == 4 * mask.data.sum()


def test_the_table_goes_with_its_mask(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()
    assert bench.state.measured is not None
    bench.viewer.layers.remove(mask)
    assert bench.state.measured is None
    bench.run()
    assert bench.state.measured is not None


def test_maps_move_with_their_image_and_stay_where_somebody_put_them(bench: Bench) -> None:
    image = bench.add(square())
    bench.workflow.set_extras(Extras(probability=True))
    bench.run()
    image.scale = (2, 3)
    bench.run()
    shown = bench.viewer.layers["cells · probability"]
    assert shown.scale.tolist() == [2, 3]
    shown.translate = (5, 5)
    bench.run()
    assert shown.translate.tolist() == [5, 5]


@pytest.mark.parametrize("first", ["cells", "cells · probability"])
def test_nothing_holds_a_map_once_it_and_its_image_are_gone(bench: Bench, first: str) -> None:
    bench.add(square())
    bench.workflow.set_extras(Extras(probability=True))
    bench.run()
    values = weakref.ref(bench.viewer.layers["cells · probability"].data)
    bench.viewer.layers.remove(first)
    bench.viewer.layers.clear()
    gc.collect()
    assert values() is None


@pytest.mark.parametrize("size", [0, 1000])
def test_damaged_models_are_left_out_and_named_once(tmp_path: Path, size: int) -> None:
    library = Library(tmp_path, bundled=tmp_path / "none")
    library.install(small_model(name="fine"))
    damaged = library.install(small_model(name="mine")).path
    damaged.write_bytes(damaged.read_bytes()[:size])
    workflow = Workflow(ViewerModel(), library, Lanes(*(StepRunner() for _ in range(4))))
    assert [card.name for card in workflow.state.models] == ["fine"]
    assert workflow.state.message.tone is Tone.NOTE
    assert workflow.state.message.text.startswith(f"Left out of the models: {damaged.name} ")
    workflow.state.message = Message()
    workflow.reload_models()
    assert workflow.state.message == Message()


@pytest.mark.parametrize(
    ("names", "chosen"), [(("brain", "nuclei"), "nuclei"), (("brain", "eye"), "brain")]
)
def test_nuclei_are_chosen_first_where_they_are_there(names: tuple[str, ...], chosen: str) -> None:
    model = fake_model()
    named = [replace(model, card=replace(model.card, name=name)) for name in names]
    bench = Bench(*named)
    assert bench.state.card is not None
    assert bench.state.card.name == chosen
    bench.workflow.reload_models("brain")
    bench.workflow.reload_models()
    assert bench.state.card.name == "brain"


def test_a_model_is_read_once_and_again_where_another_program_put_another_version(
    tmp_path: Path,
) -> None:
    library = Library(tmp_path / "own", bundled=tmp_path / "none")
    library.install(small_model(0, name="cells"))
    workflow = Workflow(ViewerModel(), library, Lanes(*(StepRunner() for _ in range(4))))
    first = workflow.load("cells")
    assert workflow.load("cells") is first
    Library(tmp_path / "own", bundled=tmp_path / "none").install(
        small_model(1, name="cells", metrics={"dice_mean": 0.8, "n": 3})
    )
    assert workflow.load("cells") is not first
    assert workflow.state.card != library.card("cells")
    workflow.keep_up()
    assert workflow.state.card == library.card("cells")


def test_a_model_of_objects_proposes_separate_objects() -> None:
    bench = Bench(fake_model(objects=True), eager=True)
    assert bench.state.options.separate
    bench.add(square())
    mask = bench.run()
    assert mask.data.dtype == np.int32
    assert mask.features["class"].tolist() == ["background", "cell"]


def test_the_table_follows_the_mask_the_brush_and_undo(bench: Bench) -> None:
    bench.add(square())
    mask = bench.run()

    def area() -> float:
        assert bench.state.measured is not None
        columns = bench.state.measured.table.columns
        row = bench.state.measured.table.rows[0]
        return float(row[next(i for i, name in enumerate(columns) if "area" in name)])

    assert area() == 256
    mask.data_setitem((np.array([0]), np.array([0])), 1)
    assert area() == 257
    mask.undo()
    assert area() == 256


def test_the_table_belongs_to_the_chosen_image(bench: Bench) -> None:
    first = bench.add(square(), "a")
    bench.run()
    bench.add(square(), "b")
    assert bench.state.measured is None
    bench.workflow.selection.choose(first)
    assert bench.state.measured is not None


def test_closing_stops_everything(bench: Bench) -> None:
    bench.add(square())
    bench.workflow.segment()
    bench.workflow.close()
    assert bench.segmenting.token.cancelled
    bench.segmenting.finish()
    assert bench.names == ["cells"]


def test_one_of_two_channels_is_segmented_and_the_mask_shows_on_both(bench: Bench) -> None:
    bench.add(np.stack([np.stack([1 - square(), square()])] * 3))
    bench.workflow.selection.choose_axes("zcyx")
    bench.workflow.selection.choose_channel(1)
    mask = bench.run()
    assert mask.data.shape == (3, 1, 32, 32)
    assert np.array_equal(mask.data[0, 0], square() > 0.5)
    for channel in (0, 1):
        bench.viewer.dims.set_point(1, channel)
        assert mask.get_value((1, channel, 16, 16), world=True) == 1


def test_deleting_a_model_can_be_undone(bench: Bench) -> None:
    card = bench.state.card
    assert card is not None
    bench.workflow.shelf.delete(card)
    assert bench.state.card is None
    bench.workflow.shelf.undo()
    assert bench.state.card == card
    assert not bench.workflow.shelf.can_undo
    message = bench.state.message
    bench.workflow.shelf.undo()
    assert bench.state.message is message


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (65, "1 min 05 s"), (4200, "1 h 10 min")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_names_the_tile_and_the_time_left() -> None:
    assert progress_text(Progress(3, 12), 8) == "Tile 3 of 12 · 8 s left"
    assert progress_text(Progress(0, 12), None) == "Tile 0 of 12"
    assert progress_text(Progress(1, 1, "Making the mask"), 0.0) == "Making the mask"
