"""What a person can choose before a run, and what the program says back: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.prediction import PredictOptions


class Region(StrEnum):
    """Which part of the image to segment; the values are what people read."""

    WHOLE = "Whole image"
    SLICE = "Current slice"
    VISIBLE = "What is visible"


@dataclass(frozen=True)
class Extras:
    """Layers to add besides the mask."""

    probability: bool = False
    uncertainty: bool = False


@dataclass(frozen=True)
class Compute:
    """Settings of the Preferences page.

    Attributes
    ----------
    device : str
        "auto", "cpu" or "cuda".
    tile : int
        Side of a tile in pixels.
    threads : int
        Processor threads, 0 for all but one.
    """

    device: str = "auto"
    tile: int = 512
    threads: int = 0

    def predict_options(self) -> PredictOptions:
        """Return what they mean for a prediction."""
        return PredictOptions.for_tile(self.tile, self.device, self.threads or None)


class Tone(StrEnum):
    """How a message is meant."""

    HINT = "hint"
    DONE = "done"
    NOTE = "note"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    """The line below the tabs: one or a few full sentences."""

    text: str = ""
    tone: Tone = Tone.HINT


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes
    ----------
    fraction : float
        0 to 1; negative while the length is unknown.
    text : str
        Like "Tile 3 of 12 · 8 s left".
    """

    fraction: float = -1.0
    text: str = ""


@dataclass(frozen=True, eq=False)
class Reading:
    """How an image layer is understood.

    Attributes
    ----------
    image : ImageData or None
        None while the layer cannot be read.
    text : str
        Like "22 slices of 320×280, 0.69×0.69×5 mm", or the question that is open.
    problem : str
        The full sentence to show when someone tries to run it; empty if readable.
    choices : tuple of str
        Valid `axes`, non-empty only where people have to choose.
    axes : str or None
        What was chosen.
    channel : int or None
        Which of several channels is read; None for grey and RGB images.
    """

    image: ImageData | None = None
    text: str = ""
    problem: str = ""
    choices: tuple[str, ...] = ()
    axes: str | None = None
    channel: int | None = None

    @property
    def n_channels(self) -> int:
        """Channels to choose from; 1 for grey and for RGB images."""
        if self.image is None or self.image.is_rgb:
            return 1
        return self.image.n_channels
