from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.adapters.writers import write_labels
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.workflow import Tone
from napari_rwkvseg.workflow import safekeeping as module
from napari_rwkvseg.workflow.safekeeping import Description, Safekeeping, SafekeepingRunners
from tests.fakes import fake_model
from tests.workflow.alarm import Alarm
from tests.workflow.builders import Bench, StepRunner, square


class Start:
    """One start of the program: a bench with its safekeeping."""

    def __init__(self, root: Path, alarm: Alarm, *models: Model) -> None:
        self.alarm = alarm
        self.bench = Bench(*models, eager=True)
        runners = SafekeepingRunners(StepRunner(eager=True), StepRunner(eager=True))
        self.safe = Safekeeping(self.bench.workflow, runners, alarm.after, root, alarm.clock)

    def correct(self, image: Any = None, strokes: int = 1, **keywords: Any) -> Any:
        """Open an image, segment it, paint into the mask."""
        self.bench.add(square() if image is None else image, **keywords)
        mask = self.bench.run()
        for step in range(strokes):
            self.paint(mask, step)
        return mask

    def paint(self, mask: Any, column: int, label: int = 1) -> None:
        mask.data_setitem(tuple(np.array([i]) for i in (0,) * (mask.ndim - 1) + (column,)), label)
        self.alarm.advance(0.25)

    def die(self) -> None:
        """Let go of the locks, as the system does."""
        for watched in self.safe.autosave._watched.values():
            folder, tape = watched.journal._folder, watched.journal._tape
            assert folder is not None
            assert tape is not None
            folder.release()
            tape.close()
            watched.journal._folder = watched.journal._tape = None
            watched.stop()
        self.safe.autosave._watched.clear()

    @property
    def strokes(self) -> int:
        offer = self.safe.state.offer
        return 0 if offer is None else offer.strokes


