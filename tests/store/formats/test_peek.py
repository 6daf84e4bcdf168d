from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.store.formats.peek import peek
from tests.store.formats.format_files import GREY, dicom, picture, series, tiff


class TestTiff:
    def test_plain_says_nothing(self, tmp_path):
        assert peek(tiff(tmp_path / "a.tif")) == SourceHints(axes="yx")

    @pytest.mark.parametrize(
        ("options", "flag"),
        [
            ({"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, "palette"),
            ({"photometric": "miniswhite"}, "miniswhite"),
        ],
    )
    def test_tells_how_colours_are_meant(self, tmp_path, options, flag):
        assert peek(tiff(tmp_path / "a.tif", **options)) == SourceHints(axes="yx", **{flag: True})

    def test_tells_cmyk(self, tmp_path):
        array = np.stack([GREY] * 4, -1)
        assert peek(tiff(tmp_path / "a.tif", array, photometric="separated")).cmyk

    def test_bilevel_files_are_not_called_inverted(self, tmp_path):
        assert not peek(tiff(tmp_path / "a.tif", GREY > 9)).miniswhite

    def test_names_axes_of_imagej(self, tmp_path):
        array = np.zeros((2, 3, 2, 64, 80), np.uint8)
        path = tiff(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TZCYX"})
        assert peek(path).axes == "tzcyx"

    def test_names_no_axes_it_does_not_know(self, tmp_path):
        path = tiff(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="minisblack")
        assert peek(path).axes == ""

    def test_gives_spacing_of_every_axis(self, tmp_path):
        sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 2}
        array = np.zeros((2, 3, 64, 80), np.uint8)
        hints = peek(tiff(tmp_path / "a.ome.tif", array, metadata={"axes": "CZYX", **sizes}))
        assert hints.axes == "czyx"
        assert hints.spacing == (1.0, 2.0, 0.1, 0.1)
        assert hints.units == ("pixel", "µm", "µm", "µm")

    def test_counts_series(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for rows in (64, 56, 48):
                file.write(GREY[:rows])
        assert peek(tmp_path / "a.tif").series == (1, 3)


class TestDicom:
    def test_tells_inverted_and_spacing(self, tmp_path):
        path = dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1")
        hints = peek(path, (64, 80))
        assert hints.monochrome1
        assert (hints.spacing, hints.units) == ((0.5, 0.25), ("mm", "mm"))

    @pytest.mark.parametrize(("shape", "read"), [((64, 80), 1), ((1, 64, 80), 1), ((2, 64, 80), 2)])
    def test_counts_the_frames_that_the_layer_lacks(self, tmp_path, shape, read):
        path = dicom(tmp_path / "a.dcm", np.stack([GREY] * 2), NumberOfFrames=2)
        assert peek(path, shape).frames == (read, 2)

    def test_names_the_axis_of_frames(self, tmp_path):
        path = dicom(tmp_path / "a.dcm", np.stack([GREY] * 2), NumberOfFrames=2, FrameTime=40)
        hints = peek(path, (2, 64, 80))
        assert (hints.axes, hints.spacing, hints.units) == (
            "tyx",
            (40.0, 0.5, 0.25),
            ("ms", "mm", "mm"),
        )

    def test_of_a_folder_measures_gaps_and_spacing(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 2, 6, 8], PhotometricInterpretation="MONOCHROME1")
        hints = peek(folder, (4, 64, 80))
        assert hints.monochrome1
        assert (hints.axes, hints.spacing) == ("zyx", (2.0, 0.5, 0.25))
        assert "4.0 between slices 2 and 3" in hints.notes[0]

    def test_of_a_folder_with_one_slice_is_that_slice(self, tmp_path):
        folder = series(tmp_path / "ct", [0], PhotometricInterpretation="MONOCHROME1")
        assert peek(folder, (64, 80)).spacing == (0.5, 0.25)

    def test_that_cannot_be_checked_says_so(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 0])
        assert peek(folder).notes == (
            "File not checked: several slices lie in the same place (time points or contrasts).",
        )


def test_absent_chunks_of_zarr_are_counted(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(64, 80), chunks=(32, 40), dtype="u1")
    array[:32] = 7
    notes = peek(tmp_path / "a.zarr").notes
    assert notes == ("2 of 4 chunks are absent from the folder, read as 0.",)


@pytest.mark.parametrize("name", ["gone.tif", "a.png", "."])
def test_says_nothing_about_other_files(tmp_path, name):
    picture(tmp_path / "a.png")
    hints = peek(tmp_path / name)
    assert hints == NO_HINTS or "not checked" in hints.notes[0]
    assert (hints == NO_HINTS) == (name != ".")


def test_never_raises_for_chunks_of_nothing(tmp_path):
    array = {"zarr_format": 2, "shape": [64, 80], "chunks": [0, 0], "dtype": "|u1"}
    array |= {"compressor": None, "fill_value": 0, "order": "C", "filters": None}
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(array))
    assert "File not checked" in peek(tmp_path / "a.zarr").notes[0]
