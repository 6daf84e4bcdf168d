import errno
import os
import pathlib
import signal
import subprocess
import sys

import portalocker
import pytest

from napari_rwkvseg.store import atomic
from napari_rwkvseg.store.atomic import sweep_temporaries, write_atomic


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    return path


def test_a_new_file_is_written(tmp_path):
    write_atomic(tmp_path / "new", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new").read_bytes() == b"content"


@pytest.mark.skipif(atomic.WINDOWS, reason="Windows limits paths, not names")
def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path):
    name = "x" * os.pathconf(tmp_path, "PC_NAME_MAX")
    write_atomic(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_an_old_file_is_replaced(old):
    write_atomic(old, b"new")
    assert old.read_bytes() == b"new"


def test_the_mode_is_that_of_ordinary_files(old, tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    write_atomic(old, b"new")
    assert old.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_file_is_on_disk_before_the_rename_and_the_folder_after(old, monkeypatch):
    steps = []
    real = os.fsync

    def fsync(descriptor):
        steps.append((os.path.isdir(descriptor), old.read_bytes()))  # noqa: PTH112
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(old, b"new")
    assert steps == [(False, b"old"), (True, b"new")]


class Broken:
    """A file on a full disk."""

    def __init__(self, file, step):
        self._file = file
        self._step = step

    def __getattr__(self, name):
        if name == self._step:
            raise OSError(errno.ENOSPC, "No space left on device")
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        self._file.__exit__(*error)


@pytest.mark.parametrize("step", ["write", "flush", "fileno"])
def test_a_failing_file_leaves_the_old_one_and_no_litter(old, monkeypatch, step):
    real = atomic._open_temporary

    def broken(path):
        temporary, file = real(path)
        return temporary, Broken(file, step)

    monkeypatch.setattr(atomic, "_open_temporary", broken)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(old, b"new")
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("model.bin", b"old")]


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_a_failing_system_call_leaves_the_old_file_and_no_litter(old, monkeypatch, step):
    def fail(*_args, **_kwargs):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(OSError, match="Input/output"):
            write_atomic(old, b"new")
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("model.bin", b"old")]


@pytest.mark.parametrize(("code", "raises"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_disk_that_fails_raises_when_the_folder_is_synced(old, monkeypatch, code, raises):
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(descriptor):  # noqa: PTH112
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if raises:
        with pytest.raises(OSError, match="error"):
            write_atomic(old, b"new")
    else:
        write_atomic(old, b"new")
    assert old.read_bytes() == b"new"


CHILD = """
import os, resource, signal, sys
from pathlib import Path
from napari_rwkvseg.store import atomic

step, path = sys.argv[1], Path(sys.argv[2])
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
real = os.fsync
if step == "file":
    os.fsync = die
elif step == "rename":
    Path.replace = die
elif step == "folder":
    os.fsync = lambda descriptor: die() if os.path.isdir(descriptor) else real(descriptor)
elif step == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    atomic.write_atomic(path, b"new" * 1000)
except OSError:
    sys.exit(7)
"""


def run_child(step, path):
    return subprocess.run([sys.executable, "-c", CHILD, step, str(path)], check=False).returncode


@pytest.mark.parametrize(("step", "kept"), [("file", "old"), ("rename", "old"), ("folder", "new")])
def test_a_kill_leaves_a_whole_file_and_the_sweep_leaves_nothing_else(old, step, kept):
    assert run_child(step, old) == -signal.SIGKILL
    assert old.read_bytes() == (b"old" if kept == "old" else b"new" * 1000)
    assert sweep_temporaries(old.parent) == (1 if kept == "old" else 0)
    assert [path.name for path in old.parent.iterdir()] == ["model.bin"]


def test_a_full_disk_leaves_the_old_file_and_no_litter(old):
    assert run_child("full", old) == 7
    assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("model.bin", b"old")]


class TestWindows:
    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch):
        monkeypatch.setattr(atomic, "WINDOWS", True)
        monkeypatch.setattr(atomic, "PAUSES", (0, 0))

    @pytest.mark.parametrize("busy", [0, 2])
    def test_a_file_that_somebody_holds_for_a_moment_is_replaced(self, old, monkeypatch, busy):
        self.hold(monkeypatch, busy)
        write_atomic(old, b"new")
        assert old.read_bytes() == b"new"

    def test_a_file_that_somebody_keeps_is_left_as_it_was(self, old, monkeypatch):
        self.hold(monkeypatch, 9)
        with pytest.raises(PermissionError):
            write_atomic(old, b"new")
        assert [(p.name, p.read_bytes()) for p in old.parent.iterdir()] == [("model.bin", b"old")]

    def test_left_files_are_removed_once_they_are_closed(self, old, monkeypatch):
        (old.parent / f".1{atomic.SUFFIX}").write_bytes(b"part")
        opened, unlink = [], type(old).unlink

        def unlink_closed(path, **options):
            assert all(file.closed for file in opened)
            unlink(path, **options)

        monkeypatch.setattr(atomic.portalocker, "lock", lambda file, flags: opened.append(file))
        monkeypatch.setattr(type(old), "unlink", unlink_closed)
        assert sweep_temporaries(old.parent) == 1
        assert len(opened) == 1

    def hold(self, monkeypatch, times):
        replace, left = pathlib.Path.replace, [times]

        def held(path, target):
            left[0] -= 1
            if left[0] >= 0:
                raise PermissionError(13, "in use")
            return replace(path, target)

        monkeypatch.setattr(pathlib.Path, "replace", held)


class TestSweep:
    def left(self, folder, name=".model.bin.0123"):
        path = folder / f"{name}{atomic.SUFFIX}"
        path.write_bytes(b"part")
        return path

    def test_only_our_own_temporary_files_are_removed(self, old):
        self.left(old.parent)
        other = old.parent / ".other.tmp"
        other.write_bytes(b"")
        assert sweep_temporaries(old.parent) == 1
        assert sorted(path.name for path in old.parent.iterdir()) == [".other.tmp", "model.bin"]

    def test_the_file_of_a_living_writer_stays(self, old):
        path = self.left(old.parent)
        with path.open("r+b") as file:
            portalocker.lock(file, atomic.NO_WAIT)
            assert sweep_temporaries(old.parent) == 0
        assert sweep_temporaries(old.parent) == 1

    def test_a_sweep_between_creation_and_lock_costs_only_another_try(self, old, monkeypatch):
        real, calls = atomic.try_lock, []

        def swept_first(file):
            calls.append(file.name)
            if len(calls) == 1:
                sweep_temporaries(old.parent)
            return real(file)

        monkeypatch.setattr(atomic, "try_lock", swept_first)
        write_atomic(old, b"new")
        assert len(set(calls)) == 2
        assert old.read_bytes() == b"new"

    def test_a_file_held_by_a_sweep_costs_only_another_try(self, old, monkeypatch):
        real, answers = atomic.try_lock, iter([False])
        monkeypatch.setattr(
            atomic, "try_lock", lambda file: next(answers, None) is None and real(file)
        )
        write_atomic(old, b"new")
        assert old.read_bytes() == b"new"

    def test_a_file_system_without_locks_is_written_all_the_same(self, old, monkeypatch):
        def no_locks(*_):
            raise portalocker.LockException("not supported")

        monkeypatch.setattr(portalocker, "lock", no_locks)
        write_atomic(old, b"new")
        assert old.read_bytes() == b"new"
        self.left(old.parent)
        assert sweep_temporaries(old.parent) == 0
