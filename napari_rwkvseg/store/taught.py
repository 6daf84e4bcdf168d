"""What a mask taught, and what stood there before it: so that its undone strokes can go again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import Levels

if TYPE_CHECKING:  # the window needs this file before it needs any on the disk
    from napari_rwkvseg.store.evidence_file import StoredEvidence


@dataclass(frozen=True, eq=False)
class Before:
    """What was known of a plane; its pixels are still in the file.

    Attributes
    ----------
    truth, levels : ndarray, uint8, shape (H, W)
        As in `Evidence`.
    class_names : tuple of str
        Classes of the truth, in label order.
    """

    truth: NDArray[np.uint8]
    levels: Levels
    class_names: tuple[str, ...]

    def on(self, stored: StoredEvidence) -> StoredEvidence:
        """Return it with the pixels of a file."""
        evidence = replace(stored.evidence, truth=self.truth, levels=self.levels)
        return replace(stored, evidence=evidence, class_names=self.class_names, sha256="")


class Taught:
    """The planes that one mask taught in this session; nothing of it is on the disk.

    Whatever another mask or program wrote over them since stays as it is.
    """

    def __init__(self) -> None:
        self._planes: dict[Path, tuple[str, Before | None]] = {}  # checksum since, and before

    def __bool__(self) -> bool:
        return bool(self._planes)

    def __contains__(self, path: Path) -> bool:
        return path in self._planes

    def under(self, path: Path, stored: StoredEvidence | None) -> StoredEvidence | None:
        """Return what a file holds without what this mask put on top; None for nothing."""
        sha256, before = self._planes.get(path, ("", None))
        if stored is None or stored.sha256 != sha256:
            return stored
        return None if before is None else before.on(stored)

    def note(self, path: Path, under: StoredEvidence | None, sha256: str) -> None:
        """Take note that this mask wrote a file, on top of what."""
        before = None
        if under is not None:
            known = under.evidence
            before = Before(known.truth, known.levels, under.class_names)
        self._planes[path] = sha256, before

    def forget(self, path: Path) -> None:
        """Take note that nothing of this mask is in a file any more."""
        self._planes.pop(path, None)
