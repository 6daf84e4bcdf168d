"""Results -> napari layer data, placed exactly on the image they come from."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.from_layers import LayerLike, is_kind
from napari_rwkvseg.engine.card import RESEARCH_ONLY, ModelCard
from napari_rwkvseg.engine.image import ImageData

LayerTuple = tuple[Any, dict[str, Any], str]

CLASS_COLORS = (
    "#ff9f1c", "#2ec4b6", "#e71d36", "#7b6cf6", "#a7c957", "#f15bb5", "#00bbf9", "#bc6c25",
)  # fmt: skip
GEOMETRY = "geometry"  # key in a layer's metadata: lets a NIfTI mask lie exactly on its source
UNNAMED_COLOR = "#8d99ae"  # painted labels the model does not know stay visible


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a result lies: the transforms of an image layer, without its channel axis.

    Attributes
    ----------
    transforms : dict
        scale, translate, rotate, shear, affine, units, axis_labels: keywords of napari layers.
    stretched : int or None
        Place of a length-1 axis that stands for a channel axis napari cannot drop, because
        other axes come before it.
    source : dict
        Metadata of the image layer that a writer needs to put a mask exactly on its file.
    """

    transforms: dict[str, Any]
    stretched: int | None = None
    source: dict[str, Any] = field(default_factory=dict)

    def agrees(self, other: Geometry) -> bool:
        """Whether both put a layer at the same place: moving one makes napari draw it anew."""
        return self.transforms.keys() == other.transforms.keys() and all(
            np.array_equal(value, other.transforms[key]) for key, value in self.transforms.items()
        )

    def fit(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of `array`, shape (*lead, H, W), with the axes of the layer."""
        return array if self.stretched is None else np.expand_dims(array, self.stretched)

    def fit_region(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return `region`, one slice per axis (*lead, H, W), along the axes of the layer."""
        if self.stretched is None:
            return region
        return (*region[: self.stretched], slice(0, 1), *region[self.stretched :])

    def fit_index(self, index: tuple[NDArray[np.intp], ...]) -> tuple[NDArray[np.intp], ...]:
        """Return indices of pixels, one array per axis (*lead, y, x), along the layer's axes."""
        if self.stretched is None:
            return index
        here = np.zeros_like(index[0])
        return (*index[: self.stretched], here, *index[self.stretched :])

    def place(self, index: tuple[float, ...]) -> tuple[float, ...]:
        """Return the point `index`, axes (*lead, y, x), along the axes of the layer."""
        if self.stretched is None:
            return index
        return (*index[: self.stretched], 0.0, *index[self.stretched :])

    def strip(self, array: NDArray[Any]) -> NDArray[Any]:
        """Undo `fit`: return a view of shape (*lead, H, W)."""
        return array if self.stretched is None else np.take(array, 0, axis=self.stretched)


def geometry_of(layer: LayerLike, image: ImageData) -> Geometry:
    """Read the transforms of `layer` for results of shape `image.spatial_shape`.

    A leading channel axis is left out (napari aligns layers at their last axes); a channel axis
    elsewhere becomes one pixel as thick as all channels, so that the result shows on each.
    """
    axes = image.axes.replace("s", "")
    transforms: dict[str, Any] = {
        "scale": np.array(layer.scale, np.float64),
        "translate": np.array(layer.translate, np.float64),
        "rotate": np.array(layer.rotate, np.float64),
        "shear": _shear_matrix(layer.shear, layer.ndim),
        "affine": np.array(layer.affine.affine_matrix, np.float64),
        "units": tuple(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }
    known = getattr(layer, "metadata", {})
    source = {GEOMETRY: known[GEOMETRY]} if GEOMETRY in known else {}
    if "c" not in axes:
        return Geometry(transforms, source=source)
    channel = axes.index("c")
    if channel == 0:
        return Geometry(_drop_first_axis(transforms), source=source)
    n = image.array.shape[image.axes.index("c")]
    transforms["translate"][channel] += transforms["scale"][channel] * (n - 1) / 2
    transforms["scale"][channel] *= n
    return Geometry(transforms, channel, source)


def _shear_matrix(shear: Any, ndim: int) -> NDArray[np.float64]:
    """Return napari's shear (upper triangle as a vector, or a matrix) as a matrix."""
    values = np.asarray(shear, np.float64)
    if values.ndim == 2:
        return values.copy()
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = values
    return matrix


def _drop_first_axis(transforms: dict[str, Any]) -> dict[str, Any]:
    """Cut the first axis out of vectors, matrices and names alike."""
    return {
        key: value[1:, 1:] if getattr(value, "ndim", 1) == 2 else value[1:]
        for key, value in transforms.items()
    }


def mask_layer(
    labels: NDArray[Any],
    name: str,
    geometry: Geometry,
    card: ModelCard,
    objects: bool,
    owner: Hashable = None,
) -> LayerTuple:
    """Describe a Labels layer.

    Parameters
    ----------
    labels : ndarray, integer, shape (*lead, H, W)
        Class numbers, or object numbers.
    name : str
        Layer name.
    geometry : Geometry
        Of the image layer.
    card : ModelCard
        Names the classes.
    objects : bool
        Whether the numbers are objects.
    owner : hashable, optional
        Unique id of the image layer, by which `mask_of` finds the mask again.

    Returns
    -------
    tuple
        (data, metadata, "labels") as napari takes it.
    """
    origin = {**provenance(card)["rwkvseg"], "image": owner, "objects": objects}
    meta = {
        "name": name,
        **geometry.transforms,
        "metadata": {"rwkvseg": origin, **geometry.source},
    }
    if not objects:
        meta["colormap"] = class_colors(len(card.class_names))
        meta["features"] = class_features(card.class_names)
    return geometry.fit(labels), meta, "labels"


@dataclass(frozen=True)
class MaskOrigin:
    """What a mask layer says of itself: the name of its model, and what its labels are."""

    model: str
    objects: bool


def mask_of(layer: LayerLike, owner: Hashable) -> MaskOrigin | None:
    """Return the origin of a mask that was made of an image layer; None if `layer` is none."""
    origin = getattr(layer, "metadata", {}).get("rwkvseg", {})
    if owner is None or origin.get("image") != owner or not is_kind(layer, "Labels"):
        return None
    return MaskOrigin(str(origin.get("model", "")), bool(origin.get("objects")))


def class_features(class_names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the table that lets napari's status bar name the class under the pointer."""
    names = ["background", *class_names]
    return {"index": list(range(len(names))), "class": names}


def object_features(class_names: tuple[str, ...], numbers: list[int]) -> dict[str, list[Any]]:
    """Return the same for separate objects of a model with one class."""
    name = class_names[0] if len(class_names) == 1 else "object"
    return {"index": [0, *numbers], "class": ["background", *[name] * len(numbers)]}


def class_colors(n_classes: int) -> dict[int | None, str]:
    """Return one fixed colour per class; unknown labels are grey, never invisible."""
    colors: dict[int | None, str] = {None: UNNAMED_COLOR, 0: "transparent"}
    for label in range(1, n_classes + 1):
        colors[label] = CLASS_COLORS[(label - 1) % len(CLASS_COLORS)]
    return colors


def map_layer(
    values: NDArray[np.float16], name: str, geometry: Geometry, card: ModelCard, colormap: str
) -> LayerTuple:
    """Describe an Image layer of values in 0..1 (probability, uncertainty), see-through at 0."""
    meta = {
        "name": name,
        **geometry.transforms,
        "colormap": colormap,
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "opacity": 0.6,
        "metadata": provenance(card),
    }
    return geometry.fit(values), meta, "image"


def provenance(card: ModelCard) -> dict[str, Any]:
    """Return what every exported result says about its origin; no paths, no layer names."""
    return {"rwkvseg": {"model": card.name, "notice": RESEARCH_ONLY}}
