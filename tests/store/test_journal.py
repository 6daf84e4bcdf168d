from __future__ import annotations

import errno
import os
import stat
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.errors import JournalError
from napari_rwkvseg.store import journal, journal_tape
from napari_rwkvseg.store.journal_records import Mark
from tests.store.journaling import SHAPE, Painter, limit_file_size, noise


class TestWriting:
    def test_only_changed_tiles_are_written(self, it: Painter) -> None:
        it.mask[:] = noise(SHAPE)
        it.paint((0, 0))
        it.sweep()
        whole = it.file.stat().st_size
        it.paint((599, 1099))  # in a tile of 88×76 noisy pixels
        it.sweep()
        assert 88 * 76 < it.file.stat().st_size - whole < 88 * 76 + 300
        written = it.file.stat().st_size
        it.sweep()
        assert it.file.stat().st_size == written

    def test_an_empty_mask_takes_no_tiles(self, it: Painter) -> None:
        it.sweep()
        assert it.file.stat().st_size < 100

    def test_erasing_to_zero_is_a_change_too(self, it: Painter) -> None:
        it.paint((5, 5))
        it.sweep()
        it.paint((5, 5), label=0)
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert not found.mask.any()

    def test_all_is_synced_before_a_sweep_returns(
        self, it: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.sweep()
        sizes = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            sizes.append(os.fstat(descriptor).st_size)
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        it.paint((0, 0))
        it.sweep()
        assert sizes == [it.file.stat().st_size]

    def test_a_torn_tile_is_written_as_it_was_copied(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stroke between checksum and record must not end up under the wrong checksum."""
        it = Painter(root, np.zeros((20, 20), np.uint8))  # one tile, contiguous as it lies there
        real = zlib.crc32

        def paint_meanwhile(data: Any, *rest: Any) -> int:
            checksum = real(data, *rest)
            it.mask[0, 1] = 9
            return checksum

        it.sweep()
        it.paint((0, 0))
        with monkeypatch.context() as patch:
            patch.setattr(journal_tape.zlib, "crc32", paint_meanwhile)
            it.sweep()
        it.mask[0, 1] = 0  # undone before the next sweep: to the journal nothing has changed
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert found.mask[0, :2].tolist() == [1, 0]

    def test_only_the_asked_planes_are_looked_at(self, root: Path) -> None:
        it = Painter(root, np.ones((3, 20, 20), np.uint8))
        it.strokes = 1
        it.sweep(planes={(1,)})
        it.die()
        found = it.found()
        assert found is not None
        assert found.mask.any(axis=(1, 2)).tolist() == [False, True, False]

    def test_files_are_for_their_owner_only_whatever_the_umask(self, it: Painter) -> None:
        before = os.umask(0)
        try:
            it.paint((0, 0))
            it.sweep()
        finally:
            os.umask(before)
        modes = {
            stat.S_IMODE(path.stat().st_mode)
            for path in (it.root, *it.root.rglob("*"))
            if path.is_dir()
        }
        files = {stat.S_IMODE(path.stat().st_mode) for path in it.root.rglob("*") if path.is_file()}
        assert (modes, files) == ({0o700}, {0o600})

    def test_sweeps_from_two_threads_take_turns(self, it: Painter) -> None:
        def work(column: int) -> None:
            for row in range(50):
                it.mask[row, column] = 1
                it.sweep()

        threads = [threading.Thread(target=work, args=(column,)) for column in (0, 700)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        it.strokes = 1
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert np.array_equal(found.mask, it.mask)


class TestSnapshot:
    @pytest.fixture
    def small(self, it: Painter, monkeypatch: pytest.MonkeyPatch) -> Painter:
        monkeypatch.setattr(journal, "SNAPSHOT_BYTES", 500)
        monkeypatch.setattr(journal, "SNAPSHOT_TILES", 2)
        return it

    def fill(self, it: Painter, strokes: int = 20) -> None:
        for step in range(strokes):
            it.paint((step, 0), (599, step), (step, 1099), label=1 + step)
            it.sweep()

    def test_a_long_journal_is_replaced_by_a_short_one(self, small: Painter) -> None:
        small.state = b"classes"
        self.fill(small)
        long = small.file.stat().st_size
        small.clock.now += 61
        assert small.sweep()
        small.paint((550, 550), label=99)  # a tile that was new after the beginning
        while small.sweep():
            pass
        assert small.file.stat().st_size < long / 5
        assert not (small.file.parent / "journal.next").exists()
        small.paint((0, 3), label=50)
        small.sweep()
        small.die()
        found = small.found()
        assert found is not None
        assert np.array_equal(found.mask, small.mask)
        assert (found.strokes, found.state) == (22, b"classes")

    def test_not_before_a_minute_has_passed(self, small: Painter) -> None:
        self.fill(small)
        small.clock.now += 59
        assert not small.sweep()

    def test_though_the_clock_was_set_back(self, small: Painter) -> None:
        self.fill(small)
        small.clock.now -= 3600
        assert small.sweep()

    def test_not_while_it_is_short(self, it: Painter) -> None:
        self.fill(it)
        it.clock.now += 61
        assert not it.sweep()

    @pytest.mark.parametrize("saved", [True, False])
    def test_whether_all_is_saved_survives(self, small: Painter, saved: bool) -> None:
        self.fill(small)
        small.sweep(Mark.EXPORT)
        if not saved:
            small.paint((3, 3))
        small.clock.now += 61
        while small.sweep():
            pass
        small.die()
        found = small.found()
        assert (None if found is None else found.strokes) == (None if saved else 1)

    def test_a_kill_before_the_rename_loses_nothing(
        self, small: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fill(small)
        small.clock.now += 61
        small.sweep()
        small.die()
        assert (small.file.parent / "journal.next").exists()
        found = small.found()
        assert found is not None
        assert np.array_equal(found.mask, small.mask)

    def test_a_failure_leaves_the_old_file_and_is_tried_again(
        self, small: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fill(small)
        long = small.file.stat().st_size
        small.clock.now += 61

        def fail(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.replace", fail)
            while small.sweep():
                pass
        small.paint((9, 9))
        small.sweep()
        assert small.file.stat().st_size > long
        small.clock.now += 61
        while small.sweep():
            pass
        assert small.file.stat().st_size < long
        small.die()
        found = small.found()
        assert found is not None
        assert np.array_equal(found.mask, small.mask)

    def test_another_shape_begins_a_new_file(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.mask = np.ones((9, 9), np.int32)
        it.sweep()
        it.paint((8, 8), label=70_000)
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert np.array_equal(found.mask, it.mask)


class TestFailingDisk:
    def test_a_full_disk_raises_and_later_all_is_written(
        self, it: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.paint((0, 0))
        it.sweep()
        good = it.file.stat().st_size
        it.paint((599, 1099), label=2)

        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            for _ in range(2):
                with pytest.raises(OSError, match="No space"):
                    it.sweep(Mark.TRAIN)
                assert it.file.stat().st_size == good
        it.sweep(Mark.TRAIN)
        it.die()
        found = it.found()
        assert found is not None
        assert np.array_equal(found.mask, it.mask)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_file_that_may_not_grow_keeps_what_it_holds(self, it: Painter) -> None:
        it.mask[:] = noise(SHAPE)
        it.mask[600 - 88 :, 1024:] = 0
        it.paint((0, 0), label=1)
        it.sweep()
        kept, limit = it.mask.copy(), it.file.stat().st_size + 1000

        def fill() -> None:
            it.mask[600 - 88 :, 1024:] = noise((88, 76))
            it.strokes += 1
            with pytest.raises(OSError, match="too large"):
                it.sweep()
            assert it.file.stat().st_size == limit - 1000
            it.mask[600 - 88 :, 1024:] = 5  # now it fits
            it.sweep()

        assert limit_file_size(fill, limit) == 0
        it.die()
        found = it.found()
        assert found is not None
        kept[600 - 88 :, 1024:] = 5
        assert np.array_equal(found.mask, kept)

    def test_a_folder_that_cannot_be_made_is_tried_again(
        self, it: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        it.paint((0, 0))
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.mkdir", fail)
            with pytest.raises(PermissionError):
                it.sweep()
            assert it.journal.folder is None
            it.journal.close()
        it.sweep()
        it.die()
        assert it.found() is not None

    def test_a_head_that_was_not_written_whole_is_written_again(
        self, it: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.paint((0, 0))

        def half(_: object) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(journal_tape, "head", half)
            with pytest.raises(OSError, match="No space"):
                it.sweep()
        it.sweep()
        it.die()
        assert it.found() is not None

    def test_a_folder_that_cannot_be_read_is_named_as_the_cause(
        self, it: Painter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()

        def fail(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", fail)
        with pytest.raises(JournalError, match="Permission denied"):
            it.found()
