"""Disks that are full, folders that may not be written: what is there stays, and that is said."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.journal import Journal, Sweep
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import read_model, write_model
from tests.store.journaling import limit_file_size, noise
from tests.store.model_builders import small_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

NOBODY = 65534


@pytest.fixture(autouse=True)
def _all_is_loaded(tmp_path: Path) -> None:
    """Import what the children need: somebody else may not be able to read this checkout."""
    noise()
    path = tmp_path / "any.safetensors"
    write_model(path, small_model())
    read_model(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may read: pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def library(folder: Path) -> Library:
    library = Library(folder / "models", folder / "none")
    library.install(small_model(seed=1), name="liver")
    return library


def as_somebody_else(child: Callable[[], None]) -> int:
    """Run `child` in a process that owns nothing, return its status; root may write anywhere."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            child()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def content(library: Library) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in library.root.iterdir() if path.is_file()}


def close(folder: Path) -> None:
    """Let nobody write here, nor into what lies here."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


CHANGES: dict[str, Callable[[Library], object]] = {
    "install": lambda library: library.install(small_model(seed=2), name="liver"),
    "activate": lambda library: library.activate("liver", library.versions("liver")[0].sha256),
    "rename": lambda library: library.rename("liver", "spleen"),
    "delete": lambda library: library.delete("liver"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_library_that_may_not_be_written_stays_and_says_so(library: Library, change: str) -> None:
    before = content(library)
    close(library.root)

    def child() -> None:
        with pytest.raises(ModelFileError, match="Permission denied"):
            CHANGES[change](library)
        assert library.load("liver").card.name == "liver"

    assert as_somebody_else(child) == 0
    library.root.chmod(0o755)
    assert content(library) == before


def test_a_full_disk_leaves_the_active_model_and_no_litter(library: Library) -> None:
    before = content(library)
    limit = len(library.path("liver").read_bytes()) - 100

    def child() -> None:
        with pytest.raises(ModelFileError, match="File too large"):
            CHANGES["install"](library)
        assert library.load("liver").card.name == "liver"

    assert limit_file_size(child, limit) == 0
    assert content(library) == before


def test_a_model_written_where_none_may_be_is_a_sentence(folder: Path) -> None:
    close(folder)

    def child() -> None:
        with pytest.raises(ModelFileError, match="Permission denied"):
            write_model(folder / "new.safetensors", small_model())

    assert as_somebody_else(child) == 0
    folder.chmod(0o755)


def test_a_journal_goes_on_when_its_folder_may_be_written_again(folder: Path) -> None:
    mask = np.ones((9, 9), np.uint8)

    def child() -> None:
        journal = Journal(folder / "closed" / "autosave", noise())
        with pytest.raises(PermissionError):
            journal.sweep(Sweep(mask, 1))
        journal._root = Path(tempfile.mkdtemp()) / "autosave"
        journal.sweep(Sweep(mask, 1))
        journal.close()
        assert list(journal._root.rglob("journal"))

    assert as_somebody_else(child) == 0


@pytest.mark.parametrize("size", [0, 5, 60, 200])
def test_a_disk_that_is_full_from_the_beginning(folder: Path, size: int) -> None:
    """Whatever part of the head or the first record fits, nothing unreadable stays for good."""
    mask = noise((64, 64))
    root = folder / "autosave"

    def child() -> None:
        journal = Journal(root, noise())
        for _ in range(2):
            with pytest.raises(OSError, match="too large"):
                journal.sweep(Sweep(mask, 1))

    assert limit_file_size(child, size) == 0
    journal = Journal(root, noise())
    journal.sweep(Sweep(mask, 1))
    journal.close()
    assert journal.folder is not None
