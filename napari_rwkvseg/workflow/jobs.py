"""The long work behind the Segment tab, as generators of progress events; no window needed.

torch is imported inside the jobs, hence in their thread: it costs seconds, and opening the dock
must not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.measure import Table, boxes_of, measure
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.quiet import quietly
from napari_rwkvseg.engine.torch_loading import load_torch
from napari_rwkvseg.workflow.choices import Compute, Extras

Region = tuple[slice, ...]
MEASURED_INTENSITY_LIMIT = 1 << 27  # pixels; beyond, the mean intensity is left out (0.5 GB)


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, eq=False)
class Request:
    """Everything a run needs, taken from the state when Segment was clicked.

    Attributes
    ----------
    image : ImageData
        What to segment.
    load : callable
        Returns the model; called in the job because it reads a file and imports torch.
    region : tuple of slice or None
        One per axis of `image.spatial_shape`; None for everything.
    options : MaskOptions
        How probabilities become labels.
    extras : Extras
        Which other layers were asked for.
    compute : Compute
        Device, tile, threads.
    prepare : callable
        Called in the job: what the window needs to show a first result, like slow imports.
    base : ndarray or None, shape image.spatial_shape
        An earlier result to keep outside `region`.
    """

    image: ImageData
    load: Callable[[], Model]
    region: Region | None
    options: MaskOptions
    extras: Extras
    compute: Compute
    prepare: Callable[[], None] = nothing
    base: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Mask:
    """Labels of the whole image.

    Attributes
    ----------
    labels : ndarray, uint8 (classes) or int32 (objects), shape image.spatial_shape
        0 is background and everything outside the region.
    options : MaskOptions
        How they were made.
    """

    labels: NDArray[Any]
    options: MaskOptions


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run returns.

    Attributes
    ----------
    prediction : Prediction
        The stored probabilities.
    mask : Mask
        The labels at the options of the request.
    maps : tuple of (str, ndarray float16 of shape image.spatial_shape, str)
        Name, values and colormap of the extra layers.
    predicted : bool
        Whether a model made the prediction; else there is nothing to make another mask from.
    """

    prediction: Prediction
    mask: Mask
    maps: tuple[tuple[str, NDArray[np.float16], str], ...] = ()
    predicted: bool = True


@dataclass(frozen=True, eq=False)
class Measured:
    """A table and where its rows lie.

    Attributes
    ----------
    table : Table
        One row per class or object; the first column is the label.
    boxes : dict of int to tuple of slice
        Bounding box of each label, one slice per axis (*lead, y, x).
    """

    table: Table
    boxes: dict[int, tuple[slice, ...]]


def segment(request: Request, token: CancelToken) -> Job[Outcome]:
    """Predict, make the mask, make the extra layers.

    Raises
    ------
    BadImageError, ModelFileError, ModelNotFoundError
        With a sentence for the person at the screen.
    """
    yield Progress(0, 0, "Loading the model")
    load_torch()
    with quietly():
        from napari_rwkvseg.engine.predict import predict  # imports torch

        model = request.load()
        request.prepare()
    token.raise_if_cancelled()
    options = request.compute.predict_options()
    prediction = yield from predict(model, request.image, options, token, request.region)
    yield Progress(1, 1, "Making the mask")
    mask = labels_of(prediction, request.image, request.options, request.base, token)
    token.raise_if_cancelled()
    maps = extra_maps(prediction, request.extras)
    return Outcome(prediction, mask, maps)


def refine(
    prediction: Prediction,
    image: ImageData,
    options: MaskOptions,
    base: NDArray[Any] | None,
    token: CancelToken,
) -> Job[Mask]:
    """Make the mask again from stored probabilities."""
    yield Progress(0, 1, "Making the mask")
    return labels_of(prediction, image, options, base, token)


def unpredicted(labels: NDArray[Any], card: ModelCard, options: MaskOptions) -> Outcome:
    """Return an outcome for a mask (*lead, H, W) that is not a model's: it found nothing at all."""
    shape = labels.shape
    nothing_found = np.broadcast_to(np.float16(0), (len(card.class_names), *shape))  # no memory
    prediction = Prediction(nothing_found, tuple(slice(0, side) for side in shape), shape, card)
    return Outcome(prediction, Mask(labels, options), predicted=False)


def labels_of(
    prediction: Prediction,
    image: ImageData,
    options: MaskOptions,
    base: NDArray[Any] | None,
    token: CancelToken,
) -> Mask:
    """Turn probabilities into labels of the whole image, keeping `base` outside the region."""
    new: NDArray[Any] = prediction.mask(image, options, token)
    if new.shape == tuple(prediction.shape):
        return Mask(new, options)
    whole = np.zeros(prediction.shape, new.dtype)
    if base is not None and base.dtype == new.dtype:
        whole[:] = base
    whole[prediction.region] = 0
    if options.separate:  # numbers must not meet those outside the region
        new = np.where(new > 0, new + whole.max(), 0).astype(new.dtype)
    whole[prediction.region] = new
    return Mask(whole, options)


def extra_maps(
    prediction: Prediction, extras: Extras
) -> tuple[tuple[str, NDArray[np.float16], str], ...]:
    """Return the maps that were asked for, padded to the whole image with 0."""
    maps = []
    if extras.probability:
        names = prediction.card.class_names
        suffixes = [""] if len(names) == 1 else [f" of {name}" for name in names]
        for suffix, values in zip(suffixes, prediction.probability, strict=True):
            maps.append((f"probability{suffix}", _pad(values, prediction), "inferno"))
    if extras.uncertainty:
        maps.append(("uncertainty", _pad(prediction.uncertainty(), prediction), "cyan"))
    return tuple(maps)


def _pad(values: NDArray[Any], prediction: Prediction) -> NDArray[np.float16]:
    if values.shape == tuple(prediction.shape):
        return values.astype(np.float16, copy=False)
    whole = np.zeros(prediction.shape, np.float16)
    whole[prediction.region] = values
    return whole


def measure_mask(
    labels: NDArray[Any],
    image: ImageData,
    objects: bool,
    class_names: tuple[str, ...],
    token: CancelToken,
) -> Job[Measured]:
    """Measure a mask that people may be painting on: it is copied first.

    Parameters
    ----------
    labels : ndarray, integer, shape image.spatial_shape
        The layer's own array.
    image : ImageData
        For intensities, spacing and units.
    objects : bool
        Whether labels are objects or classes.
    class_names : tuple of str
        Names of the classes.
    token : CancelToken
        Polled between the steps.

    Returns
    -------
    Measured
        Table and bounding boxes.
    """
    labels = np.array(labels)
    yield Progress(0, 2, "Measuring")
    intensity = mean_intensity(image, token)
    token.raise_if_cancelled()
    table = measure(
        labels,
        intensity,
        image.lead_axes + "yx",
        image.spacing,
        image.units,
        objects=objects,
        class_names=class_names,
    )
    yield Progress(1, 2, "Measuring")
    token.raise_if_cancelled()
    return Measured(table, boxes_of(labels))


def mean_intensity(image: ImageData, token: CancelToken) -> NDArray[np.float32] | None:
    """Return the mean over the channels, shape image.spatial_shape; None if too large to hold."""
    if math.prod(image.spatial_shape) > MEASURED_INTENSITY_LIMIT:
        return None
    intensity = np.empty(image.spatial_shape, np.float32)
    for index in image.planes():
        token.raise_if_cancelled()
        intensity[index] = image.plane(index).mean(axis=-1)
    return intensity
