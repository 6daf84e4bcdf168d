"""What a crash left behind: finding the unsaved strokes of an image, keeping or discarding them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_rwkvseg.errors import JournalError
from napari_rwkvseg.store.image_id import install_salt, salted_id, sampled_pixels
from napari_rwkvseg.store.journal_folder import LockedFolder, folders_of, take
from napari_rwkvseg.store.journal_replay import Replay, replay
from napari_rwkvseg.store.refusal import Refusal


@dataclass(frozen=True, eq=False)
class Recovery:
    """Strokes on an image that are kept nowhere but in a journal.

    Attributes
    ----------
    folder : Path
        Where the journal lies.
    time : datetime
        Of the last record, UTC.
    strokes : int
        How many are unsaved, at least 1.
    counted : int
        How many there were in all; further ones are counted on from here.
    mask : ndarray, integer
        The pixels.
    state : bytes
        What was handed in with them.
    """

    folder: Path
    time: datetime
    strokes: int
    counted: int
    mask: NDArray[Any]
    state: bytes


def find_unclean(root: Path, image: Any, shape: tuple[int, ...]) -> Recovery | None:
    """Return the latest unsaved strokes of an image that no running program holds.

    Journals without unsaved strokes, left by a program that died after an export, are removed.

    Parameters
    ----------
    root : Path
        Folder of all journals.
    image : array
        Its pixels name the folder.
    shape : tuple of int
        Of a mask of this image.

    Raises
    ------
    JournalError
        If the only ones there are cannot be read or are of another shape. They stay.
    """
    refused: JournalError | None = None
    try:
        if not _has_journals(root):  # the usual case: not a pixel is read
            return None
        image_id = salted_id(install_salt(root), image, sampled_pixels(image))
        for path in folders_of(root, image_id):
            try:
                recovery = _read(path, shape)
            except Refusal as refusal:
                refused = JournalError(
                    f"The autosaved corrections cannot be restored: the journal {refusal.reason}. "
                    f"{refusal.remedy}."
                )
                continue
            if recovery is not None:
                return recovery
    except OSError as error:
        raise JournalError(
            f"The autosaved corrections cannot be read: {error.strerror}. "
            "Check the permissions of the data folder."
        ) from error
    if refused is not None:
        raise refused
    return None


def discard(recovery: Recovery) -> None:
    """Remove the journal of a recovery; one that a program has taken up meanwhile stays.

    Raises
    ------
    JournalError
        If the disk refuses.
    """
    if not recovery.folder.is_dir():
        return
    try:
        if (folder := take(recovery.folder)) is not None:
            folder.delete()
    except OSError as error:
        raise JournalError(
            f"The autosaved corrections cannot be removed: {error.strerror}. "
            "Check the permissions of the data folder."
        ) from error


def _read(path: Path, shape: tuple[int, ...]) -> Recovery | None:
    folder = take(path)
    if folder is None:  # somebody is working on it
        return None
    try:
        found = replay(folder.journal, shape) if _has_content(folder) else None
        if found is None or not found.unsaved:
            with suppress(OSError):
                folder.delete()
            return None
        return _recovery(path, found)
    finally:
        folder.release()


def _has_journals(root: Path) -> bool:
    return root.is_dir() and any(path.is_dir() for path in root.iterdir())


def _has_content(folder: LockedFolder) -> bool:
    """Whether the program lived long enough to write more than nothing."""
    return folder.journal.is_file() and folder.journal.stat().st_size > 0


def _recovery(path: Path, found: Replay) -> Recovery:
    time = datetime.fromtimestamp(found.last.time, UTC)
    return Recovery(path, time, found.strokes, found.last.strokes, found.mask, found.state)
