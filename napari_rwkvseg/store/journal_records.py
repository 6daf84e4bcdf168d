"""The file format of the stroke journal: a head, then records that each stand for themselves.

Head: magic, version ``<H``, and a frame with shape and type of the mask as JSON. A frame is
``<length u32><crc32 u32><payload>``. Payload of a record: kind ``u8``, strokes so far ``u64``, UTC
time ``f64`` in seconds, body compressed by zlib. Bodies: a tile's number ``u64`` and its pixels,
row by row; a state that is opaque here; the name of a mark.

Records are absolute: whoever reads applies them in order up to the first that is cut or damaged.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from io import BufferedIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.store.refusal import Refusal, strict_json

MAGIC = b"RWKVJRNL"
VERSION = 1
TILE_SIDE = 512  # pixels
LEVEL = 1  # of zlib: the strongest that keeps up with a hand
MOST_BYTES = 1 << 26  # of a body, compressed or not: far above any tile or state
MOST_AXES = 8

_VERSION = struct.Struct("<H")
_FRAME = struct.Struct("<II")
_STAMP = struct.Struct("<BQd")
_NUMBER = struct.Struct("<Q")


class Kind(IntEnum):
    """What the body of a record is."""

    TILE = 1
    STATE = 2
    MARK = 3


class Mark(StrEnum):
    """What happened between strokes."""

    PREDICT = "predict"
    TRAIN = "train"
    ACCEPT = "accept"
    EXPORT = "export"
    CLOSE = "close"


SAVED = frozenset({Mark.EXPORT})
"""Marks after which the mask is kept elsewhere. Accepting is none: what was learnt from is on disk,
but the mask itself, which people want to have, is not."""


@dataclass(frozen=True)
class Stamp:
    """When a record was made.

    Attributes
    ----------
    strokes : int
        Strokes up to then.
    time : float
        UTC, seconds since 1970.
    """

    strokes: int
    time: float


NEVER = Stamp(0, 0.0)


@dataclass(frozen=True)
class Record:
    """One record that was read.

    Attributes
    ----------
    kind : Kind
        What the body is.
    stamp : Stamp
        When it was made.
    body : bytes
        Decompressed.
    """

    kind: Kind
    stamp: Stamp
    body: bytes


@dataclass(frozen=True)
class MaskForm:
    """Shape and type of a mask, and how it is cut into tiles.

    Tiles are 512×512 pixels along the last two axes, one plane thick, numbered plane by plane and
    row by row.

    Attributes
    ----------
    shape : tuple of int
        Of the mask.
    dtype : np.dtype
        Integer or bool, with its byte order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, mask: Any) -> MaskForm:
        """Return the form of an array."""
        return cls(tuple(int(side) for side in mask.shape), np.dtype(mask.dtype))

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of tiles along each axis."""
        sides = [math.ceil(side / TILE_SIDE) for side in self.shape[-2:]]
        return (*self.shape[:-2], *sides)

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return math.prod(self.grid)

    def area(self, number: int) -> tuple[slice, ...]:
        """Return where a tile lies, one slice per axis."""
        index = np.unravel_index(number, self.grid)
        lead = [slice(int(i), int(i) + 1) for i in index[:-2]]
        ends = zip(index[-2:], self.shape[-2:], strict=True)
        plane = [slice(int(i) * TILE_SIDE, min((int(i) + 1) * TILE_SIDE, n)) for i, n in ends]
        return (*lead, *plane)

    def numbers_in(self, plane: tuple[int, ...]) -> range:
        """Return the tiles of the plane with these leading indices."""
        per_plane = math.prod(self.grid[-2:])
        first = int(np.ravel_multi_index(plane, self.grid[:-2])) * per_plane if plane else 0
        return range(first, first + per_plane)


def head(form: MaskForm) -> bytes:
    """Return the first bytes of a journal for masks of that form."""
    text = json.dumps({"shape": form.shape, "dtype": form.dtype.str})
    return MAGIC + _VERSION.pack(VERSION) + _framed(text.encode())


def record(kind: Kind, stamp: Stamp, body: bytes) -> bytes:
    """Return a record as it is written."""
    payload = _STAMP.pack(kind, stamp.strokes, stamp.time) + zlib.compress(body, LEVEL)
    return _framed(payload)


def tile_body(number: int, content: NDArray[Any]) -> bytes:
    """Return the body of a TILE; `content` as `MaskForm.area` cuts it."""
    return _NUMBER.pack(number) + content.tobytes()


def split_tile(form: MaskForm, body: bytes) -> tuple[int, NDArray[Any]]:
    """Undo `tile_body`.

    Raises
    ------
    ValueError
        If it is not a tile of such a mask.
    """
    (number,) = _NUMBER.unpack_from(body)
    shape = [part.stop - part.start for part in form.area(number)]
    content: NDArray[Any] = np.frombuffer(body, form.dtype, offset=_NUMBER.size).reshape(shape)
    return number, content


def read_head(file: BufferedIOBase) -> MaskForm:
    """Read the first bytes of a journal.

    Raises
    ------
    Refusal
        If it is no journal, of a newer version, or damaged.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise Refusal("is no journal", "Leave it, or delete its folder")
    version = int.from_bytes(file.read(_VERSION.size), "little")
    if version != VERSION:
        raise Refusal(
            f"has format {version}, this version reads {VERSION}",
            "Update napari-rwkvseg to restore it",
        )
    text = _read_frame(file)
    if text is None:
        raise Refusal("is damaged at its beginning", "Nothing of it can be restored")
    return _form(strict_json(text))


def read_records(file: BufferedIOBase) -> Iterator[Record]:
    """Yield the records from here on; after each, `file` stands right behind it.

    Ends at the first record that is cut or damaged: what follows a torn write is not to be
    trusted.
    """
    while (payload := _read_frame(file)) is not None:
        found = _record(payload)
        if found is None:
            return
        yield found


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _read_frame(file: BufferedIOBase) -> bytes | None:
    start = file.read(_FRAME.size)
    if len(start) < _FRAME.size:
        return None
    length, checksum = _FRAME.unpack(start)
    if length > MOST_BYTES:
        return None
    payload = file.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _record(payload: bytes) -> Record | None:
    try:
        kind, strokes, time = _STAMP.unpack_from(payload)
        stream = zlib.decompressobj()
        body = stream.decompress(payload[_STAMP.size :], MOST_BYTES)
        return Record(Kind(kind), Stamp(strokes, time), body) if stream.eof else None
    except (struct.error, zlib.error, ValueError):
        return None


def _form(values: Any) -> MaskForm:
    try:
        form = MaskForm(tuple(map(int, values["shape"])), np.dtype(values["dtype"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal("is damaged: it does not describe a mask") from error
    if form.dtype.kind not in "uib" or not 2 <= len(form.shape) <= MOST_AXES or min(form.shape) < 1:
        raise Refusal("is damaged: it does not describe a mask")
    return form
