"""A mask that is corrected: where it comes from, and what was accepted of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import EvidenceCount, Region
from napari_rwkvseg.store.taught import Taught
from napari_rwkvseg.workflow.correct.effort import Stopwatch
from napari_rwkvseg.workflow.correct.material import Material, has_evidence
from napari_rwkvseg.workflow.correct.state import Place
from napari_rwkvseg.workflow.masks import MaskLink
from napari_rwkvseg.workflow.results import Run


@dataclass(eq=False)
class Subject:
    """One mask layer.

    Attributes
    ----------
    run : Run
        The prediction behind it.
    link : MaskLink
        The layer. Not always that of the run: an edited mask may have been succeeded by another.
    uid : hashable
        Identity of the layer.
    blank : bool
        Whether no model's answer is known: it began empty, or was restored after a crash.
    class_names : tuple of str
        In label order: those of the model, then those that people added.
    stopwatch : Stopwatch
        Time spent on it.
    spent : float or None
        That time when something was last accepted.
    count, agreement
        Figures of the last count, see `Counted`.
    unclear : bool
        Whether the last count failed: something was painted that cannot be understood.
    predicted : tuple of Region
        Where models looked.
    visited : list of Place
        Where Next led to, until every place had its turn.
    taught : Taught
        What it taught in this session.
    """

    run: Run
    link: MaskLink
    uid: Hashable
    stopwatch: Stopwatch
    blank: bool = False
    class_names: tuple[str, ...] = ()
    spent: float | None = None
    count: EvidenceCount = field(default_factory=lambda: EvidenceCount(0, 0, 0))
    agreement: NDArray[np.int64] | None = None
    unclear: bool = False
    predicted: tuple[Region, ...] = ()
    visited: list[Place] = field(default_factory=list)
    taught: Taught = field(default_factory=Taught)

    @property
    def layer(self) -> Any | None:
        """The mask layer, or None once it was removed."""
        return self.link.layer

    @property
    def reviewed(self) -> tuple[Region, ...]:
        """What was accepted, in order; one slice per axis (*lead, y, x)."""
        return self.link.reviewed

    @property
    def name(self) -> str:
        """Of the layer; empty once it was removed."""
        return getattr(self.layer, "name", "")

    @property
    def has_evidence(self) -> bool:
        """Whether the last count found any, or could not tell."""
        return bool(self.reviewed) or self.unclear or has_evidence(self.count)

    def material(self) -> Material | None:
        """Return what evidence is found from; None while the layer is gone, cut or unfilled."""
        mask, written = self.link.current(), self.link.written()
        if mask is None or written is None:
            return None
        return self.material_of(self.name, mask, written)

    def material_of(self, name: str, mask: NDArray[Any], written: NDArray[Any]) -> Material:
        """Return the same with a given name and arrays, shape (*lead, H, W)."""
        return Material(
            self.run.read,
            mask,
            written,
            self.reviewed,
            self.class_names,
            self.link.objects,
            self.run.outcome.prediction,
            name,
            self.taught,
            self.has_evidence,
        )

    def visit(self, place: Place) -> None:
        """Take note that Next leads to a place: again only when all others had their turn."""
        if any(place.is_at(one) for one in self.visited):
            self.visited.clear()
        self.visited.append(place)

    def names_with(self, card_names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the class list for a newer prediction: what people added to it stays."""
        known = self.class_names[: len(card_names)] == card_names
        return self.class_names if known else card_names
