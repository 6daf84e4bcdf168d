"""One corrected plane as a file: image, classes, levels of evidence, checksum; no name, no path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from napari_rwkvseg.engine.evidence import LEVELS, UNSEEN, Evidence
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.checksum import (
    CHECKSUM_KEY,
    DOCUMENT_KEY,
    checksum,
    document_of,
    verify,
)
from napari_rwkvseg.store.refusal import Refusal, refusals_name, strict_json
from napari_rwkvseg.store.safetensor_header import (
    parse_header,
    read_header,
    read_whole,
    with_metadata,
)

SCHEMA = 1
ENTRIES = {"evidence_schema", "image", "plane", "class_names"}
MOST_CLASSES = 255


class NewerFormat(Refusal):
    """A file that a newer version of the plugin wrote."""


@dataclass(frozen=True, eq=False)
class StoredEvidence:
    """What a file holds.

    Attributes
    ----------
    evidence : Evidence
        The plane.
    class_names : tuple of str
        Classes of its truth, in label order.
    sha256 : str
        Checksum of the content.
    """

    evidence: Evidence
    class_names: tuple[str, ...]
    sha256: str


def write_evidence(path: Path, evidence: Evidence, class_names: Sequence[str]) -> str:
    """Save a plane, all or nothing; return the checksum.

    Raises
    ------
    ModelFileError
        If the disk refuses, or there are too many classes.
    """
    with refusals_name(path.name, "saved"):
        if len(class_names) > MOST_CLASSES:
            raise Refusal(f"has {len(class_names)} classes", f"Use at most {MOST_CLASSES}")
        text = json.dumps(
            {
                "evidence_schema": SCHEMA,
                "image": evidence.image_id,
                "plane": evidence.plane,
                "class_names": list(class_names),
            },
            ensure_ascii=False,
        )
        code = evidence.truth.astype(np.float16) * LEVELS + evidence.levels
        tensors = {
            "image": np.ascontiguousarray(evidence.image, np.float16),
            "code": np.ascontiguousarray(code, np.float16),
        }
        raw = safetensors_numpy.save(tensors)
        header = parse_header(raw, len(raw))
        sha256 = checksum(text, header, raw)
        write_atomic(path, with_metadata(raw, header, {DOCUMENT_KEY: text, CHECKSUM_KEY: sha256}))
    return sha256


def read_evidence(path: Path) -> StoredEvidence:
    """Read a plane after checking its checksum, format and shapes.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, or of a newer format.
    """
    with refusals_name(path.name):
        return _parsed(read_whole(path))


def read_undamaged(path: Path) -> StoredEvidence | None:
    """Read a plane like `read_evidence`; None if what it holds is damaged.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or is of a newer format: that is nobody's damage.
    """
    with refusals_name(path.name):
        raw = read_whole(path)
        try:
            return _parsed(raw)
        except NewerFormat:
            raise
        except Refusal:
            return None


def read_checksum(path: Path) -> str:
    """Return the checksum that a file claims, from its header alone; empty if that is damaged.

    Raises
    ------
    ModelFileError
        If the file cannot be read.
    """
    with refusals_name(path.name):
        try:
            return read_header(path).metadata.get(CHECKSUM_KEY, "")
        except Refusal:
            return ""


def in_classes(stored: StoredEvidence, class_names: Sequence[str]) -> Evidence:
    """Return the evidence in the numbers of another list of classes.

    Where the person could not have meant what the new list names, there is no evidence any more:
    pixels of a class that it does not name, and background if it names one they did not know.

    Parameters
    ----------
    stored : StoredEvidence
        With its own list.
    class_names : sequence of str
        In label order.
    """
    old = stored.evidence
    if tuple(class_names) == stored.class_names:
        return old
    numbers = {name: number for number, name in enumerate(class_names, start=1)}
    background_known = set(class_names) <= set(stored.class_names)
    table = [0, *(numbers.get(name, 0) for name in stored.class_names)]
    certain = [background_known, *(name in numbers for name in stored.class_names)]
    truth = np.array(table, np.uint8)[old.truth]
    levels = np.where(np.array(certain)[old.truth], old.levels, UNSEEN).astype(np.uint8)
    return Evidence(old.image_id, old.plane, old.image, truth, levels)


def _parsed(raw: bytes) -> StoredEvidence:
    header = parse_header(raw, len(raw))
    about = _document(document_of(header))
    sha256 = verify(header, raw)
    image, code = _arrays(raw)
    try:
        evidence = Evidence(
            str(about["image"]),
            int(about["plane"]),
            image,
            (code // LEVELS).astype(np.uint8),
            (code % LEVELS).astype(np.uint8),
        )
    except ValueError as error:
        raise Refusal("is damaged: its arrays do not fit") from error
    return StoredEvidence(evidence, tuple(about["class_names"]), sha256)


def _document(text: str) -> dict[str, Any]:
    values = strict_json(text)
    if not isinstance(values, dict) or set(values) != ENTRIES:
        raise Refusal("holds no corrections of this plugin", "Look for another file")
    schema = values["evidence_schema"]
    if schema != SCHEMA:
        raise NewerFormat(
            f"has format {schema}, this version reads {SCHEMA}",
            "Update napari-rwkvseg to open it",
        )
    return values


def _arrays(raw: bytes) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    try:
        tensors = safetensors_numpy.load(raw)
        image, code = tensors["image"], tensors["code"].astype(np.int64)
    except (SafetensorError, KeyError) as error:
        raise Refusal("is damaged: an array is missing") from error
    if code.size and not 0 <= code.min() <= code.max() < 256 * LEVELS:
        raise Refusal("is damaged: it holds an impossible class")
    return image, code
