"""Segment medical and microscopy images with a light dynamic-scan Vision-RWKV network.

    from napari_rwkvseg import load_model
    masks = load_model("nuclei").predict(image)

Importing the package imports neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_rwkvseg.api import Segmenter, list_models, load_model

__all__ = ["Segmenter", "__version__", "list_models", "load_model"]
__version__ = version("napari-rwkvseg")


def __getattr__(name: str) -> Any:
    if name in ("Segmenter", "list_models", "load_model"):
        return getattr(import_module("napari_rwkvseg.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
