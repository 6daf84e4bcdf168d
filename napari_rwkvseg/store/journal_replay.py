"""Reading a journal back: what the mask looked like, and whether it is kept elsewhere."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.store.journal_records import (
    NEVER,
    SAVED,
    Kind,
    Mark,
    MaskForm,
    Record,
    Stamp,
    read_head,
    read_records,
    split_tile,
)
from napari_rwkvseg.store.refusal import Refusal


@dataclass(eq=False)
class Replay:
    """What a journal says, up to its first bad record.

    Attributes
    ----------
    form : MaskForm
        Of the mask.
    mask : ndarray, integer
        The pixels; zero where no tile was written.
    size : int
        Bytes up to the end of the last good record.
    table : dict of int to int
        CRC-32 of the tiles that were written.
    state : bytes
        What was handed in with the mask.
    saved : Stamp
        When the strokes were last kept elsewhere.
    unsaved : bool
        Whether there were strokes or other changes since then.
    last : Stamp
        Of the last record.
    """

    form: MaskForm
    mask: NDArray[Any]
    size: int
    table: dict[int, int] = field(default_factory=dict)
    state: bytes = b""
    saved: Stamp = NEVER
    unsaved: bool = False
    last: Stamp = NEVER

    @property
    def strokes(self) -> int:
        """Strokes that are kept nowhere else; at least 1 if something changed."""
        return max(1, self.last.strokes - self.saved.strokes) if self.unsaved else 0


def replay(path: Path, shape: tuple[int, ...] | None = None) -> Replay:
    """Read a journal; it is not changed.

    Parameters
    ----------
    path : Path
        The file; the folder should be locked.
    shape : tuple of int, optional
        What the mask must have.

    Raises
    ------
    Refusal
        If it is no journal, of a newer version, damaged at its beginning, or of another shape.
    OSError
        If the disk fails.
    """
    with path.open("rb") as file:
        form = read_head(file)
        if shape is not None and form.shape != shape:
            raise Refusal(
                f"is of a mask of shape {_text(form.shape)}, this image needs {_text(shape)}",
                "It was left where it is",
            )
        found = Replay(form, np.zeros(form.shape, form.dtype), file.tell())
        for record in read_records(file):
            try:
                _apply(found, record)
            except ValueError:  # a whole record that makes no sense: trust nothing behind it
                break
            found.size = file.tell()
    return found


def _apply(found: Replay, record: Record) -> None:
    found.last = record.stamp
    if record.stamp.strokes > found.saved.strokes:
        found.unsaved = True
    match record.kind:
        case Kind.TILE:
            number, content = split_tile(found.form, record.body)
            found.mask[found.form.area(number)] = content
            found.table[number] = zlib.crc32(content.data)
            found.unsaved = True
        case Kind.STATE:
            found.state = record.body
        case Kind.MARK:
            if Mark(record.body.decode("ascii")) in SAVED:
                found.saved, found.unsaved = record.stamp, False


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
