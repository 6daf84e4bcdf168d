"""The input catalogue as people meet it: a layer in napari, Segment, one verdict per row.

Files are opened by napari's own reader, since what it hides has to be found out all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Layer
from npe2 import PluginManager, PluginManifest
from PIL import Image as Picture

from napari_rwkvseg.adapters.from_layers import image_from_layer
from napari_rwkvseg.engine.predict import predict
from napari_rwkvseg.engine.prediction import Prediction, PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from tests.fakes import fake_model

GREY = np.random.default_rng(0).integers(0, 255, (64, 80), np.uint8)
FLOAT = GREY.astype(np.float32)
COLOUR = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
CPU = PredictOptions(device="cpu", threads=1)
Make = Callable[[Path], Layer]


@dataclass(frozen=True)
class Row:
    """One input and the wanted verdict: fine, fine with a note, refused, or asked about."""

    name: str
    make: Make
    ok: str = ""
    note: str = ""
    error: str = ""
    ask: str = ""
    empty: bool = False


@pytest.fixture(autouse=True)
def _napari_readers(npe2pm: PluginManager) -> None:
    npe2pm.register(PluginManifest.from_distribution("napari"))


def layer(data: Any, **options: Any) -> Make:
    return lambda _: Image(data, name="cells", **options)


def changed(*places: tuple[Any, float]) -> Make:
    data = FLOAT.copy()
    for place, value in places:
        data[place] = value
    return layer(data)


def opened(path: Path) -> Layer:
    viewer = ViewerModel()
    (found,) = viewer.open(str(path), plugin="napari")
    assert isinstance(found, Layer)
    return found


def tiff(data: Any = GREY, **options: Any) -> Make:
    def make(folder: Path) -> Layer:
        tifffile.imwrite(folder / "cells.tif", data, **options)
        return opened(folder / "cells.tif")

    return make


def picture(mode: str, data: Any = GREY, suffix: str = "png") -> Make:
    def make(folder: Path) -> Layer:
        path = folder / f"cells.{suffix}"
        Picture.fromarray(data).convert(mode).save(path)
        return opened(path)

    return make


def pages_of_other_size(folder: Path) -> Layer:
    with tifffile.TiffWriter(folder / "cells.tif") as file:
        for size in (64, 48, 32):
            file.write(GREY[:size, :size])
    return opened(folder / "cells.tif")


def pyramid(folder: Path) -> Layer:
    with tifffile.TiffWriter(folder / "cells.tif") as file:
        file.write(GREY, subifds=2)
        file.write(GREY[::2, ::2], subfiletype=1)
        file.write(GREY[::4, ::4], subfiletype=1)
    return opened(folder / "cells.tif")


def gif(folder: Path) -> Layer:
    frames = [Picture.fromarray(np.roll(GREY, 9 * k, 1)) for k in range(3)]
    frames[0].save(folder / "cells.gif", save_all=True, append_images=frames[1:])
    return opened(folder / "cells.gif")


TZCYX = np.random.default_rng(1).integers(0, 255, (2, 3, 2, 64, 80), np.uint8)
OME_SIZES = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 2.0}
PALETTE = np.arange(768, dtype=np.uint16).reshape(3, 256)

ROWS = (
    Row("1 one NaN", changed(((5, 5), np.nan)), ok="yx", note="1 non-finite pixel masked"),
    Row("2 all NaN", layer(FLOAT * np.nan, contrast_limits=(0, 1)), error="no finite pixel"),
    Row("3 one +inf", changed(((5, 5), np.inf)), ok="yx", note="1 non-finite pixel masked"),
    Row("4 half -inf", changed((slice(32), -np.inf)), ok="yx", note="2560 non-finite pixels"),
    Row("5 constant", layer(np.full((64, 80), 7)), ok="yx", note="constant image", empty=True),
    Row("6 zeros", layer(np.zeros((64, 80))), ok="yx", note="constant image", empty=True),
    Row("7 12-bit in uint16", layer(GREY.astype(np.uint16) * 16), ok="yx"),
    Row("8 uint32 TIFF", tiff(GREY.astype(np.uint32)), error="opened as labels"),
    Row("9 uint64 TIFF", tiff(GREY.astype(np.uint64)), error="opened as labels"),
    Row("10 int16, negative", layer(GREY.astype(np.int16) - 1000), ok="yx"),
    Row("11 beyond float32", layer(GREY * 1e300), error="exceeds float32"),
    Row("12 float16", layer(GREY.astype(np.float16)), ok="yx"),
    Row("14 bool", layer(GREY > 127), ok="yx"),
    Row("14 bool PNG", picture("1"), ok="yx"),
    Row("15 one row", layer(GREY[:1]), error="side 1 below minimum 16"),
    Row("16 one column", layer(GREY[:, :1]), error="side 1 below minimum 16"),
    Row("17 one pixel", layer(GREY[:1, :1]), error="side 1 below minimum 16"),
    Row("19 RGB", picture("RGB", COLOUR), ok="yxs"),
    Row(
        "20 RGBA",
        tiff(np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=["unassalpha"]),
        ok="yxs",
    ),
    Row("21 CMYK", tiff(np.stack([GREY] * 4, -1), photometric="separated"), error="CMYK"),
    Row("22 grey and alpha", layer(np.stack([GREY] * 2, -1)), ask="last axis"),
    Row("23 two channels last", layer(np.stack([FLOAT] * 2, -1)), ask="last axis"),
    Row("24 three planes first", layer(np.stack([GREY] * 3)), ask="Z, T or C?"),
    Row(
        "25 five planes",
        tiff(np.stack([GREY] * 5), planarconfig="separate", photometric="minisblack"),
        ask="?",
    ),
    Row("26 palette", tiff(photometric="palette", colormap=PALETTE), ok="yx", note="palette"),
    Row("27 palette PNG", picture("P", COLOUR), ok="yxs"),
    Row("28 miniswhite", tiff(photometric="miniswhite"), ok="yx", note="stored inverted"),
    Row("29 ImageJ TZCYX", tiff(TZCYX, imagej=True, metadata={"axes": "TZCYX"}), ask="?"),
    Row("30 OME TCZYX", tiff(TZCYX, ome=True, metadata={"axes": "TCZYX"}), ask="?"),
    Row("32 pyramid", pyramid, ok="yx"),
    Row("33 pages of other size", pages_of_other_size, ok="yx", note="1 of 3 series"),
    Row("34 BigTIFF", tiff(bigtiff=True), ok="yx"),
    *(
        Row(f"35 tiled {codec}", tiff(tile=(32, 32), compression=codec), ok="yx")
        for codec in ("zlib", "lzw", "zstd", "jpeg", "jpeg2000", "lerc")
    ),
    Row("51 big-endian", layer(FLOAT.astype(">f4")), ok="yx"),
    Row("52 negative stride", layer(FLOAT[::-1, ::-1]), ok="yx"),
    Row("53 5-D", layer(np.zeros((2, 2, 2, 64, 80), np.uint8)), ask="?"),
    Row("54 name", lambda _: Image(GREY, name="cell 1 名前 é"), ok="yx"),
    Row("55 GIF", gif, ask="?"),
)


def segment(found: Layer, axes: str | None = None) -> Prediction:
    return finish(predict(fake_model(), image_from_layer(found, axes), CPU))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:napari", "ignore::RuntimeWarning:numpy")
def test_the_verdict_is_the_wanted_one(row: Row, tmp_path: Path) -> None:
    found = row.make(tmp_path)
    before = np.array(found.data[0] if getattr(found, "multiscale", False) else found.data)
    if row.ok:
        prediction = segment(found)
        assert image_from_layer(found).axes == row.ok
        assert np.isfinite(prediction.probability).all()
        assert prediction.shape == image_from_layer(found).spatial_shape
        assert row.note in " ".join(prediction.notes)
        assert bool(prediction.notes) == bool(row.note)
        assert prediction.classes().any() != row.empty
    else:
        with pytest.raises(BadImageError) as caught:
            segment(found)
        assert isinstance(caught.value, AmbiguousAxesError) == bool(row.ask)
        assert str(caught.value).startswith(f"{found.name}: ")
        assert row.error + row.ask in str(caught.value)
    after = found.data[0] if getattr(found, "multiscale", False) else found.data
    assert np.array_equal(before, np.asarray(after), equal_nan=before.dtype.kind == "f")


def test_row_13_complex_values_are_refused() -> None:
    class Complex(Image):
        """napari refuses such data with an empty text, so the layer is told after its making."""

        @property
        def data(self) -> Any:
            return GREY.astype(np.complex64)

    found = Image(GREY, name="cells")
    found.__class__ = Complex
    with pytest.raises(BadImageError, match="cells: complex values"):
        segment(found)


def test_row_18_an_empty_axis_is_refused() -> None:
    class Empty(Image):
        """napari's reader fails on such files; a plugin may still make such a layer."""

        @property
        def data(self) -> Any:
            return GREY[:0]

    found = Image(GREY, name="cells")
    found.__class__ = Empty
    with pytest.raises(BadImageError, match="cells: empty axis"):
        segment(found)


