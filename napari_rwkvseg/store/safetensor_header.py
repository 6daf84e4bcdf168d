"""The header of a safetensors file, checked from the raw bytes before any library sees them.

A file is: 8 bytes, the header's length in bytes, little-endian; the header, JSON; the data. The
header maps each tensor name to its dtype, shape and [begin, end) in the data. The safetensors
library accepts duplicate keys and millions of empty tensors: those are refused here.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from napari_rwkvseg.store.refusal import COPY_AGAIN, OTHER_FILE, Refusal, shown, strict_json

MAX_FILE_BYTES = 2 << 30
MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 2000
MAX_AXES = 8
LENGTH_BYTES = 8
ITEM_BYTES = {"F32": 4, "F16": 2, "I64": 8}  # what a network of ours is made of


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the header describes it.

    Attributes
    ----------
    name : str
        Key in the network's state.
    dtype : {"F32", "F16", "I64"}
        Name used by safetensors.
    shape : tuple of int
        Length of each axis.
    begin, end : int
        Where its bytes lie, counted from the first byte of data.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class SafetensorHeader:
    """A header that passed all checks.

    Attributes
    ----------
    metadata : mapping of str to str
        Free text of the file's writer.
    tensors : tuple of TensorEntry
        In the order of their names.
    data_start : int
        First byte of data in the file.
    file_bytes : int
        Size of the whole file.
    """

    metadata: Mapping[str, str]
    tensors: tuple[TensorEntry, ...]
    data_start: int
    file_bytes: int


def read_header(path: Path) -> SafetensorHeader:
    """Read only the header of a file.

    Raises
    ------
    Refusal
        If the file is too large, not a safetensors file, or its header breaks a rule.
    OSError
        If the file cannot be read.
    """
    with open_regular(path) as (file, size):
        return parse_header(file.read(LENGTH_BYTES + MAX_HEADER_BYTES), size)


def read_whole(path: Path) -> bytes:
    """Read a whole file, at most `MAX_FILE_BYTES`.

    Raises
    ------
    Refusal
        If it is no regular file, too large, or its size changes meanwhile.
    OSError
        If the file cannot be read.
    """
    with open_regular(path) as (file, size):
        raw = file.read(size + 1)
    if len(raw) != size:
        raise Refusal("changed while it was read", "Try again")
    return raw


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; gives the file and its size in bytes.

    Raises
    ------
    Refusal
        If it is a folder, a pipe or a device, or too large.
    OSError
        If it cannot be opened.
    """
    # checked before opening: to open a named pipe would wait for its writer
    if not stat.S_ISREG(path.stat().st_mode):
        raise Refusal("is not a file", OTHER_FILE)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise Refusal(f"has {size} bytes, more than the {MAX_FILE_BYTES} allowed", OTHER_FILE)
        yield file, size


def parse_header(raw: bytes, file_bytes: int) -> SafetensorHeader:
    """Check and decode a header.

    Parameters
    ----------
    raw : bytes
        Start of the file, at least as far as the header reaches.
    file_bytes : int
        Size of the whole file.

    Raises
    ------
    Refusal
        If a length, a count, a name, a type or a place breaks a rule.
    """
    entries = strict_json(_header_text(raw, file_bytes))
    if not isinstance(entries, dict):
        raise Refusal("is damaged: its header is not a JSON object")
    metadata = _metadata(entries.pop("__metadata__", {}))
    if len(entries) > MAX_TENSORS:
        raise Refusal(f"has {len(entries)} tensors, more than {MAX_TENSORS}", OTHER_FILE)
    tensors = tuple(_tensor(name, entries[name]) for name in sorted(entries))
    start = LENGTH_BYTES + int.from_bytes(raw[:LENGTH_BYTES], "little")
    _check_places(tensors, file_bytes - start)
    return SafetensorHeader(metadata, tensors, start, file_bytes)


def with_metadata(raw: bytes, header: SafetensorHeader, metadata: Mapping[str, str]) -> bytes:
    """Return the file with other metadata; equal content gives equal bytes.

    The safetensors library writes metadata in random order.

    Parameters
    ----------
    raw : bytes
        The whole file.
    header : SafetensorHeader
        Its header.
    metadata : mapping of str to str
        What shall be there instead.
    """
    entries: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    for tensor in header.tensors:
        offsets = [tensor.begin, tensor.end]
        described = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        entries[tensor.name] = described
    # as Unicode: escaped, \u00e9 and \u00E9 would be two spellings of one text
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)  # the data begin at a multiple of 8
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + raw[header.data_start :]


def _header_text(raw: bytes, file_bytes: int) -> bytes:
    if len(raw) < LENGTH_BYTES:
        raise Refusal(f"is cut off: it has {file_bytes} bytes", COPY_AGAIN)
    length = int.from_bytes(raw[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise Refusal("is not a safetensors file, or its header is over 1 MiB", OTHER_FILE)
    text = raw[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(text) != length:
        raise Refusal("is cut off inside its header")
    return text


def _metadata(values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise Refusal("is damaged: its metadata are not text")
    return values


def _tensor(name: str, entry: Any) -> TensorEntry:
    """Return the described tensor, or refuse it, naming it."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refusal(f"is damaged: tensor {shown(name)} is not described")
    dtype, shape, places = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise Refusal(f"holds tensor {shown(name)} of type {shown(dtype)}", OTHER_FILE)
    if not _whole_numbers(shape) or len(shape) > MAX_AXES:
        raise Refusal(f"is damaged: tensor {shown(name)} has the shape {shown(shape)}")
    if not _whole_numbers(places) or len(places) != 2:
        raise Refusal(f"is damaged: tensor {shown(name)} lies at {shown(places)}")
    begin, end = places
    if end - begin != prod(shape) * ITEM_BYTES[dtype]:
        raise Refusal(f"is damaged: tensor {shown(name)} and its bytes differ in size")
    return TensorEntry(name, dtype, tuple(shape), begin, end)


def _whole_numbers(values: Any) -> bool:
    """Whether these are a list of integers from 0; a JSON ``true`` is none."""
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_places(tensors: tuple[TensorEntry, ...], data_bytes: int) -> None:
    """Refuse holes, overlaps, missing and trailing bytes."""
    spans = sorted((entry.begin, entry.end) for entry in tensors)
    borders = [(0, 0), *spans, (data_bytes, data_bytes)]
    if any(before[1] != after[0] for before, after in pairwise(borders)):
        raise Refusal("is damaged: its tensors do not fill it exactly")
