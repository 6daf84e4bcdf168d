from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.engine.hints import SourceHints
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.intensity import measure_window
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError

NAN, INF = float("nan"), float("inf")
OPENED = {"name": "cells"}


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    values = np.random.default_rng(7).integers(0, 256, shape or (64, 80))
    return values.astype(dtype)


def floats(**changed: float) -> np.ndarray:
    values = noise(dtype=np.float32)
    for share, value in changed.items():
        values[{"one": np.s_[3, 4], "half": np.s_[:32], "all": np.s_[:]}[share]] = value
    return values


def read(array: Any, **clues: Any) -> ImageData:
    return interpret(array, **(OPENED | clues))


def verdict(make: Callable[[], tuple[Any, dict[str, Any]]]) -> tuple[str, str]:
    """Return E, E?, W or OK, and what the user reads."""
    array, clues = make()
    try:
        image = read(array, **clues)
        notes = (*image.notes, *measure_window(image, (1, 99.8))[1])
    except AmbiguousAxesError as question:
        return "E?", str(question)
    except BadImageError as error:
        return "E", str(error)
    return ("W", " ".join(notes)) if notes else ("OK", "")


# number in the catalogue of bad inputs, array, clues, verdict, part of the message
CATALOGUE = [
    ("1 one NaN", floats(one=NAN), {}, "W", "1 non-finite pixel masked"),
    ("2 all NaN", floats(all=NAN), {}, "E", "no finite pixel"),
    ("3 one +inf", floats(one=INF), {}, "W", "1 non-finite pixel masked"),
    ("4 half -inf", floats(half=-INF), {}, "W", "2560 non-finite pixels masked"),
    ("5 constant", np.full((64, 80), 7, np.uint8), {}, "W", "constant image"),
    ("6 zeros", np.zeros((64, 80), np.uint8), {}, "W", "constant image"),
    ("7 12-bit in uint16", noise(dtype=np.uint16) * 16, {}, "OK", ""),
    ("8 uint32", noise(dtype=np.uint32), {}, "OK", ""),
    ("9 uint64", noise(dtype=np.uint64), {}, "OK", ""),
    ("10 HU", noise(dtype=np.int16) - 1024, {}, "OK", ""),
    ("11 float64", floats().astype(float) * 1e300, {}, "E", "exceeds float32"),
    ("12 float16", noise(dtype=np.float16), {}, "OK", ""),
    ("13 complex", noise(dtype=np.complex64), {}, "E", "complex values"),
    ("14 bool", noise() > 100, {}, "OK", ""),
    ("15 one row", noise()[:1], {}, "E", "side 1 below minimum 16"),
    ("16 one column", noise()[:, :1], {}, "E", "side 1 below minimum 16"),
    ("17 one pixel", noise()[:1, :1], {}, "E", "side 1 below minimum 16"),
    ("18 no row", noise()[:0], {}, "E", "empty axis (0×80)"),
    ("19 RGB", noise(64, 80, 3), {"rgb": True}, "OK", ""),
    ("20 RGBA", noise(64, 80, 4), {"rgb": True}, "OK", ""),
    ("21 CMYK", noise(64, 80, 4), {"rgb": True, "hints": SourceHints(cmyk=True)}, "E", "CMYK"),
    ("22 grey and alpha", noise(64, 80, 2), {}, "E?", "the last axis has 2 entries: channels?"),
    ("23 channels last", noise(64, 80, 2, dtype=np.uint16), {}, "E?", "the last axis"),
    ("24 3 planes", noise(3, 64, 80), {}, "E?", "axis 0 has 3 planes: Z, T or C?"),
    ("25 5 planes", noise(5, 64, 80), {}, "E?", "axis 0 has 5 planes: Z, T or C?"),
    ("26 palette", noise(), {"hints": SourceHints(palette=True)}, "W", "palette ignored"),
    ("28 inverted", noise(), {"hints": SourceHints(miniswhite=True)}, "W", "stored inverted"),
    (
        "29 hyperstack",
        noise(2, 5, 3, 64, 80),
        {"hints": SourceHints("TZCYX")},
        "E?",
        "axes 0, 1, 2",
    ),
    (
        "31 spacing",
        noise(),
        {"hints": SourceHints(spacing=(2, 0.1, 0.1), units=("um",) * 3)},
        "W",
        "spacing in file, not in layer: 2×0.1×0.1 µm",
    ),
    ("33 series", noise(), {"hints": SourceHints(series=(1, 3))}, "W", "1 of 3 series shown"),
    ("51 big-endian", noise(dtype=">f4"), {}, "OK", ""),
    ("52 upside down", floats()[::-1, ::-1], {}, "OK", ""),
    ("53 5-D", noise(2, 2, 2, 64, 80), {}, "E?", "which is Z, T or C?"),
    ("54 name", noise(), {"name": "名前 é.tif"}, "OK", ""),
    ("55 GIF", noise(3, 64, 80, 3), {"rgb": True}, "E?", "axis 0 has 3 planes: Z, T or C?"),
    ("56 inverted", noise(), {"hints": SourceHints(monochrome1=True)}, "W", "MONOCHROME1"),
    ("58 frames", noise(), {"hints": SourceHints(frames=(1, 2))}, "E", "1 of 2 frames read"),
    ("79 hot pixel", floats(one=1e30), {}, "W", "outliers up to 1e+30 ignored"),
    ("int64", noise(dtype=np.int64), {}, "OK", ""),
    ("objects", noise(dtype=object), {}, "E", "Python objects instead of numbers (object)"),
    ("text", noise().astype(str), {}, "E", "text instead of numbers (<U3)"),
    ("records", np.zeros((64, 80), "u1,u1"), {}, "E", "records instead of numbers"),
    ("dates", noise().astype("M8[s]"), {}, "E", "dates instead of numbers"),
    ("0-D", np.array(3), {}, "E", "0-D"),
    ("1-D", noise(64), {}, "E", "1-D"),
    ("7-D", noise(2, 2, 2, 2, 2, 64, 80), {}, "E", "7-D"),
]


