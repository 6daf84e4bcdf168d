from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import Recovery, find_unclean
from napari_rwkvseg.workflow.autosave import Autosave
from napari_rwkvseg.workflow.choices import Message, Tone
from tests.store.journaling import noise
from tests.workflow.alarm import Alarm
from tests.workflow.builders import StepRunner

SHAPE = (600, 40)


class Studio:
    """A layer that is watched, timers and a runner that stand still."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.viewer = ViewerModel()
        self.image = noise(SHAPE)
        self.layer = self.viewer.add_labels(np.zeros(SHAPE, np.uint8))
        self.alarm = Alarm()
        self.runner = StepRunner()
        self.messages: list[Message] = []
        self.autosave = self.begin()

    def begin(self) -> Autosave:
        made = Autosave(self.root, self.runner, self.alarm.after, self.alarm.clock)
        made.reported.connect(self.messages.append)
        return made

    def watch(self, **keywords: Any) -> None:
        self.autosave.watch(self.layer, self.image, lambda: b"state", **keywords)

    def stroke(self, row: int, label: int = 1) -> None:
        self.layer.data_setitem((np.array([row]), np.array([0])), label)

    def settle(self, seconds: float = 0.25) -> None:
        self.alarm.advance(seconds)
        while self.runner.busy:
            self.runner.finish()

    def on_disk(self) -> Recovery | None:
        """What would be found if the program died now."""
        for watched in self.autosave._watched.values():
            if watched.journal._folder is not None:
                watched.journal._folder.release()
        return find_unclean(self.root, self.image, SHAPE)

    def close(self) -> None:
        self.autosave.close()


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path / "autosave")
    yield studio
    studio.close()


def test_a_stroke_is_on_the_disk_a_quarter_of_a_second_later(it: Studio) -> None:
    it.watch()
    it.settle()
    it.stroke(5)
    it.alarm.advance(0.2)
    assert not it.runner.busy
    it.settle(0.05)
    found = it.on_disk()
    assert found is not None
    assert (found.strokes, found.mask[5, 0], found.state) == (1, 1, b"state")


def test_many_strokes_make_one_sweep_and_do_not_put_it_off(it: Studio) -> None:
    it.watch()
    it.settle()
    started = it.runner.started
    for row in range(20):
        it.stroke(row)
        it.alarm.advance(0.02)
    assert it.runner.started == started + 1
    it.settle()
    found = it.on_disk()
    assert found is not None
    assert found.strokes == 20


def test_strokes_during_a_sweep_get_one_of_their_own(it: Studio) -> None:
    it.watch()
    it.alarm.advance(0.25)
    it.runner.step()
    it.stroke(7)
    it.settle()
    found = it.on_disk()
    assert found is not None
    assert found.mask[7, 0] == 1


def test_undo_is_followed(it: Studio) -> None:
    it.watch()
    it.stroke(3)
    it.stroke(4)
    it.settle()
    it.layer.undo()
    it.settle()
    found = it.on_disk()
    assert found is not None
    assert found.mask[[3, 4], 0].tolist() == [1, 0]


def test_what_nobody_announces_is_found_within_five_seconds(it: Studio) -> None:
    it.watch()
    it.settle()
    it.layer.data[9, 9] = 1
    it.settle(5.0)
    found = it.on_disk()
    assert found is not None
    assert (found.mask[9, 9], found.strokes) == (1, 1)


def test_a_layer_is_watched_once(it: Studio) -> None:
    it.watch(strokes=1)
    it.watch(strokes=1)
    it.settle()
    it.stroke(1)
    it.settle()
    found = it.on_disk()
    assert found is not None
    assert found.strokes == 2
    assert len([path for path in it.root.iterdir() if path.is_dir()]) == 1


def test_a_mark_during_a_sweep_is_written_by_the_next(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.alarm.advance(0.25)
    it.runner.step()
    it.autosave.note(Mark.EXPORT)
    it.settle()
    it.close()
    assert it.on_disk() is None


def test_what_nobody_announced_is_written_when_closing(it: Studio) -> None:
    it.layer = it.viewer.add_labels(np.ones((4, 9, 9), np.uint8))
    it.watch(plane=lambda: (0,))
    it.settle()
    it.layer.data[2] = 5
    it.close()
    found = find_unclean(it.root, it.image, (4, 9, 9))
    assert found is not None
    assert found.mask[2, 0, 0] == 5


def test_closing_after_all_is_saved_leaves_nothing(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.settle()
    it.autosave.note(Mark.EXPORT, it.layer.unique_id)
    it.close()
    assert not [path for path in it.root.iterdir() if path.is_dir()]


def test_a_mark_of_another_layer_saves_nothing(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.autosave.note(Mark.EXPORT, "another")
    it.close()
    assert it.on_disk() is not None


def test_closing_writes_the_last_stroke_at_once(it: Studio) -> None:
    it.watch()
    it.settle()
    it.stroke(2)
    it.close()
    found = it.on_disk()
    assert found is not None
    assert found.mask[2, 0] == 1


def test_a_closed_autosave_hears_nothing_and_stops_its_clock(it: Studio) -> None:
    it.watch()
    it.settle()
    it.close()
    it.stroke(2)
    it.settle(20)
    assert it.alarm.waiting == 0
    assert not it.runner.busy


def test_a_layer_that_is_watched_again_goes_on_in_its_journal(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.close()
    it.stroke(2)
    it.watch(strokes=1)
    it.settle()
    found = it.on_disk()
    assert found is not None
    assert (found.strokes, found.mask[:3, 0].tolist()) == (2, [0, 1, 1])
    assert len([path for path in it.root.iterdir() if path.is_dir()]) == 1


def test_a_restored_layer_goes_on_in_the_journal_it_came_from(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.close()
    found = it.on_disk()
    assert found is not None
    it.layer = it.viewer.add_labels(found.mask)
    it.watch(recovery=found)
    it.stroke(2)
    it.close()
    again = it.on_disk()
    assert again is not None
    assert (again.folder, again.strokes) == (found.folder, 2)


def test_a_forgotten_layer_can_still_be_restored(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.autosave.forget(it.layer.unique_id)
    it.autosave.forget("nobody")
    assert it.on_disk() is not None


def test_an_array_of_another_shape_is_kept_too(it: Studio) -> None:
    it.watch()
    it.stroke(1)
    it.settle()
    it.layer.data = np.ones((7, 7), np.int32)
    it.settle()
    it.close()
    found = find_unclean(it.root, it.image, (7, 7))
    assert found is not None
    assert found.mask.dtype == np.int32


class TestPlanes:
    """A mask of four planes, in sight one after the other as a test says."""

    @pytest.fixture
    def stack(self, it: Studio) -> Studio:
        it.layer = it.viewer.add_labels(np.ones((4, 9, 9), np.uint8))
        self.sight = 0
        return it

    def watch(self, it: Studio, small: bool) -> None:
        it.watch(plane=lambda: (self.sight,), small=small)
        it.settle()

    def paint(self, it: Studio) -> None:
        place = tuple(np.array([i]) for i in (self.sight, 0, 0))
        it.layer.data_setitem(place, 5)

    def first_pixels(self, it: Studio) -> list[int]:
        for watched in it.autosave._watched.values():
            folder = watched.journal._folder
            assert folder is not None
            folder.release()
        found = find_unclean(it.root, it.image, (4, 9, 9))
        assert found is not None
        return found.mask[:, 0, 0].tolist()  # type: ignore[no-any-return]

    def test_at_first_all_are_kept(self, stack: Studio) -> None:
        self.watch(stack, small=True)
        assert self.first_pixels(stack) == [1, 1, 1, 1]

    def test_of_a_huge_mask_only_those_painted_in(self, stack: Studio) -> None:
        self.watch(stack, small=False)
        self.sight = 2
        self.paint(stack)
        self.sight = 3  # before the sweep, which finds what was painted all the same
        stack.settle(20)
        assert self.first_pixels(stack)[:3] == [1, 0, 5]

    def test_a_stroke_has_only_its_own_looked_at(self, stack: Studio) -> None:
        self.watch(stack, small=True)
        stack.layer.data[1, 0, 0] = 7
        self.paint(stack)
        stack.settle()
        assert self.first_pixels(stack) == [5, 1, 1, 1]

    def test_and_all_again_every_few_seconds(self, stack: Studio) -> None:
        self.watch(stack, small=True)
        stack.layer.data[1, 0, 0] = 7
        stack.settle(5)
        assert self.first_pixels(stack) == [1, 7, 1, 1]

    def test_undo_out_of_sight_is_found(self, stack: Studio) -> None:
        self.watch(stack, small=True)
        self.paint(stack)
        stack.settle()
        self.sight = 3
        stack.layer.undo()
        stack.settle()
        assert self.first_pixels(stack) == [1, 1, 1, 1]


def test_a_long_journal_is_made_short_in_sweeps_that_follow_each_other(
    it: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_rwkvseg.store.journal.SNAPSHOT_BYTES", 500)
    monkeypatch.setattr("napari_rwkvseg.store.journal.SNAPSHOT_TILES", 1)
    it.watch()
    for row in range(40):
        it.stroke(row, label=row % 9)
        it.stroke(599, label=row % 9)
        it.settle()
    (journal,) = it.root.rglob("journal")
    long = journal.stat().st_size
    it.alarm.now += 60
    it.stroke(3, label=8)
    it.settle()
    assert journal.stat().st_size < long / 5


class TestRefusingDisk:
    def refuse(self, monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOSPC) -> None:
        def fail(*_: Any) -> None:
            raise OSError(code, os.strerror(code), "/home/DOE^JANE/journal")

        monkeypatch.setattr(os, "fsync", fail)

    def test_is_reported_once_and_its_end_too(
        self, it: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        it.watch()
        with monkeypatch.context() as patch:
            self.refuse(patch)
            it.stroke(1)
            it.settle(12)
        assert [message.tone for message in it.messages] == [Tone.ERROR]
        assert "cannot be autosaved: No space left on device." in it.messages[0].text
        assert "DOE" not in it.messages[0].text + caplog.text
        it.settle(5)
        assert [message.tone for message in it.messages] == [Tone.ERROR, Tone.DONE]
        found = it.on_disk()
        assert found is not None
        assert found.mask[1, 0] == 1

    def test_keeps_the_marks_for_the_next_try(
        self, it: Studio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.watch()
        it.stroke(1)
        with monkeypatch.context() as patch:
            self.refuse(patch, errno.EIO)
            it.autosave.note(Mark.EXPORT)
            it.settle()
        it.settle(5)
        it.close()
        assert it.on_disk() is None

    def test_does_not_keep_the_window_from_closing(
        self, it: Studio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.watch()
        it.settle()
        it.stroke(1)
        self.refuse(monkeypatch, errno.EROFS)
        it.close()
        assert "Read-only file system" in it.messages[-1].text

    def test_an_image_that_cannot_be_read_is_reported(self, it: Studio) -> None:
        class Gone:
            shape, dtype = (9, 9), np.dtype(np.uint8)

            def __getitem__(self, area: object) -> None:
                raise OSError(errno.ENODEV, "No such device")

        it.autosave.watch(it.layer, Gone())
        it.settle()
        assert "No such device" in it.messages[0].text


def test_two_masks_of_one_image_have_a_journal_each_and_no_alarm(it: Studio) -> None:
    it.watch()
    it.settle()
    it.layer = it.viewer.add_labels(np.ones(SHAPE, np.uint8))
    it.watch()
    it.settle()
    assert len([path for path in it.root.iterdir() if path.is_dir()]) == 2
    assert it.messages == []


def test_another_program_on_the_same_image_is_told_apart_and_said(it: Studio) -> None:
    it.watch()
    it.settle()
    first, it.autosave = it.autosave, it.begin()
    it.watch()
    it.settle()
    it.stroke(1)
    it.settle()
    assert [message.tone for message in it.messages] == [Tone.NOTE]
    assert "Another program" in it.messages[0].text
    first.close()
