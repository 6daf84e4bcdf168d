"""From a corrected image to evidence on disk: what Accept, the command line and the API run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import DatasetError
from napari_rwkvseg.engine.evidence import Evidence, Levels
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import check_channels, measure_window, normalise, to_channels
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.dataset import check_shape
from napari_rwkvseg.store.taught import Taught


@dataclass(frozen=True, eq=False)
class Corrected:
    """An image with what a person said about it.

    Attributes
    ----------
    image : ImageData
        What was segmented.
    truth : ndarray, uint8, shape image.spatial_shape
        Class per pixel, 0 is background; means nothing where the level is `UNSEEN`.
    levels : ndarray, uint8, same shape
        `UNSEEN`, `REVIEWED` or `CHANGED`, see `find_levels`.

    Raises
    ------
    DatasetError
        If the shapes differ.
    """

    image: ImageData
    truth: NDArray[np.uint8]
    levels: Levels

    def __post_init__(self) -> None:
        check_shape(self.truth, self.image)
        check_shape(self.levels, self.image)


def accept(
    project: Corrections,
    model: Model,
    corrected: Corrected,
    class_names: Sequence[str],
    token: CancelToken | None = None,
    taught: Taught | None = None,
) -> Job[str]:
    """Keep the corrections of an image, plane by plane; return the image's id in the project.

    Parameters
    ----------
    project : Corrections
        Where.
    model : Model
        Its channels and normalisation are those in which the planes are kept.
    corrected : Corrected
        What to keep. Planes without evidence are left out.
    class_names : sequence of str
        Classes of the truth, in label order.
    token : CancelToken, optional
        Polled at every plane. What was kept until then stays.
    taught : Taught, optional
        What the same mask taught before, see `Corrections.accept`.

    Yields
    ------
    Progress
        One per plane with evidence.

    Raises
    ------
    RwkvSegError
        If a plane cannot be read, or the disk refuses.
    """
    token = token or CancelToken()
    image, channels = corrected.image, model.network.config.in_channels
    check_channels(image, channels, model.card.name)
    image_id = project.image_id(np.asarray(image.array))
    window, _ = measure_window(image, model.card.percentiles, token)
    planes = [(n, i) for n, i in enumerate(image.planes()) if corrected.levels[i].any()]
    for done, (number, index) in enumerate(planes, start=1):
        token.raise_if_cancelled()
        pixels = normalise(to_channels(image.plane(index), channels, image.name), window)
        half = pixels.astype(np.float16)
        truth, levels = corrected.truth[index], corrected.levels[index]
        project.accept(Evidence(image_id, number, half, truth, levels), class_names, taught)
        yield Progress(done, len(planes), "Keeping the corrections")
    return image_id


def classes_of(mask: NDArray[Any], image: ImageData, count: int) -> NDArray[np.uint8]:
    """Return the classes 0 to `count` of a mask; with a single class every label above 0 is it.

    Raises
    ------
    DatasetError
        If the mask does not fit the image, or holds a label without a class.
    """
    check_shape(mask, image)
    if count == 1:
        return (mask > 0).astype(np.uint8)
    if mask.size and (mask.max() > count or mask.min() < 0):
        raise DatasetError(
            f"{image.name}: label {mask.max()} in the mask, but {count} classes are named. "
            "Name all classes."
        )
    return mask.astype(np.uint8)