@pytest.mark.parametrize(
    ("array", "clues", "want", "message"),
    [row[1:] for row in CATALOGUE],
    ids=[row[0] for row in CATALOGUE],
)
def test_verdict_of_the_catalogue(
    array: np.ndarray, clues: dict[str, Any], want: str, message: str
) -> None:
    before = array.copy()
    found, text = verdict(lambda: (array, clues))
    assert found == want, text
    assert message in text
    if want.startswith("E"):
        assert text.startswith("cells: ")
        assert len(text) > len(f"cells: {message}") + 5  # a remedy follows
    np.testing.assert_array_equal(array, before)


class TestReading:
    @pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", ">f8", "f2", "u4", "i8", "?", "<f4"])
    def test_every_number_type_becomes_native_float32(self, dtype: str) -> None:
        values = noise(20, 30, dtype=dtype)
        plane = read(values).plane()
        assert plane.dtype == np.dtype("=f4")
        assert plane.flags.c_contiguous
        np.testing.assert_array_equal(plane[..., 0], values.astype(np.float32))

    def test_views_with_negative_strides_are_copied(self) -> None:
        values = floats()[::-1, ::2]
        plane = read(values).plane()
        np.testing.assert_array_equal(plane[..., 0], values)
        assert not np.shares_memory(plane, values)

    def test_the_array_is_kept_not_copied(self) -> None:
        values = noise()
        assert read(values).array is values

    def test_alpha_is_dropped(self) -> None:
        values = noise(20, 30, 4)
        image = read(values, rgb=True)
        assert image.n_channels == 3
        np.testing.assert_array_equal(image.plane(), values[..., :3])

    @pytest.mark.parametrize(
        ("axes", "shape"), [("cyx", (2, 20, 30)), ("ycx", (20, 2, 30)), ("yxc", (20, 30, 2))]
    )
    def test_channels_come_last_wherever_they_were(self, axes: str, shape: tuple[int, ...]) -> None:
        values = noise(*shape)
        image = read(values, axes=axes)
        assert (image.plane_shape, image.n_channels, image.lead_axes) == ((20, 30), 2, "")
        expected = np.moveaxis(values, axes.index("c"), -1)
        np.testing.assert_array_equal(image.plane(), expected)

    def test_planes_are_walked_in_order(self) -> None:
        values = noise(2, 3, 4, 20, 30)
        image = read(values, axes="tczyx")
        assert (image.lead_axes, image.lead_shape) == ("tz", (2, 4))
        assert image.spatial_shape == (2, 4, 20, 30)
        indices = list(image.planes())
        assert indices[:5] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
        np.testing.assert_array_equal(image.plane((1, 2)), np.moveaxis(values[1, :, 2], 0, -1))

    def test_a_single_plane_has_the_empty_index(self) -> None:
        assert list(read(noise()).planes()) == [()]

    def test_non_finite_values_are_kept(self) -> None:
        plane = read(floats(one=NAN, half=INF)).plane()
        assert np.isinf(plane[:32]).sum() == 32 * 80

    def test_infinity_in_float64_is_not_too_large(self) -> None:
        assert np.isinf(read(floats(one=INF).astype(float)).plane()[3, 4, 0])

    @settings(deadline=None, max_examples=40)
    @given(st.data())
    def test_a_region_is_a_part_of_the_plane(self, data: st.DataObject) -> None:
        image = read(noise(3, 20, 24), axes="zyx")
        top, left = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 23))
        bottom = data.draw(st.integers(top + 1, 20))
        right = data.draw(st.integers(left + 1, 24))
        part = image.region((1,), slice(top, bottom), slice(left, right))
        np.testing.assert_array_equal(part, image.plane((1,))[top:bottom, left:right])


