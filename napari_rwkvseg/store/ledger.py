"""The hold-out ledger: which corrections judge and which teach, written down once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.holdout import Block, Deal, Use
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.image_id import salted_id
from napari_rwkvseg.store.refusal import Refusal, refusals_name, strict_json

FILE_NAME = "ledger.json"
SCHEMA = 1
USES = ("blocks", "train", "judge")
# On the card of a retrained model: 1 if the judge said so, and how much of the way was taken.
WORSE, SHARE = "proven_worse", "share_of_the_way"
LEARNT = 0.5  # of the way that must have been taken for corrections to count as learnt


@dataclass(frozen=True)
class Entry:
    """What the ledger says of one image.

    Attributes
    ----------
    deal : Deal
        What was dealt.
    """

    deal: Deal


@dataclass(frozen=True)
class Made:
    """What the ledger says of one model that was made in the project.

    Attributes
    ----------
    images : int
        How many there were then: it has learnt from none that came later.
    learnt : frozenset of str
        Checksums of the planes that it, or a model that it was made from, was taught.
    doubtful : bool
        Whether it is worse than the model that it was made from, or would be if more of the way had
        been taken.
    """

    images: int
    learnt: frozenset[str] = frozenset()
    doubtful: bool = False


@dataclass(frozen=True)
class Ledger:
    """All images of a project, in the order in which they were dealt.

    Attributes
    ----------
    salt : str
        Secret of this folder: ids cannot be traced to images elsewhere.
    entries : mapping of str to Entry
        By image id.
    made : mapping of str to Made
        By `fingerprint`, the models that were made here.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(32))
    entries: Mapping[str, Entry] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)

    def image_id(self, image: NDArray[Any]) -> str:
        """Return the id of an image: a salted hash of its shape, type and pixels."""
        return salted_id(bytes.fromhex(self.salt), image, [np.ascontiguousarray(image).tobytes()])

    def with_entry(self, image_id: str, entry: Entry) -> Ledger:
        """Return the ledger with an entry added or changed."""
        return replace(self, entries={**self.entries, image_id: entry})

    def with_model(self, card: ModelCard, learnt: frozenset[str] = frozenset()) -> Ledger:
        """Return the ledger with a model added that was made from some of the images of now."""
        made = Made(len(self.entries), learnt, bool(card.metrics.get(WORSE)) or _is_short(card))
        return replace(self, made={**self.made, fingerprint(card): made})

    def learnt(self, card: ModelCard) -> frozenset[str]:
        """Return the checksums of the planes that a model has learnt from; none if unknown."""
        made = self.made.get(fingerprint(card))
        learnt = frozenset[str]() if made is None else made.learnt
        # what a longer step would have had to forget for must not judge later ones
        return learnt - self.doubted() if _is_short(card) else learnt

    def doubted(self) -> frozenset[str]:
        """Return the checksums of planes that only doubtful models were taught: perhaps wrong."""
        doubtful = (made.learnt for made in self.made.values() if made.doubtful)
        others = (made.learnt for made in self.made.values() if not made.doubtful)
        return frozenset[str]().union(*doubtful).difference(*others)


def _is_short(card: ModelCard) -> bool:
    return card.metrics.get(SHARE, 1.0) < LEARNT


def fingerprint(card: ModelCard) -> str:
    """Return what a model is known by before it is written, and under whatever name it is kept."""
    values = {name: value for name, value in card.to_dict().items() if name != "name"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def read_ledger(folder: Path) -> Ledger:
    """Read the ledger of a folder; a new one if there is none.

    Raises
    ------
    ModelFileError
        If it is damaged or of a newer format. Nothing is dealt anew then: what was held out would
        no longer be known.
    """
    path = folder / FILE_NAME
    with refusals_name(FILE_NAME):
        if not path.exists():
            return Ledger()
        values = strict_json(path.read_bytes())
        if not isinstance(values, dict) or not isinstance(values.get("content"), dict):
            raise Refusal("is damaged")
        content = values["content"]
        if content.get("schema") != SCHEMA:
            raise Refusal(
                f"has format {content.get('schema')}, this version reads {SCHEMA}",
                "Update napari-rwkvseg to open it",
            )
        if values.get("sha256") != _checksum(content):
            raise Refusal("is damaged: the checksum does not match", "Restore it from a copy")
        return _from_json(content)


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Replace the ledger at once.

    Raises
    ------
    OSError
        If the disk refuses; the old one is then intact.
    """
    content = {
        "schema": SCHEMA,
        "salt": ledger.salt,
        "images": {name: _entry_to_json(entry) for name, entry in ledger.entries.items()},
        "made": {name: _made_to_json(made) for name, made in ledger.made.items()},
    }
    values = {"content": content, "sha256": _checksum(content)}
    write_atomic(folder / FILE_NAME, json.dumps(values, indent=1).encode())


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    deal = entry.deal
    return {
        "shape": list(deal.shape),
        "use": deal.use,
        "blocks": [[*block, held] for block, held in deal.blocks.items()],
        "inside": deal.inside,
        "wide": deal.wide,
    }


def _made_to_json(made: Made) -> dict[str, Any]:
    return {"images": made.images, "learnt": sorted(made.learnt), "doubtful": made.doubtful}


def _from_json(content: Mapping[str, Any]) -> Ledger:
    try:
        entries = {name: _entry(values) for name, values in content["images"].items()}
        bytes.fromhex(content["salt"])
        made = {str(name): _made(values) for name, values in content.get("made", {}).items()}
        return Ledger(content["salt"], entries, made)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refusal("is damaged: an entry cannot be read", "Restore it from a copy") from error


def _entry(values: Mapping[str, Any]) -> Entry:
    if values["use"] not in USES:
        raise ValueError(values["use"])
    height, width = map(int, values["shape"])
    blocks: dict[Block, bool] = {(int(r), int(c)): bool(held) for r, c, held in values["blocks"]}
    use, inside = cast(Use, values["use"]), int(values["inside"])
    wide = bool(values.get("wide", False))  # older ledgers do not say
    deal = Deal((height, width), use, blocks, inside, wide)
    return Entry(deal)


def _made(values: Mapping[str, Any] | int) -> Made:
    if isinstance(values, int):  # older ledgers do not say what it has learnt
        return Made(values)
    doubtful = bool(values.get("doubtful", False))  # older ledgers do not say
    return Made(int(values["images"]), frozenset(map(str, values["learnt"])), doubtful)
