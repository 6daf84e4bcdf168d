from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats import read_image, read_labels, write_mask, write_probability
from tests.store.formats.format_files import GREY

VOLUME = np.random.default_rng(1).integers(0, 900, (32, 24, 20), dtype=np.int16)  # x, y, z
LPS = np.diag([-0.5, -0.7, 2.5, 1.0])


def save(path, array=VOLUME, affine=LPS, **header):
    image = nib.Nifti1Image(array, affine)
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


class TestReading:
    def test_of_a_volume_stored_as_dicom_shows_it_unchanged(self, tmp_path):
        image = read_image(save(tmp_path / "a.nii.gz"))
        assert np.array_equal(image.array, VOLUME.T)
        assert (image.axes, image.units) == ("zyx", ("mm",) * 3)
        assert image.spacing == pytest.approx((2.5, 0.7, 0.5))

    def test_does_not_change_when_the_file_does(self, tmp_path):
        path = save(tmp_path / "a.nii")
        pixels = read_image(path).array
        save(path, np.zeros_like(VOLUME))
        assert np.array_equal(pixels, VOLUME.T)

    def test_of_ras_turns_planes_as_radiologists_view_them(self, tmp_path):
        image = read_image(save(tmp_path / "a.nii", affine=np.eye(4)))
        assert np.array_equal(image.array, VOLUME.T[:, ::-1, ::-1])

    def test_of_sagittal_planes_keeps_them_head_up(self, tmp_path):
        """Columns run to the front, rows upwards, slices to the left."""
        affine = np.array([[0, 0, -2.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        image = read_image(save(tmp_path / "a.nii", affine=affine))
        assert np.array_equal(image.array, VOLUME.T[:, ::-1, ::-1])
        assert image.spacing == (2.0, 1.0, 1.0)

    def test_applies_slope_and_intercept(self, tmp_path):
        path = save(tmp_path / "a.nii")
        data = bytearray(path.read_bytes())
        data[112:120] = np.array([2.0, -1024.0], "<f4").tobytes()
        path.write_bytes(data)
        image = read_image(path)
        assert image.array.dtype == np.float32
        assert np.array_equal(image.array, 2.0 * VOLUME.T - 1024)

    def test_drops_trailing_axes_of_length_one(self, tmp_path):
        image = read_image(save(tmp_path / "a.nii", VOLUME[:, :, :1, None]))
        assert (image.axes, image.plane_shape) == ("yx", (24, 32))

    def test_knows_time_by_its_unit(self, tmp_path):
        series = np.zeros((32, 24, 3, 4), np.int16)
        path = save(tmp_path / "a.nii", series, xyzt_units=2 | 8, pixdim=[1, 1, 1, 1, 1.5, 0, 0, 0])
        image = read_image(path)
        assert (image.axes, image.spacing[0], image.units[0]) == ("tzyx", 1.5, "s")

    def test_of_other_units_of_length(self, tmp_path):
        assert read_image(save(tmp_path / "a.nii", xyzt_units=3)).units == ("µm",) * 3

    def test_of_units_that_nobody_defined_is_in_millimetres(self, tmp_path):
        assert read_image(save(tmp_path / "a.nii", xyzt_units=5)).units == ("mm",) * 3

    @pytest.mark.parametrize("axes", ["tyx", "cyx"])
    def test_counts_frames_and_channels_as_stored(self, tmp_path, axes):
        path = save(tmp_path / "a.nii", affine=np.diag([-1, -1, -2.5, 1]))
        assert np.array_equal(read_image(path, axes).array, VOLUME.T)
        assert np.array_equal(read_image(path, "zyx").array, VOLUME.T[::-1])

    def test_of_colours(self, tmp_path):
        rgb = np.zeros((32, 24, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        rgb["G"] = 7
        image = read_image(save(tmp_path / "a.nii", rgb))
        assert (image.axes, image.array.shape) == ("zyxs", (3, 24, 32, 3))
        assert image.array[0, 0, 0].tolist() == [0, 7, 0]

    def test_under_another_ending_asks_for_its_own(self, tmp_path):
        path = save(tmp_path / "a.nii").rename(tmp_path / "a.dat")
        with pytest.raises(BadImageError, match=r"a\.dat: is NIfTI by its content.*end in \.nii"):
            read_image(path)

    def test_of_all_nan_leaves_the_verdict_to_the_engine(self, tmp_path):
        image = read_image(save(tmp_path / "a.nii.gz", np.full((32, 24, 2), np.nan, np.float32)))
        assert np.isnan(image.plane((0,))).all()


DIRECTIONS = st.permutations([0, 1, 2]).flatmap(
    lambda order: st.tuples(
        st.just(order), st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3)
    )
)


class TestWrittenMask:
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(direction=DIRECTIONS, angle=st.floats(-0.3, 0.3), packed=st.booleans())
    def test_lies_on_its_source(self, tmp_path, direction, angle, packed):
        order, signs = direction
        affine = np.eye(4)
        affine[:3, :3] = np.diag([0.5, 0.7, 2.5])[order] * signs
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        affine = turn @ affine
        affine[:3, 3] = (-90, 45, 10)
        source = save(tmp_path / "ct.nii", affine=affine)
        image = read_image(source)
        target = tmp_path / ("mask.nii.gz" if packed else "mask.nii")
        write_mask(target, (image.array > 450).astype(np.uint8), image, source)
        mask = nib.load(target)
        assert mask.shape == VOLUME.shape
        assert np.array_equal(np.asarray(mask.dataobj), VOLUME > 450)
        assert mask.affine == pytest.approx(affine, abs=1e-4)

    @pytest.mark.parametrize("axes", ["zyx", "tyx", "nyx"])
    @pytest.mark.parametrize("upwards", [False, True])
    def test_lies_on_its_source_whatever_the_third_axis_means(self, tmp_path, axes, upwards):
        source = save(tmp_path / "a.nii", affine=np.diag([-0.5, 0.7, 2.5 if upwards else -2.5, 1]))
        image = read_image(source, axes)
        write_mask(tmp_path / "m.nii", image.array, image, source)
        assert np.array_equal(np.asarray(nib.load(tmp_path / "m.nii").dataobj), VOLUME)

    @pytest.mark.parametrize("axes", ["ntzyx", "tnzyx", "ztcyx"])
    def test_of_two_further_axes_keeps_their_order(self, tmp_path, axes):
        array = np.random.default_rng(2).integers(0, 900, (32, 24, 1, 3, 5), dtype=np.int16)
        image = read_image(save(tmp_path / "a.nii", array), axes).select_channel(0)
        write_mask(tmp_path / "m.nii", image.array, image, tmp_path / "a.nii")
        assert np.array_equal(np.asarray(nib.load(tmp_path / "m.nii").dataobj), array)

    def test_keeps_axes_of_length_one(self, tmp_path):
        source = save(tmp_path / "a.nii", VOLUME[:, :, :1])
        image = read_image(source)
        write_mask(tmp_path / "m.nii", np.ones((24, 32), np.uint8), image, source)
        assert nib.load(tmp_path / "m.nii").shape == (32, 24, 1)

    def test_without_a_source_has_spacing_but_claims_no_orientation(self, tmp_path):
        array = np.zeros((3, 64, 80), np.uint8)
        image = ImageData(array, "zyx", (2000.0, 500.0, 250.0), ("µm",) * 3, "cells")
        write_mask(tmp_path / "m.nii", array, image)
        mask = nib.load(tmp_path / "m.nii")
        assert mask.shape == (80, 64, 3)
        assert mask.header.get_zooms() == (0.25, 0.5, 2.0)
        assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (0, 0)

    @pytest.mark.parametrize("shape", [(64, 80), (3, 64, 80)])
    def test_of_an_image_without_a_patient_is_read_as_it_was(self, tmp_path, shape):
        labels = np.arange(np.prod(shape)).reshape(shape) % 7
        axes = "zyx"[-len(shape) :]
        image = ImageData(labels, axes, (1.0,) * len(shape), ("µm",) * len(shape), "cells")
        write_mask(tmp_path / "m.nii.gz", labels, image)
        assert np.array_equal(read_labels(tmp_path / "m.nii.gz"), labels)
        again = read_image(tmp_path / "m.nii.gz")  # and a mask of that, as the image it is
        write_mask(tmp_path / "n.nii", labels, again, tmp_path / "m.nii.gz")
        assert np.array_equal(read_labels(tmp_path / "n.nii"), labels)
        assert nib.load(tmp_path / "n.nii").header["sform_code"] == 0

    def test_of_a_source_in_microns_is_as_large(self, tmp_path):
        source = save(tmp_path / "a.nii", xyzt_units=3)
        image = read_image(source)
        write_mask(tmp_path / "m.nii", np.zeros((20, 24, 32), np.uint8), image, source)
        mask = read_image(tmp_path / "m.nii")
        assert mask.units == ("mm",) * 3
        assert mask.spacing == pytest.approx([step / 1000 for step in image.spacing])

    def test_that_is_too_long_for_the_format_says_so(self, tmp_path):
        array = np.zeros((2, 40_000), np.uint8)
        image = ImageData(array, "yx", (1.0, 1.0), ("µm",) * 2, "cells")
        with pytest.raises(BadImageError, match="a side of 40000 pixels is too long for NIfTI"):
            write_mask(tmp_path / "m.nii", array, image)

    def test_of_a_time_series_keeps_frames_and_pace(self, tmp_path):
        array = np.arange(4 * 64 * 80, dtype=np.int32).reshape(4, 64, 80)
        image = ImageData(array, "tyx", (500.0, 1.0, 1.0), ("ms", "mm", "mm"), "cells")
        write_mask(tmp_path / "m.nii", array, image)
        mask = nib.load(tmp_path / "m.nii")
        assert mask.shape == (80, 64, 1, 4)
        assert mask.header.get_zooms() == (1.0, 1.0, 1.0, 0.5)
        assert np.array_equal(np.asarray(mask.dataobj)[:, :, 0].T, array)

    def test_carries_notice_and_nothing_of_the_source(self, tmp_path):
        source = save(tmp_path / "a.nii", descrip=b"DOE^JANE 12345", aux_file=b"DOE^JANE")
        image = read_image(source)
        write_mask(tmp_path / "m.nii.gz", np.zeros((20, 24, 32), np.uint8), image, source)
        data = gzip.decompress((tmp_path / "m.nii.gz").read_bytes())
        assert b"For research use only. Not for diagnostic use." in data
        assert b"DOE" not in data

    def test_that_does_not_fit_the_source_is_refused(self, tmp_path):
        source = save(tmp_path / "a.nii")
        image = ImageData(GREY, "yx", (1.0, 1.0), ("mm", "mm"), "cells")
        with pytest.raises(BadImageError, match="does not fit the source, \\(32, 24, 20\\)"):
            write_mask(tmp_path / "m.nii", GREY, image, source)

    def test_probabilities_of_a_plane_take_the_fourth_axis_too(self, tmp_path):
        source = save(tmp_path / "a.nii", VOLUME[:, :, 0])
        image = read_image(source)
        maps = np.stack([image.array, image.array[::-1]]).astype(np.float16) / 1000
        write_probability(tmp_path / "p.nii", maps, image, ["a", "b"], source)
        found = nib.load(tmp_path / "p.nii")
        assert found.shape == (32, 24, 1, 2)
        assert np.asarray(found.dataobj)[:, :, 0, 0] == pytest.approx(VOLUME[:, :, 0] / 1000, 1e-3)

    def test_probabilities_take_the_fourth_axis(self, tmp_path):
        source = save(tmp_path / "a.nii", affine=np.eye(4))
        image = read_image(source)
        maps = np.stack([image.array, image.array[::-1]]).astype(np.float16) / 1000
        write_probability(tmp_path / "p.nii", maps, image, ["a", "b"], source)
        found = nib.load(tmp_path / "p.nii")
        assert found.shape == (32, 24, 20, 2)
        assert np.asarray(found.dataobj)[..., 0] == pytest.approx(VOLUME / 1000, rel=1e-3)
