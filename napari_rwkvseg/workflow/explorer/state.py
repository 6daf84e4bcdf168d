"""What the explorer shows: one evented object. Importing it imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psygnal import SignalGroupDescriptor

from napari_rwkvseg.workflow.choices import Message

if TYPE_CHECKING:
    from napari_rwkvseg.engine.explain import Explanation
    from napari_rwkvseg.engine.gates import GateTable
    from napari_rwkvseg.engine.heat import Heat

Pixel = tuple[int, int]


class Look(StrEnum):
    """Through what a pixel looks at others; the values are what people read."""

    HEAD = "Chosen head"
    BLOCK = "Whole block"
    NETWORK = "Whole network"
    WORDS = "Decoder words"


@dataclass(frozen=True)
class Shown:
    """Which head of which layer is drawn, counted from 0 in the order of the forward pass."""

    layer: int
    head: int


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, ready to be shown and saved.

    Attributes
    ----------
    title : str
        What it shows.
    png : bytes
        The file.
    save : callable
        Writes it as PNG or SVG, as the ending of the path says.
    """

    title: str
    png: bytes
    save: Callable[[Path], None]


@dataclass(eq=False)
class ExplorerState:
    """Fields emit `events.<name>` when they change.

    Attributes
    ----------
    busy : bool
        Whether the image is being read.
    problem : Message
        Why there is nothing to see, or what to know about it.
    explanation : Explanation or None
        What the model did with the plane in sight.
    shown : Shown or None
        Which head is drawn.
    previous : Shown or None
        Which one was drawn before.
    details : str
        That head in words.
    steps : int
        Steps of its longest sequence.
    step : int
        Up to which step the visit is shown.
    look : Look
        What a click on a pixel asks.
    asking : bool
        Whether clicks on the image ask.
    pixel : tuple of int or None
        The last pixel asked about, row and column in the plane.
    heat : Heat or None
        What it looked at.
    caption : str
        Whose weights those are, for a figure of them.
    answer : str
        What it looked at in words.
    gates, other : GateTable or None
        Of this image, and of what it is compared with.
    comparing : str
        What the gates are compared with, or are about to be; empty if with nothing.
    difference : str
        The comparison in words; without one, what to know of the gates.
    picture : Picture or None
        The figure to look at in a window of its own.
    drawing : bool
        Whether one is being drawn.
    reason : tuple of str
        Why the pixel was wrong, in sentences.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    busy: bool = False
    problem: Message = field(default_factory=Message)
    explanation: Explanation | None = None
    shown: Shown | None = None
    previous: Shown | None = None
    details: str = ""
    steps: int = 0
    step: int = 0
    look: Look = Look.HEAD
    asking: bool = False
    pixel: Pixel | None = None
    heat: Heat | None = None
    caption: str = ""
    answer: str = ""
    gates: GateTable | None = None
    other: GateTable | None = None
    comparing: str = ""
    difference: str = ""
    picture: Picture | None = None
    drawing: bool = False
    reason: tuple[str, ...] = ()
