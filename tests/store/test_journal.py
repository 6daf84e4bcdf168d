from __future__ import annotations

import errno
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.errors import JournalError
from napari_rwkvseg.store import journal, journal_tape
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import discard, find_unclean
from tests.store.journaling import SHAPE, Painter, limit_file_size, noise


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    yield
    while Painter.living:
        Painter.living.pop().die()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "autosave"


@pytest.fixture
def it(root: Path) -> Painter:
    return Painter(root)


class TestRecovery:
    def test_what_was_swept_comes_back(self, it: Painter) -> None:
        it.state = b"classes"
        it.paint((0, 0), (599, 1099), label=3)
        it.sweep()
        it.paint((300, 600), label=7)
        it.clock.now += 60
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert np.array_equal(found.mask, it.mask)
        assert (found.strokes, found.counted, found.state) == (2, 2, b"classes")
        assert found.time.timestamp() == it.clock.now

    @pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16, np.dtype(">i2"), bool])
    @pytest.mark.parametrize("shape", [(5, 7), (3, 600, 20), (2, 1, 3, 4, 513)])
    def test_any_type_and_number_of_axes(
        self, root: Path, shape: tuple[int, ...], dtype: Any
    ) -> None:
        it = Painter(root, noise(shape).astype(dtype))
        it.strokes = 1
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert found.mask.dtype == dtype
        assert np.array_equal(found.mask, it.mask)

    def test_a_mask_that_a_program_is_working_on_is_not_offered(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        assert it.found() is None

    def test_another_image_has_nothing_to_offer(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        assert find_unclean(it.root, noise(seed=1), SHAPE) is None
        assert find_unclean(it.root.parent / "nowhere", it.image, SHAPE) is None

    def test_where_nothing_is_kept_not_a_pixel_is_read(self, it: Painter) -> None:
        class Unread:
            shape, dtype = (9, 9), np.dtype(np.uint8)

        it.paint((0, 0))
        it.sweep(Mark.EXPORT)
        it.journal.close()
        assert find_unclean(it.root, Unread(), SHAPE) is None

    def test_a_mask_of_another_shape_is_refused_and_kept(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        with pytest.raises(JournalError, match=r"shape 600×1100, this image needs 5×5"):
            it.found((5, 5))
        assert it.found() is not None

    def test_a_newer_format_is_refused_and_kept(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        content = bytearray(it.file.read_bytes())
        content[8] = 9
        it.file.write_bytes(content)
        with pytest.raises(JournalError, match="format 9, this version reads 1"):
            it.found()
        assert it.file.read_bytes() == content

    def test_every_cut_gives_back_the_strokes_before_it(self, root: Path) -> None:
        it = Painter(root, np.zeros((8, 8), np.uint8))
        sizes, masks = [0], [it.mask.copy()]
        for row in range(4):
            it.paint((row, 0), label=row + 1)
            it.sweep()
            sizes.append(it.file.stat().st_size)
            masks.append(it.mask.copy())
        it.die()
        content = it.file.read_bytes()
        assert sizes[-1] == len(content)
        for cut in range(sizes[1], len(content) + 1):
            it.file.write_bytes(content[:cut])
            done = sum(size <= cut for size in sizes) - 1
            found = it.found()
            assert found is not None
            assert (found.strokes, found.mask.tolist()) == (done, masks[done].tolist())

    def test_a_flipped_bit_ends_the_reading_there(self, root: Path) -> None:
        it = Painter(root, np.zeros((8, 8), np.uint8))
        it.paint((0, 0))
        it.sweep()
        good = it.file.stat().st_size
        it.paint((1, 1))
        it.sweep()
        it.die()
        content = it.file.read_bytes()
        for place in range(good, len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            it.file.write_bytes(damaged)
            found = it.found()
            assert found is not None
            assert (found.strokes, found.mask[0, 0], found.mask[1, 1]) == (1, 1, 0)

    def test_a_folder_without_a_word_in_it_is_removed(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        it.file.write_bytes(b"")
        assert it.found() is None
        assert not it.file.parent.exists()


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


class TestSaved:
    @pytest.mark.parametrize("mark", [Mark.ACCEPT, Mark.EXPORT])
    def test_what_is_kept_elsewhere_is_not_offered(self, it: Painter, mark: Mark) -> None:
        it.paint((0, 0))
        it.sweep(mark)
        it.die()
        assert it.found() is None
        assert not [path for path in it.root.iterdir() if path.is_dir()]

    @pytest.mark.parametrize("mark", [Mark.PREDICT, Mark.TRAIN, Mark.CLOSE])
    def test_other_marks_keep_nothing(self, it: Painter, mark: Mark) -> None:
        it.paint((0, 0))
        it.sweep(mark)
        it.die()
        assert it.found() is not None

    def test_only_strokes_since_then_count(self, it: Painter) -> None:
        for row in range(3):
            it.paint((row, 0))
        it.sweep(Mark.ACCEPT)
        it.paint((9, 9))
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert (found.strokes, found.counted) == (1, 4)
        assert found.mask.sum() == 4

    def test_a_stroke_after_a_mark_is_unsaved_even_if_both_come_at_once(self, it: Painter) -> None:
        it.paint((0, 0))
        marks = ((Mark.ACCEPT, it.strokes),)
        it.paint((1, 1))
        it.journal.sweep(journal.Sweep(it.mask, it.strokes, marks=marks))
        it.journal.close()
        found = it.found()
        assert found is not None
        assert found.strokes == 1

    def test_a_stroke_that_an_earlier_sweep_saw_coming_is_counted(self, it: Painter) -> None:
        it.paint((0, 0))
        it.mask[1, 1] = 1  # painted, not yet announced
        it.sweep(Mark.ACCEPT)
        it.strokes += 1
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert found.strokes == 1

    def test_a_change_that_was_not_announced_is_one_stroke(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep(Mark.ACCEPT)
        it.mask[3, 3] = 1
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert found.strokes == 1

    def test_closing_deletes_what_is_saved_and_keeps_what_is_not(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.journal.close()
        assert it.found() is not None
        it.sweep(Mark.EXPORT)
        it.journal.close()
        assert not [path for path in it.root.iterdir() if path.is_dir()]

    def test_a_discarded_journal_is_gone(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        discard(found)
        discard(found)
        assert it.found() is None
        assert not found.folder.exists()


class TestFolders:
    def test_a_second_program_writes_beside_and_knows(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        other = Painter(it.root)
        other.paint((5, 5))
        other.sweep()
        assert it.journal.beside is None
        assert other.journal.beside == it.journal.folder
        assert other.file.parent.name.startswith(f"{it.file.parent.name}.")
        for painter in (it, other):
            painter.die()
        assert other.found() is not None

    def test_an_unsaved_journal_is_never_overwritten(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        later = Painter(it.root)
        later.paint((5, 5))
        later.sweep()
        assert later.journal.beside is None
        found = it.found()
        assert found is not None
        assert (found.folder, found.mask[0, 0]) == (it.journal.folder, 1)

    def test_the_latest_is_offered_first_then_the_other(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        it.die()
        later = Painter(it.root)
        later.paint((5, 5))
        later.sweep()
        later.die()
        os.utime(it.file, (1, 1))
        first = it.found()
        assert first is not None
        assert first.mask[5, 5] == 1
        discard(first)
        second = it.found()
        assert second is not None
        assert second.mask[0, 0] == 1

    def test_a_restored_journal_is_gone_on_with(self, it: Painter) -> None:
        it.paint((0, 0), (599, 0))
        it.sweep()
        it.die()
        it.file.write_bytes(it.file.read_bytes() + b"torn")
        found = it.found()
        assert found is not None
        again = Painter(it.root, found.mask, folder=found.folder)
        again.strokes = found.counted
        again.paint((1, 1))
        again.sweep()
        assert again.journal.folder == found.folder
        again.die()
        back = it.found()
        assert back is not None
        assert (back.strokes, back.mask.sum()) == (2, 3)

    def test_a_journal_that_another_took_up_is_left_to_it(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep()
        again = Painter(it.root, folder=it.journal.folder)
        again.paint((1, 1))
        again.sweep()
        assert again.journal.folder != it.journal.folder


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

    def test_not_while_it_is_short(self, it: Painter) -> None:
        self.fill(it)
        it.clock.now += 61
        assert not it.sweep()

    @pytest.mark.parametrize("saved", [True, False])
    def test_whether_all_is_saved_survives(self, small: Painter, saved: bool) -> None:
        self.fill(small)
        small.sweep(Mark.ACCEPT)
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
