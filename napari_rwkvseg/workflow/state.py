"""What the Segment tab shows: one evented object, no Qt. Widgets listen and ask for changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.workflow.choices import Extras, Message, Reading, Region, RunProgress
from napari_rwkvseg.workflow.jobs import Measured


@dataclass(eq=False)
class State:
    """Fields emit `events.<name>` when they change.

    Attributes
    ----------
    images : tuple of LayerLike
        Layers one may segment, in the order of the layer list.
    image : LayerLike or None
        The chosen one.
    reading : Reading
        How it is understood.
    models : tuple of ModelCard
        Cards of all models at hand.
    card : ModelCard or None
        Of the chosen model.
    region : Region
        Which part to segment.
    options : MaskOptions
        How probabilities become labels.
    extras : Extras
        Layers besides the mask.
    running : bool
        Whether a run is under way.
    progress : RunProgress
        How far it is.
    message : Message
        The one line that talks to the person.
    measured : Measured or None
        Table of the chosen image's mask.
    device : str
        Where the last run was computed; empty before the first.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    images: tuple[LayerLike, ...] = ()
    image: LayerLike | None = None
    reading: Reading = field(default_factory=Reading)
    models: tuple[ModelCard, ...] = ()
    card: ModelCard | None = None
    region: Region = Region.WHOLE
    options: MaskOptions = field(default_factory=MaskOptions)
    extras: Extras = field(default_factory=Extras)
    running: bool = False
    progress: RunProgress = field(default_factory=RunProgress)
    message: Message = field(default_factory=Message)
    measured: Measured | None = None
    device: str = ""