class TestLazyArrays:
    def test_only_the_chunks_of_the_region_are_read(self) -> None:
        places: list[Any] = []

        def block(block_info: Any = None) -> np.ndarray:
            places.append(block_info[None]["array-location"])
            return np.ones((1, 64, 64), np.uint8)

        chunks = ((1,) * 4, (64,) * 4, (64,) * 4)
        array = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), "u1"))
        image = read(array, axes="zyx")
        assert places == []
        image.region((2,), slice(70, 100), slice(130, 190))
        assert places == [[(2, 3), (64, 128), (128, 192)]]

    def test_anything_sliced_on_demand_is_read_lazily(self) -> None:
        class OnDisk:
            shape, dtype, chunks = (2, 40, 40), np.dtype("u1"), (1, 40, 40)

            def __init__(self) -> None:
                self.reads: list[Any] = []

            def __getitem__(self, key: Any) -> np.ndarray:
                self.reads.append(key)
                return np.ones(self.shape, "u1")[key]

        disk = OnDisk()
        one = read(disk, axes="cyx").select_channel(1)
        assert disk.reads == []
        assert one.plane().shape == (40, 40, 1)
        assert len(disk.reads) == 1

    def test_a_broken_block_is_named(self) -> None:
        def broken(_: np.ndarray) -> np.ndarray:
            raise OSError("disk gone")

        array = da.zeros((4, 32, 32), chunks=(1, 32, 32)).map_blocks(broken, meta=np.empty(0))
        with pytest.raises(BadImageError, match=r"cells: plane \(2,\), rows 0-32.*disk gone"):
            read(array, axes="zyx").plane((2,))

    def test_an_array_that_shrinks_meanwhile_is_noticed(self) -> None:
        values = noise(64, 80)
        image = read(values)
        values.resize((32, 80), refcheck=False)
        with pytest.raises(BadImageError, match="changed its shape"):
            image.region((), slice(0, 64), slice(0, 80))

    def test_unknown_chunk_sizes_are_refused(self) -> None:
        array = da.zeros((64, 80), chunks=8)
        with pytest.raises(BadImageError, match="size unknown"):
            read(array[array.sum(axis=1) == 0])