class Office:
    """A data folder that outlives the program."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.alarm = Alarm()
        self.starts: list[Start] = []

    def start(self, *models: Model) -> Start:
        self.starts.append(Start(self.root, self.alarm, *models))
        return self.starts[-1]

    @property
    def journals(self) -> int:
        return len([path for path in self.root.glob("*") if path.is_dir()])


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path / "autosave")
    yield office
    for start in office.starts:
        start.bench.workflow.close()


def test_a_mask_that_nobody_edited_leaves_nothing_on_disk(office: Office) -> None:
    start = office.start()
    start.bench.add(square())
    start.bench.run()
    office.alarm.advance(10)
    assert office.journals == 0


def test_strokes_are_offered_after_a_crash_and_restored_beside_what_is_there(
    office: Office,
) -> None:
    mask = office.start().correct(strokes=3).data.copy()
    office.starts[0].die()

    again = office.start()
    again.bench.add(square())
    assert again.strokes == 3
    fresh = again.bench.run()
    before = fresh.data.copy()
    again.safe.restore()
    office.alarm.advance(0)
    restored = again.bench.viewer.layers[-1]
    assert again.bench.names == ["cells", "cells · mask", "cells · restored mask"]
    assert np.array_equal(restored.data, mask)
    assert np.array_equal(fresh.data, before)
    assert again.safe.state.offer is None


def test_a_newer_models_pixels_are_no_stroke(office: Office) -> None:
    start = office.start()
    start.bench.add(square())
    mask = start.bench.run()
    place = (np.array([0]), np.array([5]))
    assert start.bench.workflow.results.run.link.refresh(place, np.array([1])) == 1
    mask.undo()
    mask.redo()
    office.alarm.advance(10)
    assert office.journals == 0
    start.paint(mask, 7)
    assert office.journals == 1


def test_a_mask_too_large_to_compare_is_kept_for_safety(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIFF_LIMIT", 100)
    start = office.start()
    start.bench.add(square())
    start.bench.run()
    place = (np.array([0]), np.array([5]))
    start.bench.workflow.results.run.link.refresh(place, np.array([1]))
    office.alarm.advance(1)
    assert office.journals == 1


def test_options_make_no_second_mask_from_a_restored_one(office: Office) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start(fake_model(objects=True))
    again.bench.add(square())
    again.safe.restore()
    again.bench.workflow.segment()
    again.bench.workflow.cancel()
    assert again.bench.names == ["cells", "cells · restored mask"]
    assert again.bench.state.message.text == "Stopped. No layer was changed."
    again.bench.workflow.set_options(MaskOptions(threshold=0.2))
    assert again.bench.names == ["cells", "cells · restored mask"]


def test_the_first_stroke_counts_once(office: Office) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 1


def test_a_restored_mask_lies_where_the_image_lies_and_names_the_classes(office: Office) -> None:
    geometry = {"scale": (2.0, 0.5), "translate": (7.0, -3.0), "units": ("um", "um")}
    first = office.start(fake_model(("liver", "spleen")))
    mask = first.correct(**geometry)
    first.paint(mask, 9, label=3)
    mask.features = {"index": [0, 1, 2, 3], "class": ["background", "liver", "spleen", "new"]}
    office.alarm.advance(5)
    first.die()

    again = office.start()
    again.bench.add(square(), **geometry)
    again.safe.restore()
    office.alarm.advance(0)
    restored = again.bench.viewer.layers[-1]
    assert restored.scale.tolist() == [2.0, 0.5]
    assert restored.translate.tolist() == [7.0, -3.0]
    assert restored.features["class"].tolist() == ["background", "liver", "spleen", "new"]
    assert restored.data[0, 9] == 3


def test_objects_come_back_as_objects_of_their_model(office: Office) -> None:
    office.start(fake_model(objects=True)).correct()
    office.starts[0].die()
    again = office.start()
    again.bench.add(square())
    again.safe.restore()
    run = again.bench.workflow.results.run
    assert run.link.layer.name == "cells · restored mask"
    assert run.link.objects
    assert run.outcome.prediction.card.name == "bright"
    assert run.class_names == ("cell",)


def test_strokes_on_a_restored_mask_are_kept_with_the_old_ones(office: Office) -> None:
    office.start().correct(strokes=2)
    office.starts[0].die()
    again = office.start()
    again.bench.add(square())
    again.safe.restore()
    office.alarm.advance(0.25)
    again.paint(again.bench.viewer.layers[-1], 9)
    again.die()
    third = office.start()
    third.bench.add(square())
    assert third.strokes == 3
    assert office.journals == 1


def test_a_crash_right_after_restoring_loses_nothing(office: Office) -> None:
    office.start().correct(strokes=2)
    office.starts[0].die()
    again = office.start()
    again.bench.add(square())
    again.safe.restore()
    third = office.start()
    third.bench.add(square())
    assert third.strokes == 2


@pytest.mark.parametrize(
    ("axes", "shape"), [("zyx", (3, 32, 32)), ("cyx", (2, 32, 32)), ("zcyx", (3, 2, 32, 32))]
)
def test_stacks_and_channels(office: Office, axes: str, shape: tuple[int, ...]) -> None:
    image = np.broadcast_to(square(), shape).copy()
    mask = office.start().correct(image, axis_labels=tuple(axes)).data.copy()
    office.starts[0].die()
    again = office.start()
    again.bench.add(image, axis_labels=tuple(axes))
    again.safe.restore()
    office.alarm.advance(0)
    restored = again.bench.viewer.layers[-1]
    assert restored.name == "cells · restored mask"
    assert np.array_equal(restored.data, mask)


def test_another_image_gets_no_offer_and_the_right_one_does(office: Office) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start()
    right = again.bench.add(square())
    wrong = again.bench.add(square(hi=0.5), name="other")
    assert again.bench.state.image is wrong
    assert again.strokes == 0
    again.bench.workflow.selection.choose(right)
    assert again.strokes == 1


@pytest.mark.parametrize("goes", [False, True])
def test_an_offer_goes_with_its_image(office: Office, goes: bool) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start()
    image = again.bench.add(square())
    assert again.strokes == 1
    unclear = again.bench.add(np.ones((3, 32, 32), np.float32), name="unclear")
    if goes:
        again.bench.viewer.layers.remove(unclear)
        again.bench.viewer.layers.remove(image)
    assert again.bench.state.image is (None if goes else unclear)
    assert again.strokes == 0
    again.safe.discard()
    assert office.journals == 1


def test_later_hides_the_offer_until_the_image_is_chosen_anew(office: Office) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start()
    image = again.bench.add(square())
    again.safe.later()
    image.name = "renamed"
    image.scale = (3, 3)
    assert again.strokes == 0
    other = again.bench.add(square(hi=0.5))
    again.bench.workflow.selection.choose(image)
    assert again.strokes == 1
    assert other in again.bench.viewer.layers


def test_discard_deletes_and_then_offers_the_older_one(office: Office) -> None:
    for strokes in (1, 2):
        office.start().correct(strokes=strokes)
        office.starts[-1].die()
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 2
    again.safe.discard()
    assert again.strokes == 1
    again.safe.discard()
    assert (again.strokes, office.journals) == (0, 0)


def test_accepted_corrections_are_offered_too_for_the_mask_is_not_on_disk(office: Office) -> None:
    start = office.start()
    mask = start.correct()
    start.bench.workflow.noted.emit(Mark.ACCEPT, mask.unique_id)
    start.bench.workflow.close()
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 1


def test_what_was_accepted_as_it_is_comes_back_accepted(office: Office) -> None:
    start = office.start()
    start.bench.add(square())
    mask = start.bench.run()
    link = start.bench.workflow.results.run.link
    link.reviewed = ((slice(0, 8), slice(4, 32)),)
    start.bench.workflow.noted.emit(Mark.ACCEPT, mask.unique_id)
    start.paint(mask, 3)
    start.die()

    again = office.start()
    again.bench.add(square())
    again.safe.restore()
    run = again.bench.workflow.results.run
    assert run.restored
    assert run.link.reviewed == ((slice(0, 8), slice(4, 32)),)
    np.testing.assert_array_equal(run.link.written(), run.link.current())


def test_nothing_is_written_over_a_restored_mask(office: Office) -> None:
    office.start().correct()
    office.starts[0].die()
    again = office.start()
    again.bench.add(square())
    again.safe.restore()
    restored = again.bench.viewer.layers[-1]
    before = restored.data.copy()
    again.bench.run()
    np.testing.assert_array_equal(restored.data, before)
    assert again.bench.names == ["cells", "cells · restored mask", "cells · mask"]


def test_a_mask_that_was_saved_to_a_file_is_not_offered(office: Office, tmp_path: Path) -> None:
    start = office.start()
    mask = start.correct()
    write_labels(str(tmp_path / "other.tif"), mask.data.copy(), {})
    start.bench.workflow.close()
    assert office.journals == 1
    start.paint(mask, 7)
    write_labels(str(tmp_path / "mask.tif"), mask.data, {})
    start.bench.workflow.close()
    assert office.journals == 0


def test_closing_keeps_what_is_not_accepted(office: Office) -> None:
    office.start().correct()
    office.starts[0].bench.workflow.close()
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 1


def test_painting_goes_on_being_kept_after_the_dock_was_closed(office: Office) -> None:
    start = office.start()
    mask = start.correct()
    start.bench.workflow.close()
    start.paint(mask, 5)
    start.die()
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 2
    assert office.journals == 1


def test_a_removed_mask_is_offered_when_the_image_is_chosen_again(office: Office) -> None:
    start = office.start()
    mask = start.correct()
    start.bench.viewer.layers.remove(mask)
    other = start.bench.add(square(hi=0.5))
    start.bench.viewer.layers.remove(other)
    assert start.strokes == 1


def test_a_mask_of_another_shape_is_refused_in_a_sentence(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.start().correct()
    office.starts[0].die()
    monkeypatch.setattr(module, "mask_shape", lambda *_: (5, 5))
    again = office.start()
    again.bench.add(square())
    assert again.strokes == 0
    assert again.bench.state.message.tone is Tone.NOTE
    assert "shape 32×32, this image needs 5×5" in again.bench.state.message.text
    assert office.journals == 1


def test_of_a_huge_mask_only_planes_painted_in_are_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHOLE_BYTES", 10)
    image = np.broadcast_to(square(), (4, 32, 32)).copy()
    start = office.start()
    start.bench.viewer.dims.ndim = 3
    start.bench.add(image, axis_labels=("z", "y", "x"))
    start.bench.viewer.dims.set_point(0, 2)
    mask = start.bench.run()
    mask.data_setitem((np.array([2]), np.array([0]), np.array([0])), 1)
    office.alarm.advance(0.25)
    start.die()
    again = office.start()
    again.bench.add(image, axis_labels=("z", "y", "x"))
    offer = again.safe.state.offer
    assert offer is not None
    assert offer.mask.any(axis=(1, 2)).tolist() == [False, False, True, False]
    assert np.array_equal(offer.mask[2], mask.data[2])


def test_a_brush_in_three_dimensions_is_looked_for_everywhere(office: Office) -> None:
    image = np.broadcast_to(square(), (4, 32, 32)).copy()
    start = office.start()
    mask = start.correct(image, axis_labels=("z", "y", "x"))
    viewer = start.bench.viewer
    assert module.shown_plane(viewer, mask) == (viewer.dims.current_step[0],)
    mask.n_edit_dimensions = 3
    assert module.shown_plane(viewer, mask) is None
    mask.n_edit_dimensions = 2
    viewer.dims.order = (1, 0, 2)
    assert module.shown_plane(viewer, mask) is None


def test_a_description_that_is_lost_leaves_the_pixels(office: Office) -> None:
    assert Description.from_bytes(b"[]") == Description("corrections", (), False)
    assert Description.from_bytes(b"") == Description("corrections", (), False)
    about = Description("nuclei", ("größe",), True)
    assert Description.from_bytes(about.to_bytes()) == about
