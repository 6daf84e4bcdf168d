"""Builders for tests of the journal: a mask of two by three tiles, and a clock set by hand."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.store.journal import Journal, Sweep
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import Recovery, find_unclean

SHAPE = (600, 1100)  # tiles of 512 and 88 rows, of 512, 512 and 76 columns


def noise(shape: tuple[int, ...] = (40, 30), seed: int = 0) -> NDArray[np.uint8]:
    """An image."""
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


class Clock:
    """UTC that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Painter:
    """A mask, its journal, and the hand that paints."""

    living: ClassVar[list[Painter]] = []

    def __init__(self, root: Path, mask: NDArray[Any] | None = None, **keywords: Any) -> None:
        self.root, self.clock = root, Clock()
        self.image = noise()
        self.mask = np.zeros(SHAPE, np.uint8) if mask is None else mask
        self.journal = Journal(root, self.image, clock=self.clock, **keywords)
        self.strokes = 0
        self.state = b""
        self.living.append(self)

    def paint(self, *places: tuple[int, ...], label: int = 1) -> None:
        """One stroke over some pixels."""
        for place in places:
            self.mask[place] = label
        self.strokes += 1

    def sweep(self, *marks: Mark, **keywords: Any) -> bool:
        stamped = tuple((mark, self.strokes) for mark in marks)
        return self.journal.sweep(Sweep(self.mask, self.strokes, self.state, stamped, **keywords))

    def found(self, shape: tuple[int, ...] | None = None) -> Recovery | None:
        return find_unclean(self.root, self.image, self.mask.shape if shape is None else shape)

    def die(self) -> None:
        """Let go of all files as the system does when a program dies: nothing more is written."""
        for file in (self.journal._tape, self.journal._next):
            if file is not None:
                file.close()
        if self.journal._folder is not None:
            self.journal._folder.release()

    @property
    def file(self) -> Path:
        assert self.journal.folder is not None
        return self.journal.folder / "journal"


def limit_file_size(child: Callable[[], None], size: int) -> int:
    """Run `child` in a process whose files may not grow beyond `size` bytes; return its status."""
    import resource
    import signal

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            child()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def inflated(data: bytes) -> bytes:
    """Return the file's bytes, followed by all that zlib can make of them at any offset."""
    found = [data]
    start = 0
    while (start := data.find(b"\x78\x01", start)) >= 0:
        with suppress(zlib.error):
            found.append(zlib.decompressobj().decompress(data[start:]))
        start += 1
    return b"".join(found)