class TestSelectChannel:
    def test_of_a_channel_stack(self) -> None:
        values = noise(3, 2, 20, 30)
        one = read(values, axes="czyx", spacing=(1, 5, 2, 2), units=("px", "mm", "mm", "mm"))
        one = one.select_channel(2)
        assert (one.axes, one.spacing, one.n_channels) == ("zyx", (5, 2, 2), 1)
        np.testing.assert_array_equal(one.plane((1,))[..., 0], values[2, 1])

    def test_of_colours(self) -> None:
        values = noise(20, 30, 3)
        one = read(values, rgb=True).select_channel(1)
        assert (one.axes, one.is_rgb) == ("yx", False)
        np.testing.assert_array_equal(one.plane()[..., 0], values[..., 1])

    def test_of_grey_is_the_image_itself(self) -> None:
        image = read(noise())
        assert image.select_channel(0) is image

    @pytest.mark.parametrize("channel", [-1, 3])
    def test_unknown_channels_are_refused(self, channel: int) -> None:
        with pytest.raises(BadImageError, match="Choose 0 to 2"):
            read(noise(3, 20, 30), axes="cyx").select_channel(channel)


class TestSpacing:
    def test_is_one_pixel_by_default(self) -> None:
        image = read(noise(3, 20, 30), axes="cyx")
        assert (image.spacing, image.units) == ((1, 1), ("pixel", "pixel"))

    @pytest.mark.parametrize("given_for", ["all", "without colours", "without channels"])
    def test_leaves_channels_out(self, given_for: str) -> None:
        if given_for == "all":
            image = read(noise(2, 20, 30, 3), axes="zyxs", spacing=(5, 2, 3, 1))
        elif given_for == "without colours":
            image = read(noise(2, 20, 30, 3), rgb=True, axes="zyx", spacing=(5, 2, 3))
        else:
            image = read(noise(4, 2, 20, 30), axes="czyx", spacing=(5, 2, 3))
        assert image.spacing == (5, 2, 3)

    def test_ignores_mirroring_and_nonsense(self) -> None:
        image = read(noise(2, 20, 30), axes="zyx", spacing=np.array([-2.5, 0, NAN]))
        assert image.spacing == (2.5, 1, 1)

    def test_of_the_wrong_length_is_a_programming_error(self) -> None:
        with pytest.raises(ValueError, match="2 values do not fit the axes zyx"):
            read(noise(2, 20, 30), axes="zyx", spacing=(1, 2))

    def test_in_the_layer_silences_the_note_about_the_file(self) -> None:
        hints = SourceHints(spacing=(0.5, 0.5), units=("mm", "mm"))
        assert read(noise(), spacing=(0.5, 0.5), units=("mm", "mm"), hints=hints).notes == ()


@pytest.mark.parametrize(
    ("shape", "clues", "line"),
    [
        ((20, 30), {}, "image 30×20"),
        ((20, 30, 3), {"rgb": True}, "RGB photo 30×20"),
        ((3, 20, 30), {"axes": "cyx"}, "3 channels of 30×20"),
        ((1, 20, 30), {"axes": "zyx"}, "1 slice of 30×20"),
        ((4, 20, 30, 3), {"axes": "tyxs"}, "4 frames of 30×20 (RGB)"),
        (
            (5, 20, 30),
            {"axes": "zyx", "spacing": (5, 0.75, 0.6875), "units": ("mm",) * 3},
            "5 slices of 30×20, 0.688×0.75×5 mm",
        ),
        (
            (2, 4, 20, 30),
            {"axes": "tzyx", "spacing": (9, 1, 2, 3), "units": ("s", "um", "nm", "nm")},
            "2 frames × 4 slices of 30×20, 3 nm × 2 nm × 1 µm",
        ),
    ],
)
def test_description(shape: tuple[int, ...], clues: dict[str, Any], line: str) -> None:
    assert read(noise(*shape), **clues).describe() == line
