"""Accepted corrections of a project on disk, and what of them is held out.

One folder per project: a file per corrected plane, and the ledger. Images are known by a salted
hash of their pixels: no name, no path, no tag of a patient is kept. The pixels themselves are, so
the folder must be treated like the images.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import portalocker
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.comparison import HeldOut
from napari_rwkvseg.engine.evidence import Evidence, EvidenceCount, count_levels
from napari_rwkvseg.engine.holdout import (
    block_areas,
    content_key,
    deal_blocks,
    first_deal,
    training_pieces,
)
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.atomic import sweep_temporaries
from napari_rwkvseg.store.evidence_file import (
    StoredEvidence,
    in_classes,
    read_checksum,
    read_undamaged,
    write_evidence,
)
from napari_rwkvseg.store.ledger import Entry, Ledger, fingerprint, read_ledger, write_ledger
from napari_rwkvseg.store.refusal import refusals_name
from napari_rwkvseg.store.taught import Taught

LOCK_NAME = ".lock"
LOCK_SECONDS = 10.0
EXTENSION = ".safetensors"
DAMAGED = ".damaged"

logger = logging.getLogger(__name__)


class Corrections:
    """The corrections of one project.

    A file that turns out to be damaged is moved aside and left out, with a logged warning.

    Parameters
    ----------
    root : Path
        Its folder; made when first needed, readable by its owner only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with suppress(PermissionError):  # whoever reads or writes there is told
            if root.is_dir():
                sweep_temporaries(root)

    def image_id(self, image: NDArray[Any]) -> str:
        """Return what an image is known by here; equal pixels give equal ids.

        Raises
        ------
        ModelFileError
            If the ledger cannot be read or written.
        """
        with self._writing() as ledger:
            if not ledger.entries:  # the salt must last
                write_ledger(self.root, ledger)
            return ledger.image_id(image)

    def accept(
        self, evidence: Evidence, class_names: Sequence[str], taught: Taught | None = None
    ) -> None:
        """Keep the corrections of a plane; of earlier ones stays what they say nothing about.

        What says the same as before stays as it is, so that it counts as learnt if it was.

        Parameters
        ----------
        evidence : Evidence
            With an id from `image_id`.
        class_names : sequence of str
            Classes of its truth, in label order.
        taught : Taught, optional
            What the same mask taught before: that is replaced as a whole.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        path = self._file(evidence.image_id, evidence.plane)
        with self._writing():
            stored = self._read(path) if path.exists() else None
            under = stored if taught is None else taught.under(path, stored)
            whole = evidence if under is None else _on_top(under, evidence, class_names)
            if stored is not None and _says(stored, whole, class_names):
                sha256 = stored.sha256
            else:
                sha256 = write_evidence(path, whole, class_names)
            if taught is not None:
                taught.note(path, under, sha256)

    def withdraw(self, image_id: str, taught: Taught, keep: Collection[int] = ()) -> None:
        """Take back what a mask taught of an image: what stood before is back, the deal stays.

        Parameters
        ----------
        image_id : str
            From `image_id`.
        taught : Taught
            Of that mask.
        keep : collection of int
            Numbers of the planes whose corrections stay.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        stay = {self._file(image_id, plane) for plane in keep}
        with self._writing():
            for path in self._files(image_id):
                if path in taught and path not in stay:
                    self._take_back(path, taught)

    def deal(self, image_ids: Sequence[str]) -> None:
        """Decide once what of some images is held out; what was decided before stays.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        with self._writing() as ledger:
            known = {image_id: self._content_key(image_id) for image_id in image_ids}
            keys = {image_id: key for image_id, key in known.items() if key is not None}
            for image_id in sorted(keys, key=keys.__getitem__):
                planes = [stored.evidence for stored in self._stored(image_id)]
                entry = ledger.entries.get(image_id)
                others = [e.deal for name, e in ledger.entries.items() if name != image_id]
                entry = entry or Entry(first_deal(planes, others))
                if entry.deal.use == "blocks":
                    deal = deal_blocks(entry.deal, keys[image_id], planes, others)
                    entry = replace(entry, deal=deal)
                ledger = ledger.with_entry(image_id, entry)
            write_ledger(self.root, ledger)

    def images(self) -> tuple[str, ...]:
        """Return all images with accepted corrections, in the order of their ids."""
        found = (path.stem.rpartition("-")[0] for path in self.root.glob(f"*-*{EXTENSION}"))
        return tuple(sorted(dict.fromkeys(found)))

    def checksums(self, image_id: str) -> frozenset[str]:
        """Return the checksums of the planes of an image, as the ledger notes them."""
        return frozenset(read_checksum(path) for path in self._files(image_id))

    def left_out(self) -> frozenset[str]:
        """Return the names, like `<image id>-<plane>.…`, of damaged files that were moved aside."""
        return frozenset(path.name for path in self.root.glob(f"*-*{DAMAGED}"))

    def dealt(self) -> tuple[str, ...]:
        """Return the images of which it was decided what is held out, in that order."""
        return tuple(read_ledger(self.root).entries)

    def learnt(self, card: ModelCard) -> tuple[str, ...]:
        """Return the images of which a model, or one before it, has learnt all that is accepted."""
        ledger = read_ledger(self.root)
        known = ledger.learnt(card)
        if not known:  # no file needs to be opened for that
            return ()
        there = {image_id: self.checksums(image_id) for image_id in ledger.entries}
        return tuple(image_id for image_id, planes in there.items() if planes and planes <= known)

    def only_judges(self, image_id: str) -> bool:
        """Return whether a dealt image is held out as a whole."""
        return read_ledger(self.root).entries[image_id].deal.use == "judge"

    def by_heart(self) -> frozenset[str]:
        """Return the images that were dealt by blocks where most have objects that blocks cut.

        One part of a lesion taught, another is held out: who learns it by heart finds that too.
        """
        entries = read_ledger(self.root).entries
        if 2 * sum(entry.deal.wide for entry in entries.values()) <= len(entries):
            return frozenset()
        return frozenset(name for name, entry in entries.items() if entry.deal.use == "blocks")

    def note_made(
        self, card: ModelCard, parent: ModelCard | None = None, image_ids: Collection[str] = ()
    ) -> None:
        """Note that a model was made, and what it has learnt.

        Parameters
        ----------
        card : ModelCard
            Of the model.
        parent : ModelCard, optional
            Of the model that it was made from, whose knowledge it has.
        image_ids : collection of str
            What it has learnt besides.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        with self._writing() as ledger:
            learnt = frozenset() if parent is None else ledger.learnt(parent)
            new = (self.checksums(image_id) for image_id in image_ids)
            write_ledger(self.root, ledger.with_model(card, learnt.union(*new)))

    def before_and_since(self, card: ModelCard) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the images dealt before a model was made, and those since.

        It may have learnt from the former. So it may from all, if nothing is noted of it.
        """
        ledger = read_ledger(self.root)
        images = tuple(ledger.entries)
        made = ledger.made.get(fingerprint(card))
        count = len(images) if made is None else made.images
        return images[:count], images[count:]

    def to_learn(self, image_id: str, class_names: Sequence[str]) -> list[Evidence]:
        """Return what may be trained on of a dealt image: copies without a held-out pixel."""
        planes = self._planes(image_id, class_names)
        if not planes:  # never dealt, if all of it is damaged
            return []
        deal = read_ledger(self.root).entries[image_id].deal
        return [piece for plane in planes for piece in training_pieces(plane, deal)]

    def to_judge(
        self,
        image_id: str,
        class_names: Sequence[str],
        replay: bool = False,
        everything: bool = False,
    ) -> list[HeldOut]:
        """Return what is held out of a dealt image, or all of it, plane by plane."""
        planes = self._planes(image_id, class_names)
        if not planes:  # never dealt, if all of it is damaged
            return []
        deal = read_ledger(self.root).entries[image_id].deal
        areas = [
            area
            for block, area in block_areas(deal.shape).items()
            if everything or deal.held_out(block)
        ]
        found = []
        for plane in planes:
            blocks = tuple(area for area in areas if plane.seen[area].any())
            if blocks:
                found.append(HeldOut(plane, blocks, replay))
        return found

    def count(self, image_ids: Sequence[str], class_names: Sequence[str]) -> EvidenceCount:
        """Return the pixels of each level of evidence in some images, held out or not."""
        planes = [p for image in dict.fromkeys(image_ids) for p in self._planes(image, class_names)]
        counts = [count_levels(plane.levels) for plane in planes]
        return EvidenceCount(
            sum(count.changed for count in counts),
            sum(count.reviewed for count in counts),
            sum(count.unseen for count in counts),
        )

    def _content_key(self, image_id: str) -> str | None:
        first = next(self._stored(image_id), None)
        return None if first is None else content_key(first.evidence)

    def _planes(self, image_id: str, class_names: Sequence[str]) -> list[Evidence]:
        return [in_classes(one, class_names) for one in self._stored(image_id)]

    def _stored(self, image_id: str) -> Iterator[StoredEvidence]:
        for path in self._files(image_id):
            stored = self._read(path)
            if stored is not None:
                yield stored

    def _read(self, path: Path) -> StoredEvidence | None:
        """Read a plane; one that is damaged is moved aside."""
        stored = read_undamaged(path)
        if stored is None:
            aside = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{DAMAGED}")
            with refusals_name(path.name, "moved aside"), suppress(FileNotFoundError):
                path.replace(aside)
            logger.warning("left out: %s is damaged; it is %s now", path.name, aside.name)
        return stored

    def _take_back(self, path: Path, taught: Taught) -> None:
        stored = self._read(path)
        under = taught.under(path, stored)
        taught.forget(path)
        if stored is not None and under is None:
            path.unlink()
        elif under is not None and under is not stored:
            write_evidence(path, under.evidence, under.class_names)

    def _files(self, image_id: str) -> list[Path]:
        return sorted(self.root.glob(f"{image_id}-*{EXTENSION}"))

    def _file(self, image_id: str, plane: int) -> Path:
        return self.root / f"{image_id}-{plane:05d}{EXTENSION}"

    @contextmanager
    def _writing(self) -> Iterator[Ledger]:
        """Hold the folder's lock and give its ledger."""
        with refusals_name(self.root.name, "changed"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = portalocker.Lock(self.root / LOCK_NAME, "a", timeout=LOCK_SECONDS)
            try:
                lock.acquire()
            except portalocker.LockException as error:
                raise ModelFileError(
                    "The corrections cannot be changed: another program is using their folder. "
                    "Try again in a moment."
                ) from error
            try:
                yield read_ledger(self.root)
            finally:
                lock.release()


def _on_top(under: StoredEvidence, evidence: Evidence, class_names: Sequence[str]) -> Evidence:
    """Return what is said of a plane, and where nothing is said what was known of the same pixels.

    Pixels that were prepared for the network in another way are those of another image.
    """
    old, seen = in_classes(under, class_names), evidence.seen
    if not np.array_equal(old.image, evidence.image.astype(np.float16)):
        return evidence
    return replace(
        evidence,
        truth=np.where(seen, evidence.truth, old.truth),
        levels=np.where(seen, evidence.levels, old.levels),
    )


def _says(stored: StoredEvidence, evidence: Evidence, class_names: Sequence[str]) -> bool:
    """Whether a file holds the same truth for the same pixels, whatever the model had said."""
    old = stored.evidence
    same_place = old.truth.shape == evidence.truth.shape and np.array_equal(old.seen, evidence.seen)
    return (
        stored.class_names == tuple(class_names)
        and same_place
        and np.array_equal(old.truth[old.seen], evidence.truth[evidence.seen])
    )