def test_row_31_spacing_that_napari_dropped_is_noted(tmp_path: Path) -> None:
    data = TZCYX[0].swapaxes(0, 1)  # C Z Y X
    metadata = {"axes": "CZYX", **OME_SIZES}
    found = tiff(data, ome=True, metadata=metadata)(tmp_path)
    image = image_from_layer(found, "czyx").select_channel(0)
    prediction = finish(predict(fake_model(), image, CPU))
    assert "spacing in file, not in layer" in " ".join(prediction.notes)


@pytest.mark.parametrize("row", [row for row in ROWS if row.ask], ids=lambda row: row.name)
def test_what_is_asked_has_answers_that_work(row: Row, tmp_path: Path) -> None:
    found = row.make(tmp_path)
    with pytest.raises(AmbiguousAxesError) as caught:
        image_from_layer(found)
    for axes in caught.value.choices:
        image = image_from_layer(found, axes)
        assert image.axes == axes
        if "c" in axes:
            image = image.select_channel(image.n_channels - 1)
        assert finish(predict(fake_model(), image, CPU)).shape == image.spatial_shape


def test_a_lazy_layer_is_read_like_any_other() -> None:
    lazy = segment(Image(dask.array.from_array(GREY, chunks=32), name="cells"))
    assert np.array_equal(lazy.probability, segment(Image(GREY, name="cells")).probability)
