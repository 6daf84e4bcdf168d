from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats import read_image, read_labels, write_mask, write_probability
from napari_rwkvseg.store.formats.peek import peek
from tests.store.formats.format_files import GREY, tiff

STACK = np.zeros((3, 64, 80), np.uint8)


def image_like(axes: str, spacing: tuple[float, ...], units: tuple[str, ...]) -> ImageData:
    lengths = {"t": 2, "z": 3, "n": 4, "y": 64, "x": 80}
    array = np.zeros([lengths[letter] for letter in axes], np.uint8)
    return ImageData(array, axes, spacing, units, "cells")


class TestSpacing:
    def test_of_ome_with_its_default_unit(self, tmp_path):
        sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 2}
        image = read_image(tiff(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **sizes}))
        assert (image.spacing, image.units) == ((2.0, 0.2, 0.1), ("µm",) * 3)

    def test_of_ome_time_and_channels(self, tmp_path):
        metadata = {"axes": "TCYX", "TimeIncrement": 30, "TimeIncrementUnit": "ms"}
        array = np.zeros((4, 2, 64, 80), np.uint8)
        image = read_image(tiff(tmp_path / "a.ome.tif", array, metadata=metadata))
        assert image.axes == "tcyx"
        assert (image.spacing, image.units) == ((30.0, 1.0, 1.0), ("ms", "pixel", "pixel"))

    @pytest.mark.parametrize(("unit", "short"), [("um", "µm"), ("\\u00B5m", "µm"), ("mm", "mm")])
    def test_of_imagej(self, tmp_path, unit, short):
        metadata = {"axes": "ZYX", "spacing": 2.5, "unit": unit, "finterval": 0.5}
        path = tiff(tmp_path / "a.tif", STACK, imagej=True, metadata=metadata, resolution=(10, 5))
        image = read_image(path)
        assert image.spacing == pytest.approx((2.5, 0.2, 0.1))
        assert image.units == (short,) * 3

    def test_of_imagej_leaves_slices_out_that_are_one_apart(self, tmp_path):
        metadata = {"axes": "ZYX", "unit": "um"}
        path = tiff(tmp_path / "a.tif", STACK, imagej=True, metadata=metadata, resolution=(10, 5))
        image = read_image(path)
        assert image.spacing == pytest.approx((1.0, 0.2, 0.1))
        assert image.units == ("µm",) * 3

    def test_of_imagej_without_a_unit_is_pixels(self, tmp_path):
        metadata = {"axes": "ZYX", "spacing": 2.5}
        image = read_image(tiff(tmp_path / "a.tif", STACK, imagej=True, metadata=metadata))
        assert (image.spacing, image.units) == ((1.0,) * 3, ("pixel",) * 3)

    def test_of_resolution_tags_in_centimetres(self, tmp_path):
        path = tiff(tmp_path / "a.tif", resolution=(100, 50), resolutionunit="CENTIMETER")
        image = read_image(path)
        assert (image.spacing, image.units) == ((0.2, 0.1), ("mm", "mm"))

    def test_dots_per_inch_are_no_measurement(self, tmp_path):
        image = read_image(tiff(tmp_path / "a.tif", resolution=(72, 72), resolutionunit="INCH"))
        assert image.units == ("pixel", "pixel")

    @pytest.mark.parametrize("size", ["nan", "-1", "0", "much"])
    def test_nonsense_is_left_out(self, tmp_path, size):
        metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        path = tiff(tmp_path / "a.ome.tif", metadata=metadata)
        data = path.read_bytes().replace(
            b'PhysicalSizeY="0.5"', f'PhysicalSizeY="{size}"'.ljust(19).encode()
        )
        path.write_bytes(data)
        image = read_image(path)
        assert (image.spacing, image.units) == ((1.0, 0.5), ("pixel", "µm"))

    @pytest.mark.parametrize(("old", "new"), [(b"</OME>", b"<<<<<<"), (b"Pixels", b"Pickle")])
    def test_of_broken_ome_is_unknown(self, tmp_path, old, new):
        metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        path = tiff(tmp_path / "a.ome.tif", metadata=metadata)
        path.write_bytes(path.read_bytes().replace(old, new))
        assert read_image(path).units == ("pixel", "pixel")


UNITS = st.sampled_from(["nm", "µm", "mm", "cm", "m", "Å"])
STEPS = st.floats(1e-3, 1e3).map(lambda step: float(f"{step:.5g}"))


