"""One folder per journal, locked while a program writes there or reads it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from io import FileIO
from pathlib import Path

from napari_rwkvseg.store.atomic import open_private, sync_folder, try_lock

JOURNAL_NAME = "journal"
NEXT_NAME = "journal.next"
LOCK_NAME = ".lock"
PRIVATE_FOLDER = 0o700
FURTHER_BYTES = 4  # random part of the names of further journals of an image


class LockedFolder:
    """A folder that no other program touches until `release`.

    Parameters
    ----------
    path : Path
        The folder.
    lock : FileIO
        Its lock file, locked.
    """

    def __init__(self, path: Path, lock: FileIO) -> None:
        self.path = path
        self._lock = lock

    @property
    def journal(self) -> Path:
        """The journal in it."""
        return self.path / JOURNAL_NAME

    @property
    def next(self) -> Path:
        """The journal that shall replace it."""
        return self.path / NEXT_NAME

    def release(self) -> None:
        """Let others have the folder."""
        self._lock.close()

    def delete(self) -> None:
        """Remove the folder with all that is ours, and let go of it.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        self.next.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)
        self.release()  # Windows removes no open file
        (self.path / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):  # a stranger's file in it: what was ours is gone
            self.path.rmdir()


def make_root(root: Path) -> None:
    """Make the folder of all journals, for its owner's eyes only.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def claim(root: Path, image_id: str) -> LockedFolder:
    """Make and lock a new folder for an image: ``<id>``, or ``<id>.<random>`` if that exists.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    path = root / image_id
    while True:
        with suppress(FileExistsError):
            path.mkdir(mode=PRIVATE_FOLDER)
            sync_folder(root)
            if (taken := take(path)) is not None:
                return taken
        path = root / f"{image_id}.{secrets.token_hex(FURTHER_BYTES)}"


def take(path: Path) -> LockedFolder | None:
    """Lock a folder that exists; None while another program, or this one, holds it.

    Raises
    ------
    OSError
        If the disk refuses, or the folder is gone.
    """
    lock = open_private(path / LOCK_NAME)
    if try_lock(lock):
        return LockedFolder(path, lock)
    lock.close()
    return None


def is_held(path: Path) -> bool:
    """Whether some program holds the folder now."""
    try:
        taken = take(path)
    except OSError:
        return False
    if taken is not None:
        taken.release()
    return taken is None


def folders_of(root: Path, image_id: str) -> list[Path]:
    """Return the folders of an image, the one written last first."""
    found = [path for path in (root / image_id, *root.glob(f"{image_id}.*")) if path.is_dir()]
    return sorted(found, key=_written, reverse=True)


def _written(path: Path) -> int:
    with suppress(OSError):
        return (path / JOURNAL_NAME).stat().st_mtime_ns
    return 0
