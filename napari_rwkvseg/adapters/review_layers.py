"""Changes and differences -> napari layer data over the image; never part of a result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.to_layers import Geometry, LayerTuple

CHANGES, DIFFERENCE = "changes", "difference"
# see-through, reviewed, changed; see-through, only the old model, only the new one, both another
CHANGE_COLORS = ((0, 0, 0, 0), (0.0, 0.73, 0.98, 0.4), "#f15bb5")
DIFFERENCE_COLORS = ((0, 0, 0, 0), "#ff9f1c", "#2ec4b6", "#f15bb5")


def changes_layer(levels: NDArray[np.uint8], geometry: Geometry) -> LayerTuple:
    """Describe an image layer of the levels of evidence, shape (*lead, H, W)."""
    return _layer(CHANGES, "Corrections", levels, geometry, CHANGE_COLORS)


def difference_layer(kinds: NDArray[np.uint8], geometry: Geometry) -> LayerTuple:
    """Describe an image layer of where two models differ, shape (*lead, H, W)."""
    return _layer(DIFFERENCE, "Old and new model", kinds, geometry, DIFFERENCE_COLORS)


def _layer(
    kind: str,
    name: str,
    values: NDArray[np.uint8],
    geometry: Geometry,
    colors: tuple[Any, ...],
) -> LayerTuple:
    """Describe an image with one flat colour per value; the mark keeps it out of every choice."""
    steps = np.linspace(0, 1, len(colors) + 1)
    meta = {
        "name": name,
        **geometry.transforms,
        "colormap": {
            "name": kind,
            "colors": list(colors),
            "controls": list(steps),
            "interpolation": "zero",
        },
        "contrast_limits": (-0.5, len(colors) - 0.5),  # values in the middle of their colours
        "interpolation2d": "nearest",
        "blending": "translucent",
        "opacity": 0.6,
        "metadata": {"rwkvseg": {"explorer": kind}},  # under this key a LayerSet finds its own
    }
    return geometry.fit(values), meta, "image"
