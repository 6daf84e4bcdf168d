from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_rwkvseg.errors import JournalError
from napari_rwkvseg.store import journal
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import discard, find_unclean
from tests.store.journaling import SHAPE, Painter, noise


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


class TestSaved:
    def test_what_is_kept_elsewhere_is_not_offered(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep(Mark.EXPORT)
        it.die()
        assert it.found() is None
        assert not [path for path in it.root.iterdir() if path.is_dir()]

    @pytest.mark.parametrize("mark", [Mark.PREDICT, Mark.ACCEPT, Mark.TRAIN, Mark.CLOSE])
    def test_other_marks_keep_nothing(self, it: Painter, mark: Mark) -> None:
        it.paint((0, 0))
        it.sweep(mark)
        it.die()
        assert it.found() is not None

    def test_only_strokes_since_then_count(self, it: Painter) -> None:
        for row in range(3):
            it.paint((row, 0))
        it.sweep(Mark.EXPORT)
        it.paint((9, 9))
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert (found.strokes, found.counted) == (1, 4)
        assert found.mask.sum() == 4

    def test_a_stroke_after_a_mark_is_unsaved_even_if_both_come_at_once(self, it: Painter) -> None:
        it.paint((0, 0))
        marks = ((Mark.EXPORT, it.strokes),)
        it.paint((1, 1))
        it.journal.sweep(journal.Sweep(it.mask, it.strokes, marks=marks))
        it.journal.close()
        found = it.found()
        assert found is not None
        assert found.strokes == 1

    def test_a_stroke_that_an_earlier_sweep_saw_coming_is_counted(self, it: Painter) -> None:
        it.paint((0, 0))
        it.mask[1, 1] = 1  # painted, not yet announced
        it.sweep(Mark.EXPORT)
        it.strokes += 1
        it.sweep()
        it.die()
        found = it.found()
        assert found is not None
        assert found.strokes == 1

    def test_a_change_that_was_not_announced_is_one_stroke(self, it: Painter) -> None:
        it.paint((0, 0))
        it.sweep(Mark.EXPORT)
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
