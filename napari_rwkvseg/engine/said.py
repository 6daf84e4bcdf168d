"""What a model said of a pixel, what its mask made of that, and what a person made of the mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.objects import MaskOptions, likeliest
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.progress import CancelToken

Place = tuple[int, ...]


class Cause(Enum):
    """Why a mask shows another class than the likeliest."""

    THRESHOLD = auto()
    SIZE = auto()
    DOUBT = auto()
    HOLES = auto()


@dataclass(frozen=True, eq=False)
class Said:
    """What a model said of a pixel.

    Attributes
    ----------
    probability : ndarray, float32, shape (1 + K,)
        Of each class, 0 to 1, background first.
    likeliest : int
        The class that this makes it, 0 is the background.
    shown : int
        The class that its mask has there.
    causes : tuple of Cause
        Why that is another one; empty where it is the same.
    options : MaskOptions
        How the mask was made; nothing in them is left to the model.
    """

    probability: NDArray[np.float32]
    likeliest: int
    shown: int
    causes: tuple[Cause, ...] = ()
    options: MaskOptions = field(default_factory=MaskOptions)

    def of(self, label: int) -> float:
        """Return the probability of a class; 0 of one that the model does not know."""
        return float(self.probability[label]) if label < len(self.probability) else 0.0


@dataclass(frozen=True, eq=False)
class Stored:
    """A prediction that is kept, and the mask made from it.

    Attributes
    ----------
    prediction : Prediction
        The probabilities.
    image : ImageData
        What was segmented.
    options : MaskOptions
        How they became labels.
    """

    prediction: Prediction
    image: ImageData
    options: MaskOptions

    def at(self, place: Place, token: CancelToken | None = None) -> Said | None:
        """Return what was said of a pixel; None outside the region of the prediction.

        Parameters
        ----------
        place : tuple of int
            Along the axes (*lead, y, x) of the image.
        token : CancelToken, optional
            Polled while the mask is made.
        """
        region = self.prediction.region
        if not all(part.start <= at < part.stop for at, part in zip(place, region, strict=True)):
            return None
        inside = tuple(at - part.start for at, part in zip(place, region, strict=True))
        wanted = replace(self.options.for_model(self.prediction.card), separate=False)
        made = _Stack(self.prediction, self.image, inside, token or CancelToken())
        probability = made.probability()
        best, shown = int(likeliest(probability, 0.5)), made.label(wanted)
        rest = np.maximum(1 - probability.sum(dtype=np.float32, keepdims=True), 0)
        causes = tuple(made.causes(wanted, shown)) if best != shown else ()
        return Said(
            np.concatenate([rest, probability], dtype=np.float32), best, shown, causes, wanted
        )


class _Stack:
    """The stack or plane around a pixel: finds are as large there as in the whole image."""

    def __init__(
        self, prediction: Prediction, image: ImageData, inside: Place, token: CancelToken
    ) -> None:
        kept = [letter in "zyx" for letter in image.lead_axes + "yx"]
        axes = list(zip(kept, inside, strict=True))
        parts = tuple(slice(None) if all_of_it else slice(at, at + 1) for all_of_it, at in axes)
        stack = prediction.probability[(slice(None), *parts)]
        self._prediction = replace(prediction, probability=stack)
        self._image, self._token = image, token
        self._place = tuple(at if all_of_it else 0 for all_of_it, at in axes)

    def probability(self) -> NDArray[np.float16]:
        """Return the probabilities (K,) of the foreground classes at the pixel."""
        return np.array([found[self._place] for found in self._prediction.probability])

    def label(self, options: MaskOptions) -> int:
        """Return the class of the pixel in the mask that some options make."""
        return int(self._prediction.mask(self._image, options, self._token)[self._place])

    def causes(self, options: MaskOptions, shown: int) -> Iterator[Cause]:
        """Yield why the options show another class than the likeliest."""
        reached = int(likeliest(self.probability(), options.threshold))
        if shown or not reached:
            yield Cause.THRESHOLD if reached == shown else Cause.HOLES
            return
        if not self.label(replace(options, peak=0.0)):
            yield Cause.SIZE
        if not self.label(replace(options, min_size=0)):
            yield Cause.DOUBT


@dataclass(frozen=True, eq=False)
class Change:
    """A pixel whose label a person changed.

    Attributes
    ----------
    pixel : tuple of int
        Row and column in the plane.
    before, after : ndarray, integer, shape of the plane
        Labels as a model wrote them, and as they are now.
    class_names : tuple of str
        Of the foreground.
    objects : bool
        Whether labels are objects rather than classes.
    """

    pixel: tuple[int, int]
    before: NDArray[np.integer]
    after: NDArray[np.integer]
    class_names: tuple[str, ...]
    objects: bool = False

    def classes(self, said: Said) -> tuple[int, int]:
        """Return the classes before and after; that of an object is the one a model gave it."""
        old, new = int(self.before[self.pixel]), int(self.after[self.pixel])
        if not self.objects:
            return old, new
        given = said.shown or 1 + int(said.probability[1:].argmax())
        return (given if old else 0), (given if new else 0)

    def names(self, *labels: int) -> tuple[str, ...]:
        """Return the names of classes, 0 is "background"; another model may have more of them."""
        known = dict(enumerate(("background", *self.class_names)))
        return tuple(known.get(label, f"class {label}") for label in labels)
