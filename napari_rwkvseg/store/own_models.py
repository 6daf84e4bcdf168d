"""The folder of a user's own models: immutable files, and a pointer to the active ones.

Files are called ``<name>-<first 8 digits of SHA-256>.safetensors``; ``current.json`` says which
version of each name is active. Adding writes a file, going back only changes the pointer,
renaming changes file names, deleting moves files to a trash folder: nothing here changes the
content of a model. Several programs may share the folder: writers take turns, readers never wait.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.atomic import sweep_temporaries, sync_folder, write_atomic
from napari_rwkvseg.store.pointer import read_active, write_active
from napari_rwkvseg.store.refusal import refusals_name
from napari_rwkvseg.store.trash import TrashedModel, take_out, throw_away

logger = logging.getLogger(__name__)

EXTENSION = ".safetensors"
LOCK_NAME = ".lock"
LOCK_SECONDS = 10.0
SHORT = 8  # digits of the checksum in file names
VALID_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
OWN_FILE = re.compile(rf"({VALID_NAME.pattern})-([0-9a-f]{{{SHORT}}})")


class OwnModels:
    """Files and pointers in one folder.

    Parameters
    ----------
    root : Path
        Made when first needed. Temporary files that a killed program left there are removed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._closed = False
        try:
            if root.is_dir():
                sweep_temporaries(root)
        except PermissionError:  # bundled models need no folder
            self._closed = True
            logger.warning("The folder of own models cannot be entered: there are none.")

    def files(self) -> dict[str, list[Path]]:
        """Return the files of all versions by name, in order of arrival."""
        if self._closed:
            return {}
        found: dict[str, list[tuple[int, Path]]] = {}
        for path in self.root.glob(f"*{EXTENSION}"):
            match = OWN_FILE.fullmatch(path.stem)
            arrived = _arrival(path)
            if match and arrived is not None:
                found.setdefault(match[1], []).append((arrived, path))
        return {name: [path for _, path in sorted(files)] for name, files in found.items()}

    def active(self, name: str) -> Path | None:
        """Return the file that the pointer of a name leads to, if both exist."""
        pointed = "" if self._closed else read_active(self.root).get(name, "")
        fitting = [p for p in self.files().get(name, []) if pointed.startswith(_digits(p))]
        return fitting[0] if fitting else None

    def add(self, name: str, sha256: str, data: bytes, activate: bool) -> Path:
        """Write a version and return its file; the same content is not written twice.

        Raises
        ------
        ModelFileError
            If the name is not valid or the disk refuses.
        """
        path = self.root / f"{check_name(name)}-{sha256[:SHORT]}{EXTENSION}"
        with self._writing(path.name):
            if not _holds(path, data):
                write_atomic(path, data)
            if activate:
                write_active(self.root, {**read_active(self.root), name: sha256})
        return path

    def point(self, name: str, sha256: str) -> None:
        """Let a name stand for another version; for none of these if `sha256` is empty.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        with self._writing(name):
            active = read_active(self.root)
            active.pop(name, None)
            write_active(self.root, {**active, name: sha256} if sha256 else active)

    def rename(self, name: str, new_name: str) -> None:
        """Give all versions of a name another one that is free.

        Raises
        ------
        ModelFileError
            If the new name is taken or not valid, or the disk refuses.
        """
        check_name(new_name)
        with self._writing(name):
            files = self.files()
            if new_name in files:
                raise name_taken(new_name)
            active = read_active(self.root)
            pointed = active.pop(name, None)
            if pointed is not None:  # both names until the files have moved: a crash loses nothing
                write_active(self.root, {**active, name: pointed, new_name: pointed})
            for path in files.get(name, []):
                path.replace(path.with_name(f"{new_name}-{_digits(path)}{EXTENSION}"))
            sync_folder(self.root)
            if pointed is not None:
                write_active(self.root, {**active, new_name: pointed})

    def delete(self, name: str) -> TrashedModel:
        """Move all versions of a name to the trash.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        with self._writing(name):
            active = read_active(self.root)
            pointed = active.pop(name, "")
            trashed = throw_away(self.root, name, self.files().get(name, []), pointed)
            write_active(self.root, active)
        return trashed

    def restore(self, trashed: TrashedModel) -> None:
        """Undo a `delete`; a version that became active meanwhile stays active.

        Raises
        ------
        ModelFileError
            If it was restored already, or the disk refuses.
        """
        with self._writing(trashed.name):
            take_out(self.root, trashed)
            if trashed.active:
                write_active(self.root, {trashed.name: trashed.active, **read_active(self.root)})

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        """Hold the folder's lock; the system frees it if this program dies."""
        with refusals_name(what, "changed"):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = portalocker.Lock(self.root / LOCK_NAME, "a", timeout=LOCK_SECONDS)
            try:
                lock.acquire()
            except portalocker.LockException as error:
                raise ModelFileError(
                    f"{what} cannot be changed: another program is using the model folder. "
                    "Try again in a moment."
                ) from error
            try:
                yield
            finally:
                lock.release()


def check_name(name: str) -> str:
    """Return the name of a model if it can be part of a file name everywhere.

    Raises
    ------
    ModelFileError
        If it cannot.
    """
    if not VALID_NAME.fullmatch(name):
        raise ModelFileError(
            f"{name!r} is no valid model name. "
            "Use 1 to 64 lower-case letters, digits, hyphens and underscores."
        )
    return name


def name_taken(name: str) -> ModelFileError:
    """Return the error for a name that another model has."""
    return ModelFileError(f"A model named {name!r} exists. Choose another name.")


def _arrival(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # renamed or deleted by another program meanwhile
        return None


def _digits(path: Path) -> str:
    """Return the digits of the checksum in a file's name."""
    return path.stem[-SHORT:]


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
