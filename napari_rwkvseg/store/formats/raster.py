"""Photographs and screenshots: PNG, JPEG, GIF, BMP through Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats.pixels import UNKNOWN, FilePixels, check_size, decoding

# Pillow's own bound for hostile files; a real scan of this size belongs into a tiled TIFF.
MAX_PIXELS = 178_956_970

_GREY = {"1", "L", "F", "I"}  # and I;16, I;16B ...


def read_raster(path: Path) -> FilePixels:
    """Read a picture; palettes become RGB, animation frames an unnamed first axis.

    Raises
    ------
    BadImageError
        For more than 178 956 970 pixels, CMYK, and damaged files.
    """
    try:
        with decoding(path, "picture"), Image.open(path) as image:
            _check_header(path.name, image)
            # the further pictures of a photograph are previews, or another view of it
            count = 1 if image.format == "MPO" else _n_frames(image)
            return _to_pixels([_decode(image, index) for index in range(count)])
    except Image.DecompressionBombError as error:
        raise _too_large(path.name, str(error).split(",")[0]) from error


def _check_header(name: str, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{height}×{width} pixels")
    if image.mode in {"CMYK", "LAB", "HSV"}:
        raise BadImageError(name, f"{image.mode} colours", "Convert it to RGB")
    check_size(name, (_n_frames(image), height, width), 4)


def _too_large(name: str, size: str) -> BadImageError:
    reason = f"{size} exceeds the pixel limit of {MAX_PIXELS}"
    return BadImageError(name, reason, "Save it as a tiled TIFF or crop it")


def _n_frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _decode(image: Image.Image, index: int) -> npt.NDArray[Any]:
    if index:  # seeking to frame 0 would reread the file
        image.seek(index)
    if image.mode in _GREY or image.mode.startswith("I;16") or image.mode in {"LA", "RGBA"}:
        return np.asarray(image)
    # Palettes become colours: the indices themselves mean nothing.
    alpha = image.mode in {"PA", "RGBa", "La"} or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if alpha else "RGB"))


def _to_pixels(frames: list[npt.NDArray[Any]]) -> FilePixels:
    colour = any(frame.ndim == 3 and frame.shape[-1] >= 3 for frame in frames)
    if len(frames) == 1:
        array = frames[0]
        lead = ""
    else:
        array = np.stack([_as_rgb(frame) if colour else frame for frame in frames])
        lead = UNKNOWN
    tail = "yxs" if colour else "yx" + UNKNOWN * (array.ndim - len(lead) - 2)
    axes = lead + tail
    likely = "t" + tail if lead and UNKNOWN not in tail else ""
    return FilePixels(array, axes, hints=SourceHints(axes=likely))


def _as_rgb(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give every frame of an animation three samples: GIF starts grey and turns to colour."""
    if frame.ndim == 2:
        return np.repeat(frame[..., None], 3, axis=-1)
    return frame[..., :3] if frame.shape[-1] >= 3 else np.repeat(frame[..., :1], 3, axis=-1)