class TestWrittenMask:
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        lead=st.sampled_from(["", "z", "t", "n", "tz", "nz"]),
        steps=st.tuples(STEPS, STEPS, STEPS, STEPS),
        unit=UNITS,
        time=st.sampled_from(["s", "ms", "min"]),
    )
    def test_returns_with_axes_spacing_and_units(self, tmp_path, lead, steps, unit, time):
        axes = lead + "yx"
        units = {"t": time, "n": "pixel"}
        spacing = tuple(1.0 if a == "n" else s for a, s in zip(axes, steps, strict=False))
        image = image_like(axes, spacing, tuple(units.get(a, unit) for a in axes))
        labels = np.arange(image.array.size, dtype=np.int32).reshape(image.array.shape) % 300
        found = read_image(write_mask(tmp_path / "mask.tif", labels, image))
        assert found.axes == axes
        assert found.spacing == pytest.approx(image.spacing, rel=1e-12)
        assert found.units == image.units
        assert np.array_equal(found.array, labels)

    def test_of_an_image_in_pixels_claims_no_size(self, tmp_path):
        image = image_like("yx", (1.0, 1.0), ("pixel", "pixel"))
        path = write_mask(tmp_path / "mask.tif", GREY, image)
        assert read_image(path).units == ("pixel", "pixel")
        with tifffile.TiffFile(path) as tif:
            assert "PhysicalSize" not in tif.ome_metadata

    def test_inches_return_as_inches(self, tmp_path):
        image = image_like("yx", (0.5, 0.25), ("inch", "inch"))
        found = read_image(write_mask(tmp_path / "mask.tif", GREY, image))
        assert (found.spacing, found.units) == (image.spacing, image.units)

    def test_tells_programs_without_ome_its_resolution(self, tmp_path):
        image = image_like("yx", (0.2, 0.1), ("mm", "mm"))
        with tifffile.TiffFile(write_mask(tmp_path / "mask.tif", GREY, image)) as tif:
            tags = tif.pages[0].tags
            x, y = tags["XResolution"].value, tags["YResolution"].value
            assert (x[0] / x[1], y[0] / y[1]) == (100, 50)
            assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER

    def test_carries_notice_software_and_nothing_of_the_source(self, tmp_path):
        array = np.zeros((64, 80), np.uint8)
        image = ImageData(array, "yx", (1.0, 1.0), ("mm", "mm"), "DOE^JANE", ("DOE^JANE",))
        path = write_mask(tmp_path / "mask.tif", array, image)
        with tifffile.TiffFile(path) as tif:
            assert f"<Description>{RESEARCH_ONLY}</Description>" in tif.ome_metadata
            assert tif.pages[0].software.startswith("napari-rwkvseg ")
        assert b"DOE" not in path.read_bytes()

    @pytest.mark.parametrize(
        ("highest", "dtype"), [(1, "u1"), (255, "u1"), (256, "u2"), (65_536, "u4")]
    )
    def test_takes_the_smallest_integers(self, tmp_path, highest, dtype):
        labels = np.zeros((64, 80), np.int64)
        labels[3, 4] = highest
        image = image_like("yx", (1.0, 1.0), ("mm", "mm"))
        array = read_image(write_mask(tmp_path / "mask.tif", labels, image)).array
        assert array.dtype == dtype
        assert array[3, 4] == highest


class TestRefusedMask:
    image = image_like("yx", (1.0, 1.0), ("mm", "mm"))

    def refused(self, path: Path, labels: np.ndarray, match: str) -> None:
        with pytest.raises(BadImageError, match=match):
            write_mask(path, labels, self.image)
        assert list(path.parent.iterdir()) == []

    def test_of_other_shape_names_both(self, tmp_path):
        match = r"\(64, 79\) for an image of shape \(64, 80\)"
        self.refused(tmp_path / "a.tif", GREY[:, 1:], match)

    def test_with_negative_ids_names_one(self, tmp_path):
        self.refused(tmp_path / "a.tif", GREY.astype(int) - 300, "negative id -300")

    def test_of_fractions(self, tmp_path):
        self.refused(tmp_path / "a.tif", GREY.astype(float), "float64 values are no mask")

    def test_with_an_unknown_ending_names_the_known(self, tmp_path):
        self.refused(tmp_path / "a.jpg", GREY, r"a\.jpg: unknown ending.*\.nii\.gz")


class TestReadLabels:
    def test_keeps_ids(self, tmp_path):
        labels = read_labels(tiff(tmp_path / "a.tif", GREY.astype(np.int32) + 100))
        assert labels.dtype == np.uint16
        assert np.array_equal(labels, GREY.astype(int) + 100)

    def test_accepts_whole_floats(self, tmp_path):
        labels = read_labels(tiff(tmp_path / "a.tif", GREY.astype(np.float32)))
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, GREY)

    @pytest.mark.parametrize(
        ("value", "match"), [(-1, "65535: -1"), (70_000, "65535: 70000"), (0.5, "fractions")]
    )
    def test_refuses_other_values(self, tmp_path, value, match):
        array = np.zeros((64, 80), np.float32)
        array[5, 5] = value
        with pytest.raises(BadImageError, match=match):
            read_labels(tiff(tmp_path / "a.tif", array))

    def test_refuses_colours(self, tmp_path):
        with pytest.raises(BadImageError, match="colour picture"):
            read_labels(tiff(tmp_path / "a.tif", np.stack([GREY] * 3, -1), photometric="rgb"))


