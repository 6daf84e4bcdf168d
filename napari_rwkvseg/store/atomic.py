"""Files that are either the old or the new ones, whatever kills the program while it writes."""

from __future__ import annotations

import errno
import os
import secrets
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import portalocker

SUFFIX = ".rwkvseg-tmp"
WINDOWS = os.name == "nt"
BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
PRIVATE = 0o600
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)  # seconds between tries
NO_WAIT = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file's content at once, and have it on the disk on return.

    The data go to a temporary file beside it, then: fsync, rename, fsync of the folder. Until the
    rename `path` is untouched; the temporary file is removed on failure and locked meanwhile, so
    that `sweep_temporaries` knows a dead writer's from a living one's.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    data : bytes
        The whole content.

    Raises
    ------
    OSError
        If any step fails. If the last one failed, `path` holds the new content.
    """
    temporary, file = _open_temporary(path)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if not WINDOWS:  # still locked: no sweep can take it
                temporary.replace(path)
        if WINDOWS:  # cannot rename an open file
            _replace_patiently(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _replace_patiently(temporary: Path, path: Path) -> None:
    """Rename where scanners and readers hold files open for a moment, as on Windows."""
    for pause in PAUSES:
        with suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(pause)
    temporary.replace(path)


def open_private(path: Path) -> FileIO:
    """Open a file for reading and writing, made if need be, for its owner's eyes only.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    # unbuffered: what a failing disk did not take must not be written by a later close
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | BINARY, PRIVATE), "r+b")


def sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system can.

    Raises
    ------
    OSError
        If the disk fails.
    """
    if WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot
            raise
    finally:
        os.close(descriptor)


def sweep_temporaries(folder: Path) -> int:
    """Remove temporary files that a killed program left; return how many.

    Files of a program that is still writing are locked and stay. Whatever cannot be removed stays
    silently: it harms nobody.
    """
    return sum(_remove_if_left(path) for path in folder.glob(f".*{SUFFIX}"))


def _open_temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Create and lock a new file beside `path`."""
    while True:
        # no part of its name: that may be as long as the disk allows
        temporary = path.with_name(f".{secrets.token_hex(6)}{SUFFIX}")
        file = temporary.open("xb")
        # a sweep may come between creation and lock: then try another name
        if try_lock(file) and temporary.exists():
            return temporary, file
        file.close()


def try_lock(file: BinaryIO | FileIO) -> bool:
    """Lock a file without waiting; False if another program holds it.

    Where the file system knows no locks, the answer is True: better unguarded than unusable.
    """
    try:
        portalocker.lock(file, NO_WAIT)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException:
        return True  # a file system without locks: write all the same
    return True


def _remove_if_left(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            portalocker.lock(file, NO_WAIT)
            if not WINDOWS:
                path.unlink()
        if WINDOWS:  # cannot remove an open file
            path.unlink()
    except (OSError, portalocker.LockException):
        return False
    return True
