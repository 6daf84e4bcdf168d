"""The door for programs: load a model by name, arrays in, masks out; no Qt, no napari."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction, PredictOptions
from napari_rwkvseg.engine.progress import CancelToken, Job, finish
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.target import as_target

if TYPE_CHECKING:
    from napari_rwkvseg.store.retraining import Retrained

COLOURS = (3, 4)  # samples of RGB and RGBA
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found in an image.

    Attributes
    ----------
    labels : ndarray, uint8 (classes) or int32 (objects), shape of the image without channels
        0 is background.
    prediction : Prediction
        Probabilities and provenance.
    """

    labels: NDArray[Any]
    prediction: Prediction


class Segmenter:
    """A model that is ready to segment.

    Parameters
    ----------
    model : Model
        Network and card.
    options : PredictOptions
        Tile, device, threads.
    """

    def __init__(self, model: Model, options: PredictOptions | None = None) -> None:
        self.model = model
        self.options = options or PredictOptions()

    @property
    def card(self) -> ModelCard:
        """What the model is for, where it comes from, how good it is."""
        return self.model.card

    def predict(
        self,
        image: Any,
        *,
        axes: str | None = None,
        channel: int | None = None,
        objects: bool | None = None,
        threshold: float = 0.5,
        min_size: int | None = None,
        peak: float | None = None,
        fill_holes: bool = False,
    ) -> NDArray[Any]:
        """Segment an image.

        Parameters
        ----------
        image : ndarray, dask array or ImageData
            Any intensities. (H, W), (H, W, 3) or (H, W, 4) as RGB(A), or anything with `axes`.
        axes : str, optional
            One letter per axis: t time, z slice, n sample, c channel, s RGB, y, x.
        channel : int, optional
            Which channel to read, for images with a channel axis.
        objects : bool, optional
            Separate objects instead of classes; by default what the model's card says.
        threshold : float
            Probability from which on a pixel is foreground, 0 to 1.
        min_size : int, optional
            Smallest object in pixels; by default what the model's card says.
        peak : float, optional
            Probability that an object must reach somewhere; by default what the card says.
        fill_holes : bool
            Whether enclosed background becomes foreground.

        Returns
        -------
        ndarray, uint8 or int32, shape of the image without channels
            Classes 1 to K, or objects 1 to N; 0 is background.

        Raises
        ------
        AmbiguousAxesError
            If an axis could mean more than one thing.
        BadImageError
            If the image cannot be segmented.
        """
        data = self._image(image, axes, channel)
        wanted = self.card.objects if objects is None else objects
        options = MaskOptions(wanted, threshold, min_size, peak, fill_holes)
        return finish(self.job(data, options)).labels

    def probabilities(
        self, image: Any, *, axes: str | None = None, channel: int | None = None
    ) -> NDArray[np.float16]:
        """Return the probability of each foreground class, shape (K, *image without channels).

        Parameters are those of `predict`.
        """
        from napari_rwkvseg.engine.predict import predict

        data = self._image(image, axes, channel)
        return finish(predict(self.model, data, self.options)).probability

    def job(
        self, image: ImageData, options: MaskOptions, token: CancelToken | None = None
    ) -> Job[Segmentation]:
        """Segment as a generator of progress events, for programs that show progress.

        Parameters
        ----------
        image : ImageData
            What to segment.
        options : MaskOptions
            How probabilities become labels.
        token : CancelToken, optional
            Polled at every tile.
        """
        from napari_rwkvseg.engine.predict import predict  # imports torch: only when needed

        prediction = yield from predict(self.model, image, self.options, token)
        return Segmentation(prediction.mask(image, options, token), prediction)

    def finetune(
        self,
        images: Sequence[Any],
        masks: Sequence[NDArray[np.integer]],
        *,
        axes: str | None = None,
        channel: int | None = None,
        class_names: Sequence[str] = (),
        seconds: float = 60.0,
        steps: int | None = None,
        seed: int = 0,
        corrections: str | Path | None = None,
        aside: Model | None = None,
        name: str | None = None,
    ) -> Retrained:
        """Learn from corrected masks; this segmenter stays as it is.

        Parameters
        ----------
        images : sequence of ndarray, dask array or ImageData
            As for `predict`.
        masks : sequence of ndarray, integer
            Full masks, each of the shape of its image without channels; 0 is background.
        axes, channel
            As for `predict`, for all images.
        class_names : sequence of str
            In label order; by default those of the model. A name it does not have is a new class.
        seconds : float
            For everything.
        steps : int, optional
            So many optimiser steps, however long they take, to repeat a run bit for bit; fewer
            where nothing gets better any more.
        seed : int
            Of the views.
        corrections : str or Path, optional
            Folder in which the corrections are kept; by default in the user's data folder.
        aside : Model, optional
            What an earlier call made from this model and could not prove better: it is tested
            again on images that are new to it.
        name : str, optional
            Of the new model, and of its corrections; by default that of the old one. One that no
            longer finds the same classes is named after its first own class.

        Returns
        -------
        Retrained
            ``.model`` for a new `Segmenter` or `Library.install`, and ``.verdict``: better, cannot
            tell or worse, with figures on held-out corrections.

        Raises
        ------
        BadImageError
            If an image cannot be read by the model.
        DatasetError
            If a mask has another shape than its image, or a label without a name.
        ModelFileError
            If a name is not valid, or another model in the library has it.
        ValueError
            If there are not as many masks as images, or too few corrections to judge by.
        """
        from napari_rwkvseg.engine.tuner import FinetuneOptions  # imports torch: only when needed
        from napari_rwkvseg.store.retraining import RetrainOptions, retrain_model

        options = RetrainOptions(
            class_names=tuple(class_names),
            tuning=FinetuneOptions(seconds=seconds, steps=steps, seed=seed),
            corrections=None if corrections is None else Path(corrections),
            device=self.options.device,
            threads=self.options.threads,
        )
        pairs = [
            (self._image(image, axes, channel), np.asarray(mask))
            for image, mask in zip(images, masks, strict=True)
        ]
        start = as_target(self.model, options.class_names, Library(), name, options.corrections)
        found = finish(retrain_model(start, pairs, options, aside=aside))
        found.remember()
        return found

    def _image(self, image: Any, axes: str | None, channel: int | None) -> ImageData:
        data = image if isinstance(image, ImageData) else _interpret(image, axes)
        return data if channel is None else data.select_channel(channel)


def _interpret(array: Any, axes: str | None) -> ImageData:
    shape = np.shape(array)
    rgb = axes is None and len(shape) == 3 and shape[-1] in COLOURS
    return interpret(array, name="image", rgb=rgb, axes=axes)


def load_model(name: str | Path, options: PredictOptions | None = None) -> Segmenter:
    """Load a model by its name in the library, or from a file.

    Parameters
    ----------
    name : str or Path
        For example ``"nuclei"``; see `list_models`.
    options : PredictOptions, optional
        Tile, device, threads.

    Returns
    -------
    Segmenter

    Raises
    ------
    ModelNotFoundError
        If there is no such model; the message lists the valid names.
    ModelFileError
        If the file is damaged.
    """
    return Segmenter(Library().load(name), options)


def list_models() -> tuple[ModelCard, ...]:
    """Return the cards of all models, bundled ones first; needs no torch.

    Damaged ones are left out, and named in a log.
    """
    library, cards = Library(), []
    for name in library.names():
        try:
            cards.append(library.card(name))
        except RwkvSegError as error:
            logger.warning("%s", error)
    return tuple(cards)
