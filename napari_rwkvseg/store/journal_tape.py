"""One journal file that is being written: it knows what every tile last looked like."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_rwkvseg.store.atomic import open_private
from napari_rwkvseg.store.journal_records import Kind, MaskForm, Stamp, head, record, tile_body


class Tape:
    """Appends records; nothing counts as written before `sync` came back.

    A failed write or sync leaves the file as it was at the last good `sync`, and forgets what was
    written since: the next try writes it again, at the same place.

    Parameters
    ----------
    path : Path
        A new file, or one to go on with.
    form : MaskForm
        Of the mask.
    size : int
        Bytes of the file to keep: 0 for a new one.
    table : mapping of int to int
        CRC-32 of the tiles it holds; others are zero.
    """

    def __init__(
        self, path: Path, form: MaskForm, size: int = 0, table: Mapping[int, int] | None = None
    ) -> None:
        self.path = path
        self.form = form
        self.size = size
        self.table = dict(table or {})
        self._fresh: dict[int, int] = {}  # written, not synced
        self._end = size
        self._file = open_private(path)
        self._cut()
        if size == 0:
            self._begin()

    @property
    def written(self) -> bool:
        """Whether something waits for `sync`."""
        return self._end != self.size

    def write(self, kind: Kind, stamp: Stamp, body: bytes) -> None:
        """Append a record.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        self._append(record(kind, stamp, body))

    def write_tiles(self, mask: Any, numbers: Iterable[int], stamp: Stamp) -> int:
        """Append those of some tiles that changed; return how many.

        Parameters
        ----------
        mask : array of this tape's form
            Somebody may be painting in it: what is torn by that, the next sweep writes again.
        numbers : iterable of int
            Which tiles to look at.
        stamp : Stamp
            For their records.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        changed = 0
        for number in numbers:
            # a copy first, so that checksum and record speak of the same pixels
            content = np.array(mask[self.form.area(number)], order="C")
            checksum = zlib.crc32(content.data)
            if checksum != self._known(number, content.nbytes):
                self._append(record(Kind.TILE, stamp, tile_body(number, content)))
                self._fresh[number] = checksum
                changed += 1
        return changed

    def sync(self) -> None:
        """Have all on the disk.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._cut()
            raise
        self.size = self._end
        self.table.update(self._fresh)
        self._fresh.clear()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _begin(self) -> None:
        try:
            self._append(head(self.form))
        except OSError:
            self._file.close()
            raise

    def _known(self, number: int, size: int) -> int:
        return self._fresh.get(number, self.table.get(number, _zeros(size)))

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:  # a disk that fills up takes a part first
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._cut()
            raise
        self._end += len(data)

    def _cut(self) -> None:
        """Go back to the last good end: what follows a torn record would never be read."""
        self._end = self.size
        self._fresh.clear()
        with suppress(OSError):  # the next write begins at the same place anyhow
            self._file.truncate(self.size)
        self._file.seek(self.size)


@cache
def _zeros(size: int) -> int:
    return zlib.crc32(bytes(size))
