"""The checksum of a model file, and the bytes that go with it; standard library only.

SHA-256 over the raw JSON description, then per tensor in the order of names: name, dtype, shape,
bytes. Hashing the tensors alone would leave changes of the description unnoticed. Each part is
preceded by its length, so that no two files share one stream of bytes.
"""

from __future__ import annotations

import hashlib

from napari_rwkvseg.store.refusal import OTHER_FILE, Refusal
from napari_rwkvseg.store.safetensor_header import SafetensorHeader

DOCUMENT_KEY = "rwkvseg"
CHECKSUM_KEY = "rwkvseg_sha256"
METADATA_KEYS = {DOCUMENT_KEY, CHECKSUM_KEY}


def checksum(document: str, header: SafetensorHeader, raw: bytes) -> str:
    """Return the SHA-256 of a model file's content as 64 hexadecimal digits.

    Parameters
    ----------
    document : str
        The raw JSON description, exactly as stored.
    header : SafetensorHeader
        Names, types, shapes and places of the tensors.
    raw : bytes
        The whole file.

    Raises
    ------
    Refusal
        If a text cannot be written as UTF-8.
    """
    digest = hashlib.sha256()
    data = memoryview(raw)[header.data_start :]
    _feed(digest, _utf8(document))
    for entry in header.tensors:
        _feed(digest, _utf8(entry.name))
        _feed(digest, entry.dtype.encode())
        _feed(digest, ",".join(map(str, entry.shape)).encode())
        _feed(digest, data[entry.begin : entry.end])
    return digest.hexdigest()


def document_of(header: SafetensorHeader) -> str:
    """Return the raw JSON description of a model file.

    Raises
    ------
    Refusal
        If this is a safetensors file of another program.
    """
    if DOCUMENT_KEY not in header.metadata:
        raise Refusal("holds no model of this plugin", OTHER_FILE)
    return header.metadata[DOCUMENT_KEY]


def verify(header: SafetensorHeader, raw: bytes) -> str:
    """Return the stored checksum after comparing it with the content.

    Raises
    ------
    Refusal
        If they differ, or the metadata hold anything else.
    """
    if set(header.metadata) != METADATA_KEYS:
        raise Refusal("is damaged: its metadata are not those of a model")
    found = checksum(document_of(header), header, raw)
    if found != header.metadata[CHECKSUM_KEY]:
        raise Refusal("is damaged: the checksum does not match")
    return found


def _feed(digest: hashlib._Hash, part: bytes | memoryview) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:  # a lone surrogate, possible through \ud800 in JSON
        raise Refusal("is damaged: its text is not valid Unicode") from error
