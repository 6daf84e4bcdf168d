"""The project's own sample images as napari layers: File > Open Sample > RWKV Segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_rwkvseg.adapters.readers import layer_keywords
from napari_rwkvseg.adapters.to_layers import LayerTuple, class_colors, class_features
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.formats import read_labels
from napari_rwkvseg.store.formats.opening import read_pixels

SAMPLES = ("nuclei", "tissue", "ct")
CT_CLASSES = ("liver", "spleen", "kidney", "lung", "aorta", "bone", "lesion")
SOFT_TISSUE = (-160.0, 240.0)  # Hounsfield units: the window an abdomen is read in

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "samples", _PACKAGE.parent / "sample_data")  # wheel, source checkout


def sample_path(name: str, truth: bool = False) -> Path:
    """Return the file of a sample.

    Parameters
    ----------
    name : str
        One of `SAMPLES`.
    truth : bool
        Whether to return the file of its true labels instead of the image.

    Raises
    ------
    RwkvSegError
        If there is no such sample, or its file is missing.
    """
    if name not in SAMPLES:
        raise RwkvSegError(f'There is no sample "{name}". Choose {", ".join(SAMPLES)}.')
    file = f"{name}_truth.tif" if truth else f"{name}.tif"
    for folder in _FOLDERS:
        if (folder / file).is_file():
            return folder / file
    raise RwkvSegError(f"The sample file {file} is missing. Install napari-rwkvseg again.")


def nuclei_sample() -> list[LayerTuple]:
    """Return the fluorescent nuclei, uint16 (512, 512), and their hidden truth."""
    return _sample("nuclei", colormap="gray")


def tissue_sample() -> list[LayerTuple]:
    """Return the stained tissue, uint8 RGB (384, 384, 3), and its hidden truth."""
    return _sample("tissue")


def ct_sample() -> list[LayerTuple]:
    """Return the CT volume, int16 Hounsfield units (24, 192, 192), and its hidden organs."""
    image, truth = _sample("ct", colormap="gray", contrast_limits=SOFT_TISSUE)
    truth[1]["features"] = class_features(CT_CLASSES)
    truth[1]["colormap"] = class_colors(len(CT_CLASSES))
    return [image, truth]


def _sample(name: str, **look: Any) -> list[LayerTuple]:
    """Return the image layer and, above it but not visible, the true labels."""
    pixels = read_pixels(sample_path(name))
    image = layer_keywords(name, pixels)
    truth = {key: image[key] for key in ("scale", "units", "axis_labels")}
    truth |= {"name": f"{name} · truth", "visible": False}
    labels = read_labels(sample_path(name, truth=True))
    return [(pixels.array, image | look, "image"), (labels, truth, "labels")]
