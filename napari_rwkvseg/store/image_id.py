"""What an image is known by on disk: a salted hash of its pixels, never a name or a path."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import portalocker

from napari_rwkvseg.store.atomic import PRIVATE, open_private, write_atomic

ID_DIGITS = 32
SALT_NAME = ".salt"
SALT_BYTES = 32
WHOLE_BYTES = 1 << 24  # hashing 16 MiB takes some 20 ms; beyond that, or lazily, samples do
SAMPLES = 4  # places along each axis
SAMPLE_SIDE = 64  # pixels of a sample along the two longest axes


def salted_id(salt: bytes, image: Any, chunks: Iterable[bytes]) -> str:
    """Return the id of an image: an HMAC-SHA256 of shape, type and pixels.

    Parameters
    ----------
    salt : bytes
        Secret of one folder: its ids cannot be traced to images elsewhere.
    image : array
        Only shape and dtype are read here.
    chunks : iterable of bytes
        Its pixels, or the part of them that shall count.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hmac.new(salt, digestmod=hashlib.sha256)
    digest.update(f"{tuple(image.shape)} {np.dtype(image.dtype).str}".encode())
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()[:ID_DIGITS]


def sampled_pixels(image: Any) -> Iterator[bytes]:
    """Yield the pixels of a small image, and samples all over a large or a lazy one.

    Parameters
    ----------
    image : array
        numpy, or anything that `np.asarray` computes piece by piece, such as dask.
    """
    if isinstance(image, np.ndarray) and image.nbytes <= WHOLE_BYTES:
        yield np.ascontiguousarray(image).tobytes()
        return
    longest = set(np.argsort(image.shape)[-2:].tolist())  # rows and columns, whatever the layout
    ranges = [_places(n, SAMPLE_SIDE if i in longest else 1) for i, n in enumerate(image.shape)]
    for area in itertools.product(*ranges):
        yield np.ascontiguousarray(image[area]).tobytes()


def install_salt(folder: Path) -> bytes:
    """Return the secret of a folder, made at first use, readable by its owner only.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    path = folder / SALT_NAME
    with open_private(folder / f"{SALT_NAME}.lock") as lock:
        with suppress(portalocker.LockException):  # a file system without locks: go on all the same
            portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        # under the lock, else two programs could each make one, and one would not last
        salt = path.read_bytes() if path.exists() else b""
        if len(salt) != SALT_BYTES:
            salt = secrets.token_bytes(SALT_BYTES)
            write_atomic(path, salt)
            path.chmod(PRIVATE)
        return salt


def _places(size: int, side: int) -> list[slice]:
    """Return up to `SAMPLES` ranges of `side` pixels from one end of an axis to the other."""
    starts = np.linspace(0, max(0, size - side), SAMPLES).astype(int)
    return [slice(start, start + side) for start in dict.fromkeys(starts.tolist())]
