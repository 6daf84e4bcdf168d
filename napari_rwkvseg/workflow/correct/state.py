"""What the Correct tab shows: one evented object. Importing it imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.workflow.choices import RunProgress

if TYPE_CHECKING:
    from napari_rwkvseg.engine.judge import Verdict
    from napari_rwkvseg.store.library import Version

Points = tuple[tuple[int, float], ...]


class Part(StrEnum):
    """What Accept covers; the values are what people read."""

    SLICE = "Slice"
    VISIBLE = "Visible"
    IMAGE = "Image"


@dataclass(frozen=True)
class Curves:
    """What is measured while the network learns: pairs of step and value.

    Attributes
    ----------
    loss : tuple of (int, float)
        At each step.
    dice : tuple of (int, float)
        At each check, on views of the corrections.
    planned : int
        Steps of the whole run; 0 before it begins.
    """

    loss: Points = ()
    dice: Points = ()
    planned: int = 0

    def extended(self, step: int, planned: int, metrics: dict[str, float]) -> Curves:
        """Return the curves with what was measured at one more step."""
        loss, dice = (
            (*points, (step, metrics[name])) if name in metrics else points
            for name, points in (("loss", self.loss), ("dice", self.dice))
        )
        return Curves(loss, dice, planned)


@dataclass(frozen=True, eq=False)
class Report:
    """How a retrain ended.

    Attributes
    ----------
    verdict : Verdict
        Old and new model on the same held-out corrections.
    name : str
        Under which the library knows the new model.
    sha256, parent : str
        Of the new version, and of the model it was made from.
    base : str
        Name of the model it was made from: another one for the first of its name.
    earlier : bool
        Whether it was made by an earlier retrain and kept aside: it has proven better since, and
        what was learnt now is no better.
    left_out : str
        Which corrections were damaged on the disk, as a sentence; empty if none.
    """

    verdict: Verdict
    name: str
    sha256: str
    parent: str
    base: str
    earlier: bool = False
    left_out: str = ""


@dataclass(frozen=True)
class Place:
    """A suggestion along the axes of the whole image, see `Suggestion`."""

    index: tuple[int, ...]
    area: tuple[slice, slice]
    score: float

    def is_at(self, other: Place) -> bool:
        """Whether both are the same place, whatever they promise."""
        return (self.index, self.area) == (other.index, other.area)


class Standing(Enum):
    """Where a version is in the library."""

    ACTIVE = auto()
    ASIDE = auto()
    GONE = auto()


@dataclass(frozen=True, eq=False)
class Difference:
    """Where two models differ in the plane in sight.

    Attributes
    ----------
    picture : ndarray, uint8, shape (rows, columns, 3)
        The plane in grey; orange what only the old model found, teal what only the new one did.
    changed : int
        Pixels that differ, in all that was compared.
    compared : int
        Pixels compared.
    """

    picture: NDArray[np.uint8]
    changed: int
    compared: int


@dataclass(frozen=True)
class BeforeScore:
    """How right the model was before people corrected it, where they reviewed.

    Attributes
    ----------
    dice : float
        Mean over the classes that occur; over all images together.
    images : int
        How many.
    """

    dice: float
    images: int


@dataclass(eq=False)
class CorrectState:
    """Fields emit `events.<name>` when they change.

    Attributes
    ----------
    subject : str
        Name of the mask that is corrected; empty if there is none.
    hint : str
        What to do next, where there is nothing to correct, or what is in the way.
    class_names : tuple of str
        Classes of the mask, in label order.
    editable : bool
        Whether classes can be named and added: not where labels are objects.
    blank : bool
        Whether the mask began empty: background has to be painted as well.
    count : EvidenceCount
        Pixels of each level in this image.
    accepted : int
        Regions accepted in this image.
    images : int
        Images with evidence.
    flat : bool
        Whether the image is a single plane.
    overlay : bool
        Whether changes are shown as a layer.
    running : bool
        Whether a retrain, or what follows it, is under way.
    progress : RunProgress
        How far it is.
    curves : Curves
        Of the last retrain.
    report : Report or None
        Its outcome.
    standing : Standing or None
        Of its version, as last read; None before that.
    difference : Difference or None
        Old against new model.
    comparing : bool
        Whether the difference is shown as a layer.
    versions : tuple of Version
        Of the model that is started from, the latest first.
    target : str
        Name under which the next version will be kept.
    before : BeforeScore or None
        Running score of predictions before correction.
    seconds : tuple of float
        What people spent on each image they accepted something of.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    subject: str = ""
    hint: str = ""
    class_names: tuple[str, ...] = ()
    editable: bool = False
    blank: bool = False
    count: EvidenceCount = field(default_factory=lambda: EvidenceCount(0, 0, 0))
    accepted: int = 0
    images: int = 0
    flat: bool = True
    overlay: bool = False
    running: bool = False
    progress: RunProgress = field(default_factory=RunProgress)
    curves: Curves = field(default_factory=Curves)
    report: Report | None = None
    standing: Standing | None = None
    difference: Difference | None = None
    comparing: bool = False
    versions: tuple[Version, ...] = ()
    target: str = ""
    before: BeforeScore | None = None
    seconds: tuple[float, ...] = ()
