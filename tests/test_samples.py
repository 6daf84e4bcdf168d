"""The programs that make the sample images, and the files they made."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import gaussian, threshold_otsu

from sample_data import make_samples
from sample_data.anatomy import ORGANS
from sample_data.ct import PADDING, make_ct
from sample_data.make_samples import FOLDER, checksum, main, write_sample
from sample_data.nuclei import make_nuclei
from sample_data.shapes import Outline, Sample, blur, count_photons, noise, smoothstep, wobble
from sample_data.tissue import make_tissue

CIRCLE = Outline((10.0, 20.0), (4.0, 4.0), 0.0)
SMALL = {
    "nuclei": lambda seed: make_nuclei(seed, size=96),
    "tissue": lambda seed: make_tissue(seed, size=96),
    "ct": lambda seed: make_ct(seed, slices=2, size=48, views=30),
}


def on_disk(name):
    return tifffile.imread(FOLDER / f"{name}.tif")


def share_equal(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    return float(np.mean(a == b))


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def small_ct():
    return make_ct(3, slices=6, size=96, views=120)


class TestOutline:
    def test_level_is_distance_over_radius_on_a_circle(self):
        level = CIRCLE.level((slice(10, 11), slice(20, 29)))
        assert level[0] == pytest.approx(np.arange(9) / 4)

    def test_long_axis_turns_from_the_columns_to_the_rows(self):
        upright = Outline((10.0, 20.0), (8.0, 2.0), np.pi / 2)
        level = upright.level((slice(6, 15), slice(18, 23)))
        assert level[:, 2] == pytest.approx(np.abs(np.arange(-4, 5)) / 8)
        assert level[4] == pytest.approx(np.abs(np.arange(-2, 3)) / 2)

    def test_second_harmonic_stretches_one_axis_and_squeezes_the_other(self):
        bean = Outline((10.0, 20.0), (4.0, 4.0), 0.0, ((0.25, 0.0),))
        level = bean.level((slice(10, 16), slice(20, 26)))
        assert level[0, 5] == pytest.approx(1.0)
        assert level[3, 0] == pytest.approx(1.0)

    def test_window_holds_the_outline_and_stays_in_the_image(self):
        assert CIRCLE.window((40, 24), margin=1.5) == (slice(4, 18), slice(14, 24))

    def test_window_of_an_outline_outside_is_empty(self):
        rows, _ = Outline((-50.0, 5.0), (4.0, 4.0), 0.0).window((40, 40))
        assert range(40)[rows] == range(0)

    def test_wobble_amplitudes_fall_with_the_order(self):
        draws = np.array([wobble(np.random.default_rng(seed), 0.5, 3) for seed in range(400)])
        assert draws[:, :, 0].std(axis=0) == pytest.approx([0.5, 0.25, 0.5 / 3], rel=0.1)


class TestFields:
    def test_noise_has_mean_0_and_deviation_1_whatever_its_grain(self):
        field = noise(np.random.default_rng(0), (64, 64), 5.0)
        assert (field.mean(), field.std()) == pytest.approx((0, 1))

    def test_coarse_noise_changes_slower_than_fine(self):
        fine, coarse = (noise(np.random.default_rng(0), (64, 64), s) for s in (1.0, 6.0))
        assert np.abs(np.diff(coarse)).mean() < 0.3 * np.abs(np.diff(fine)).mean()

    def test_smoothstep_rises_and_falls(self):
        values = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
        assert smoothstep(values, 1, 2) == pytest.approx([0, 0, 0.5, 1, 1])
        assert smoothstep(values, 2, 1) == pytest.approx([1, 1, 0.5, 0, 0])

    def test_blur_keeps_a_constant_up_to_the_border(self):
        assert blur(np.full((8, 8), 3.0), 2.0) == pytest.approx(np.full((8, 8), 3.0))

    def test_photons_scatter_like_poisson(self):
        counts = count_photons(np.random.default_rng(0), np.full(20_000, 50.0))
        assert counts.mean() == pytest.approx(50, rel=0.01)
        assert counts.var() == pytest.approx(50, rel=0.05)

    def test_photons_do_not_feel_the_last_bits_of_the_expectation(self):
        expected = np.full(2000, 17.3)
        draws = [
            count_photons(np.random.default_rng(0), expected * (1 + tiny)) for tiny in (0, 1e-13)
        ]
        assert np.array_equal(*draws)

    def test_negative_light_counts_as_none(self):
        assert count_photons(np.random.default_rng(0), np.array([-3.0])) == 0


class TestReproducible:
    @pytest.mark.parametrize("name", SMALL)
    def test_same_seed_gives_the_same_pixels(self, name):
        first, again = SMALL[name](5), SMALL[name](5)
        assert checksum(first.image) == checksum(again.image)
        assert checksum(first.truth) == checksum(again.truth)

    @pytest.mark.parametrize("name", SMALL)
    def test_another_seed_gives_another_image(self, name):
        assert checksum(SMALL[name](5).image) != checksum(SMALL[name](6).image)

    @pytest.mark.parametrize("name", ["nuclei", "tissue"])
    def test_program_still_makes_the_file_on_disk(self, name):
        sample = make_samples.MAKERS[name]()
        # Another version of a library may round a few pixels differently
        assert share_equal(sample.image, on_disk(name)) > 0.999
        assert share_equal(sample.truth, on_disk(f"{name}_truth")) > 0.999


class TestFiles:
    @pytest.mark.parametrize("name", ["nuclei", "tissue", "ct"])
    def test_match_their_checksums(self, name):
        known = json.loads((FOLDER / "checksums.json").read_text("utf-8"))
        for file in (name, f"{name}_truth"):
            assert checksum(on_disk(file)) == known[f"{file}.tif"]

    def test_are_small(self):
        assert sum(file.stat().st_size for file in FOLDER.glob("*.*")) < 3_000_000

    @pytest.mark.parametrize(
        ("name", "dtype", "shape"),
        [
            ("nuclei", np.uint16, (512, 512)),
            ("tissue", np.uint8, (384, 384, 3)),
            ("ct", np.int16, (24, 192, 192)),
        ],
    )
    def test_have_type_and_shape_and_a_truth_of_their_grid(self, name, dtype, shape):
        image, truth = on_disk(name), on_disk(f"{name}_truth")
        assert image.dtype == dtype
        assert image.shape == shape
        assert truth.shape == shape[: 3 if name == "ct" else 2]
        assert truth.dtype.kind == "u"

    @pytest.mark.parametrize("name", ["nuclei", "tissue"])
    def test_instances_are_numbered_without_gaps(self, name):
        numbers = np.unique(on_disk(f"{name}_truth"))
        assert np.array_equal(numbers, np.arange(len(numbers)))
        assert len(numbers) > 50

    def test_licence_and_readme_lie_beside_them(self):
        assert "CC0" in (FOLDER / "LICENSE").read_text("utf-8")
        assert "nuclei.tif" in (FOLDER / "README.md").read_text("utf-8")


class TestNuclei:
    def test_threshold_finds_most_but_not_all(self):
        image, truth = on_disk("nuclei").astype(float), on_disk("nuclei_truth") > 0
        smooth = gaussian(image, 1)
        assert 0.90 < dice(smooth > threshold_otsu(smooth), truth) < 0.98

    def test_some_nuclei_touch(self):
        truth = on_disk("nuclei_truth")
        _, groups = ndimage.label(truth > 0)
        assert groups < 0.85 * truth.max()

    def test_no_pixel_is_saturated_and_the_camera_has_an_offset(self):
        image = on_disk("nuclei")
        assert image.max() < 20_000
        assert 80 < image.min() < 150

    def test_nuclei_differ_in_brightness_and_have_texture(self):
        image, truth = on_disk("nuclei").astype(float), on_disk("nuclei_truth")
        numbers = np.arange(1, truth.max() + 1)
        means = ndimage.mean(image, truth, numbers)
        spread = ndimage.standard_deviation(image, truth, numbers) / means
        assert 0.2 < means.std() / means.mean() < 0.6
        assert np.median(spread) > 0.1


class TestTissue:
    def test_haematoxylin_lies_in_the_nuclei(self):
        stain = rgb2hed(on_disk("tissue"))[..., 0]
        truth = on_disk("tissue_truth") > 0
        assert stain[truth].mean() > 3 * np.abs(stain[~truth]).mean()

    def test_lumen_is_white_and_the_rest_is_not(self):
        white = on_disk("tissue").min(axis=-1) > 225
        assert 0.05 < white.mean() < 0.25
        assert not (white & (on_disk("tissue_truth") > 0)).any()

    def test_stroma_is_pink(self):
        red, green, blue = np.median(on_disk("tissue")[on_disk("tissue_truth") == 0], axis=0)
        assert red > blue > green


class TestCT:
    @pytest.mark.parametrize(
        ("organ", "hounsfield"), [("liver", 108), ("spleen", 122), ("aorta", 172), ("lung", -840)]
    )
    def test_reconstruction_returns_the_hounsfield_units_put_in(self, organ, hounsfield):
        organs = on_disk("ct_truth") == ORGANS.index(organ) + 1
        core = ndimage.binary_erosion(organs, np.ones((1, 3, 3)), iterations=2)
        assert np.median(on_disk("ct")[core]) == pytest.approx(hounsfield, abs=25)

    def test_every_organ_is_there(self):
        present = np.unique(on_disk("ct_truth"))
        assert np.array_equal(present, np.arange(len(ORGANS) + 1))

    def test_noise_is_that_of_a_clinical_scan(self):
        organs = on_disk("ct_truth") == ORGANS.index("spleen") + 1
        core = ndimage.binary_erosion(organs, np.ones((1, 3, 3)), iterations=3)
        assert 5 < on_disk("ct")[core].std() < 30

    def test_padding_lies_outside_the_circle_only(self, small_ct):
        padded = small_ct.image[0] == PADDING
        assert padded[0, 0]
        assert not padded[48, 2:-2].any()

    def test_spacing_follows_the_size(self, small_ct):
        assert small_ct.spacing == (5.0, 4.0, 4.0)
        assert small_ct.unit == "mm"


class TestProgram:
    @pytest.fixture
    def maker(self, monkeypatch):
        makers = {"nuclei": lambda: SMALL["nuclei"](1), "ct": lambda: SMALL["ct"](1)}
        monkeypatch.setattr(make_samples, "MAKERS", makers)

    def test_writes_images_truths_and_checksums(self, maker, tmp_path):
        assert main(["--out", str(tmp_path)]) == 0
        expected = {"nuclei.tif", "nuclei_truth.tif", "ct.tif", "ct_truth.tif"}
        assert {file.name for file in tmp_path.iterdir()} == expected | {"checksums.json"}
        assert np.array_equal(tifffile.imread(tmp_path / "ct.tif"), SMALL["ct"](1).image)

    def test_check_agrees_with_what_was_written(self, maker, tmp_path, capsys):
        main(["--out", str(tmp_path)])
        assert main(["--out", str(tmp_path), "--check"]) == 0
        assert capsys.readouterr().out == "all the same\n"

    def test_check_names_what_differs_and_writes_nothing(self, maker, tmp_path, capsys):
        assert main(["--out", str(tmp_path), "--check", "--only", "nuclei"]) == 1
        assert capsys.readouterr().out == "different: nuclei.tif, nuclei_truth.tif\n"
        assert list(tmp_path.iterdir()) == []

    def test_one_sample_alone_keeps_the_checksums_of_the_others(self, maker, tmp_path):
        (tmp_path / "checksums.json").write_text('{"tissue.tif": "abc"}')
        main(["--out", str(tmp_path), "--only", "nuclei"])
        known = json.loads((tmp_path / "checksums.json").read_text())
        assert sorted(known) == ["nuclei.tif", "nuclei_truth.tif", "tissue.tif"]
        assert known["tissue.tif"] == "abc"

    def test_file_holds_spacing_and_unit(self, tmp_path):
        volume = np.zeros((3, 8, 8), np.int16)
        sample = Sample(volume, volume.astype(np.uint8), "ZYX", (5.0, 2.0, 0.5), "mm")
        write_sample(tmp_path, "box", sample)
        with tifffile.TiffFile(tmp_path / "box.tif") as tif:
            assert tif.imagej_metadata["spacing"] == 5.0
            assert tif.imagej_metadata["unit"] == "mm"
            assert tif.series[0].axes == "ZYX"
            steps = [tif.pages[0].tags[f"{axis}Resolution"].value for axis in "XY"]
        assert [below / above for above, below in steps] == pytest.approx([0.5, 2.0])

    def test_checksum_sees_values_type_and_shape_but_not_byte_order(self):
        array = np.arange(6, dtype=np.int16)
        assert checksum(array) == checksum(array.astype(">i2"))
        for other in (array + 1, array.astype(np.uint16), array.reshape(2, 3)):
            assert checksum(other) != checksum(array)
