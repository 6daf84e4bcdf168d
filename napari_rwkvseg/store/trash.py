"""Deleted models: moved to a folder of their own, from which they can be taken back."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_rwkvseg.store.atomic import sync_folder, write_atomic
from napari_rwkvseg.store.refusal import Refusal, strict_json

TRASH = ".trash"
NOTE = "deleted.json"


@dataclass(frozen=True)
class TrashedModel:
    """One deletion.

    Attributes
    ----------
    name : str
        What the model was called.
    folder : Path
        Where its versions lie now.
    active : str
        SHA-256 of the version that was active; empty if the library had no pointer to one.
    """

    name: str
    folder: Path
    active: str


def throw_away(root: Path, name: str, paths: Sequence[Path], active: str) -> TrashedModel:
    """Move files of a library to its trash; the library's lock must be held.

    Raises
    ------
    OSError
        If the disk refuses; files already moved can be taken back.
    """
    # names that sort by time, so that the latest deletion is the last
    folder = root / TRASH / f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    write_atomic(folder / NOTE, json.dumps({"name": name, "active": active}).encode())
    for path in paths:
        path.replace(folder / path.name)
    sync_folder(folder)
    sync_folder(root)
    return TrashedModel(name, folder, active)


def take_out(root: Path, trashed: TrashedModel) -> None:
    """Move the files of a deletion back; the library's lock must be held.

    Raises
    ------
    Refusal
        If it was taken back already.
    OSError
        If the disk refuses.
    """
    if not trashed.folder.is_dir():
        raise Refusal("is no longer in the trash", "Look at the list of models")
    for path in trashed.folder.glob("*.safetensors"):
        path.replace(root / path.name)
    sync_folder(root)
    (trashed.folder / NOTE).unlink(missing_ok=True)
    trashed.folder.rmdir()


def list_trash(root: Path) -> tuple[TrashedModel, ...]:
    """Return all deletions, the latest last; folders without a readable note are left out."""
    found = (_read_note(folder) for folder in sorted((root / TRASH).glob("*")))
    return tuple(trashed for trashed in found if trashed is not None)


def _read_note(folder: Path) -> TrashedModel | None:
    try:
        note = strict_json((folder / NOTE).read_bytes())
        return TrashedModel(str(note["name"]), folder, str(note["active"]))
    except (OSError, Refusal, KeyError, TypeError):
        return None
