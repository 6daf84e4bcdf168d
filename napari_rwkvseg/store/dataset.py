"""Read a data folder's images and masks into planes that a network can be trained and scored on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.dataset import DatasetError, Record, Sample
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import check_channels, measure_window, normalise, to_channels
from napari_rwkvseg.engine.progress import Job, Progress
from napari_rwkvseg.store.formats.geometry import Geometry
from napari_rwkvseg.store.formats.opening import read_pixels, to_image, to_labels


def read_pair(record: Record) -> tuple[ImageData, NDArray[np.integer]]:
    """Read an image and its labels.

    Returns
    -------
    image : ImageData
    labels : ndarray, int, shape of the image without channels
        0 is background.

    Raises
    ------
    BadImageError
        If a file cannot be read.
    DatasetError
        If the mask has another shape than the image, or lies elsewhere by its header.
    """
    source, truth = read_pixels(record.image), read_pixels(record.mask)
    image = to_image(record.image.name, source)
    labels = to_labels(record.mask.name, truth)
    shapes = labels.shape, image.spatial_shape
    if len({tuple(side for side in shape if side > 1) for shape in shapes}) == 1:
        labels = labels.reshape(image.spatial_shape)  # formats drop axes of length 1
    check_shape(labels, image, record.name)
    _check_place(record, source.geometry, truth.geometry)
    return image, labels


def _check_place(record: Record, image: Geometry | None, mask: Geometry | None) -> None:
    """Check that both were turned upright alike: each only goes by its own header."""
    pair = f"{record.name}: {record.image.name} and {record.mask.name}"
    known = [one for one in (image, mask) if one is not None and one.oriented]
    if len(known) == 2 and not known[0].lies_on(known[1]):
        raise DatasetError(
            f"{pair} lie in different places by their headers. "
            "Save the mask with the affine of the image."
        )
    if len(known) == 1 and known[0].turned:
        raise DatasetError(
            f"{pair} may be turned against each other, for only one of them says how it lies in "
            "the patient. Save both as NIfTI with the same affine."
        )


def check_shape(mask: NDArray[Any], image: ImageData, name: str = "") -> None:
    """Check that a mask has the shape of its image.

    Raises
    ------
    DatasetError
        If not; the sentence names the image, or what `name` says.
    """
    if mask.shape != image.spatial_shape:
        raise DatasetError(
            f"{name or image.name}: the mask has shape {mask.shape}, "
            f"the image {image.spatial_shape}. Make them equal."
        )


def read_samples(
    records: Sequence[Record],
    channels: int,
    percentiles: tuple[float, float],
    n_classes: int = 2,
    source: str = "",
) -> Job[tuple[Sample, ...]]:
    """Read all planes of some records, normalised; kept in half precision to spare memory.

    Parameters
    ----------
    records : sequence of Record
        What to read, in this order.
    channels : int
        Channels of the network; grey images are repeated, RGB ones reduced.
    percentiles : tuple of float
        Of the intensity window, in percent.
    n_classes : int
        Background included. With two, every label above 0 is the one class.
    source : str
        Name of the data folder.

    Yields
    ------
    Progress
        One per record.

    Returns
    -------
    tuple of Sample
        One per plane.
    """
    samples: list[Sample] = []
    for done, record in enumerate(records, start=1):
        samples.extend(_planes(record, channels, percentiles, n_classes, source))
        yield Progress(done, len(records), f"Reading {record.name}")
    return tuple(samples)


def _planes(
    record: Record, channels: int, percentiles: tuple[float, float], n_classes: int, source: str
) -> Iterator[Sample]:
    image, labels = read_pair(record)
    check_channels(image, channels)
    truth = _classes(labels, n_classes, record.name)
    window, _ = measure_window(image, percentiles)
    for index in image.planes():
        plane = normalise(to_channels(image.plane(index), channels, image.name), window)
        name = record.name + "".join(f"/{i}" for i in index)
        yield Sample(name, plane.astype(np.float16), truth[index], record.name, source)


def _classes(labels: NDArray[np.integer], n_classes: int, name: str) -> NDArray[np.uint8]:
    """Turn labels into classes 0 .. n_classes - 1; instances of a single class become 1."""
    if n_classes == 2:
        return (labels > 0).astype(np.uint8)
    if labels.size and (labels.max() >= n_classes or labels.min() < 0):
        raise DatasetError(
            f"{name}: label {labels.max()} in the mask, but {n_classes - 1} classes are named. "
            "Name all classes."
        )
    return labels.astype(np.uint8)