class TestProbability:
    image = image_like("zyx", (2.0, 0.5, 0.5), ("mm",) * 3)

    def test_has_one_named_channel_per_class(self, tmp_path):
        maps = np.linspace(0, 1, 2 * STACK.size, dtype=np.float16).reshape(2, *STACK.shape)
        path = write_probability(tmp_path / "p.tif", maps, self.image, ["liver", "spleen"])
        found = read_image(path)
        assert (found.axes, found.array.dtype) == ("czyx", np.float32)
        assert found.spacing == (2.0, 0.5, 0.5)
        assert np.array_equal(found.array, maps.astype(np.float32))
        with tifffile.TiffFile(path) as tif:
            assert 'Name="liver"' in tif.ome_metadata
            assert 'Name="spleen"' in tif.ome_metadata

    def test_needs_a_name_for_each_class(self, tmp_path):
        with pytest.raises(BadImageError, match="does not fit 1 classes"):
            write_probability(tmp_path / "p.tif", np.zeros((2, *STACK.shape)), self.image, ["a"])

    def test_as_numpy_file(self, tmp_path):
        maps = np.full((1, *STACK.shape), 0.25, np.float16)
        write_probability(tmp_path / "p.npy", maps, self.image, ["a"])
        assert np.array_equal(np.load(tmp_path / "p.npy"), maps)


class TestCutStack:
    stack = np.random.default_rng(0).integers(0, 60_000, (5, 33, 40), np.uint16)

    @pytest.mark.parametrize(
        "options",
        [
            {"imagej": True},
            {"ome": True},
            {"metadata": None},
            {"bigtiff": True, "byteorder": ">"},
            {"imagej": True, "truncate": True},  # all planes behind one page
            {"truncate": True},
        ],
    )
    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_is_refused_not_read_as_what_is_left(self, tmp_path, options, share):
        path = tiff(tmp_path / "a.tif", self.stack, photometric="minisblack", **options)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(BadImageError, match=r"a\.tif: truncated TIFF.*download it again"):
            read_image(path)

    def test_is_told_of_a_layer_that_another_reader_made_of_it(self, tmp_path):
        path = tiff(tmp_path / "a.tif", self.stack, imagej=True)
        path.write_bytes(path.read_bytes()[:-3000])
        notes = "truncated TIFF, it ends after page 1 and more should follow"
        assert peek(path).notes == (f"File not checked: {notes}.",)

    def test_of_pages_one_behind_the_other_is_refused(self, tmp_path):
        pages = [Image.fromarray(plane) for plane in self.stack]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        with tifffile.TiffFile(tmp_path / "a.tif") as tif:
            fourth = tif.pages[3].offset
        data = (tmp_path / "a.tif").read_bytes()
        (tmp_path / "a.tif").write_bytes(data[:fourth])
        with pytest.raises(BadImageError, match="it ends after page 3 and more should follow"):
            read_image(tmp_path / "a.tif")

    def test_is_told_from_one_plane_that_kept_the_text_of_its_stack(self, tmp_path):
        text = "ImageJ=1.54f\nimages=5\nslices=5\n"
        path = tiff(tmp_path / "a.tif", self.stack[0], description=text, metadata=None)
        assert read_image(path).axes == "yx"


def test_a_stack_in_several_files_is_read_from_its_first(tmp_path):
    """Its planes are not looked for in a file that is shorter than the others."""
    tail = np.random.default_rng(0).integers(0, 255, (64, 80), np.uint8)
    planes = [np.zeros((64, 80), np.uint8), tail]
    names = [f"z{z}.ome.tif" for z in range(2)]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z, name in enumerate(names)
    )
    sizes = 'SizeX="80" SizeY="64" SizeZ="2" SizeC="1" SizeT="1"'
    for z, name in enumerate(names):
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint8" '
            f'DimensionOrder="XYZCT" {sizes}>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / name, planes[z], description=xml, metadata=None, compression="zlib"
        )
    image = read_image(tmp_path / names[0])
    assert image.axes == "zyx"
    assert np.array_equal(image.array, planes)


def test_missing_codec_is_named(tmp_path):
    path = tiff(tmp_path / "a.tif", compression="lzw")
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from napari_rwkvseg.errors import BadImageError\n"
        "from napari_rwkvseg.store.formats import read_image\n"
        "try: read_image(sys.argv[1])\n"
        "except BadImageError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "a.tif: needs a decoder" in done.stdout
    assert "Install the package imagecodecs" in done.stdout
