"""`segment`: names, shapes and units of masks; what happens when something is wrong."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_rwkvseg.api import load_model
from napari_rwkvseg.cli import main
from napari_rwkvseg.cli.segment import plan_outputs
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.formats import read_image
from tests.cli.conftest import write_image

Capture = pytest.CaptureFixture[str]


def segment(*arguments: object) -> int:
    return main(["segment", *map(str, arguments), "--threads", "1", "--device", "cpu"])


def test_a_mask_has_the_shape_and_the_units_of_its_image(
    tmp_path: Path, model_file: Path, capsys: Capture
) -> None:
    source = write_image(tmp_path / "cells.tif")
    assert segment(source, "--out", tmp_path / "out", "--model", model_file) == 0
    target = tmp_path / "out" / "cells_mask.tif"
    assert capsys.readouterr().out == f"{target}\n"
    mask = read_image(target)
    assert mask.spatial_shape == (48, 64)
    assert mask.spacing == pytest.approx((0.5, 0.5))
    assert mask.units == ("µm", "µm")


def test_the_command_line_finds_what_the_library_finds(tmp_path: Path, model_file: Path) -> None:
    source, target = write_image(tmp_path / "cells.tif"), tmp_path / "mask.tif"
    assert segment(source, "--out", target, "--model", model_file, "--threshold", 0.51) == 0
    expected = load_model(model_file).predict(tifffile.imread(source), threshold=0.51)
    assert np.array_equal(tifffile.imread(target), expected)


def test_flips_average_over_mirror_images(tmp_path: Path, model_file: Path) -> None:
    source = write_image(tmp_path / "cells.tif")
    common = ("--model", model_file, "--probabilities")
    segment(source, "--out", tmp_path / "plain.tif", *common)
    segment(source, "--out", tmp_path / "flips.tif", *common, "--flips")
    plain = tifffile.imread(tmp_path / "plain_probability.tif")
    model = load_model(model_file, PredictOptions(device="cpu", threads=1, flips=True))
    found = tifffile.imread(tmp_path / "flips_probability.tif")
    assert not np.array_equal(found, plain)
    assert np.array_equal(found, model.probabilities(tifffile.imread(source))[0])


def test_threshold_and_smallest_object_are_heeded(tmp_path: Path, model_file: Path) -> None:
    source, target = write_image(tmp_path / "cells.tif"), tmp_path / "mask.tif"
    common = (source, "--out", target, "--overwrite", "--model", model_file, "--threshold")
    segment(*common, 0)
    assert tifffile.imread(target).all()
    segment(*common, 1)
    assert not tifffile.imread(target).any()
    segment(*common, 0, "--min-size", 48 * 64 + 1)
    assert not tifffile.imread(target).any()


def test_probabilities_are_written_beside_the_mask(tmp_path: Path, model_file: Path) -> None:
    source = write_image(tmp_path / "cells.tif")
    assert segment(source, "--out", tmp_path, "--model", model_file, "--probabilities") == 0
    probability = tifffile.imread(tmp_path / "cells_mask_probability.tif")
    mask = tifffile.imread(tmp_path / "cells_mask.tif")
    assert probability.dtype == np.float32
    assert np.array_equal(np.squeeze(probability) >= 0.5, mask > 0)


def test_a_mask_that_exists_is_replaced_only_on_demand(
    tmp_path: Path, model_file: Path, capsys: Capture
) -> None:
    source, target = write_image(tmp_path / "in" / "a.tif"), tmp_path / "out" / "a_mask.tif"
    common = (source.parent, "--out", target.parent, "--model", model_file)
    assert segment(*common) == 0
    target.write_text("corrected")
    assert segment(*common) == 1
    assert f"{target} exists. Name another folder, or add --overwrite." in capsys.readouterr().err
    assert target.read_text() == "corrected"
    assert segment(*common, "--overwrite") == 0
    assert tifffile.imread(target).shape == (48, 64)


def test_probabilities_replace_neither_images_nor_other_files(
    tmp_path: Path, model_file: Path, capsys: Capture
) -> None:
    source, target = write_image(tmp_path / "y_probability.tif"), tmp_path / "y.tif"
    before = source.read_bytes()
    command = (source, "--out", target, "--model", model_file, "--probabilities")
    for more in ((), ("--overwrite",)):
        assert segment(*command, *more) == 1
        assert "y_probability.tif would replace an image" in capsys.readouterr().err
    other = write_image(tmp_path / "z.tif")
    assert segment(other, *command[1:]) == 1
    assert "y_probability.tif exists" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert not target.exists()


def test_a_mask_and_a_probability_map_of_one_name_are_refused(tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("a.tif", "a_mask_probability.tif")]
    for source in sources:
        source.touch()
    with pytest.raises(RwkvSegError, match="would replace an image"):
        list(plan_outputs(sources, tmp_path, probabilities=True))


def test_a_folder_is_done_image_by_image_and_a_bad_one_does_not_stop_it(
    tmp_path: Path, model_file: Path, capsys: Capture
) -> None:
    write_image(tmp_path / "in" / "a.tif")
    (tmp_path / "in" / "b.tif").write_text("no image")
    write_image(tmp_path / "in" / "c.tif")
    (tmp_path / "in" / "notes.txt").write_text("not asked for")
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--model", model_file) == 1
    said = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_mask.tif",
        "c_mask.tif",
    ]
    assert "b.tif: not a TIFF" in said.err
    assert "1 of 3 images failed." in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            KeyError("odd\none"),
            r"a.tif cannot be segmented (KeyError: 'odd\none'). "
            "Add --verbose to see where it fails.",
        ),
        (
            MemoryError(),
            "a.tif: not enough memory. Close other programs, or use a smaller --tile.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "in/a.tif"),
            "a.tif: in/a.tif: Permission denied. Check the path, its permissions and the room on "
            "the disk.",
        ),
    ],
)
def test_an_error_that_nobody_foresaw_stops_one_image_only(
    tmp_path: Path,
    model_file: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sentence: str,
) -> None:
    def failing(path: Path, axes: str | None) -> ImageData:
        if path.name == "a.tif":
            raise error
        return read_image(path, axes)

    monkeypatch.setattr("napari_rwkvseg.cli.segment.read_image", failing)
    for name in ("a.tif", "b.tif"):
        write_image(tmp_path / "in" / name)
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--model", model_file) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_mask.tif"]
    assert capsys.readouterr().err == f"{sentence}\n1 of 2 images failed.\n"


def test_a_name_that_the_terminal_cannot_spell_is_no_error(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, raw = write_image(tmp_path / "名前.tif"), io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
        assert segment(source, "--out", tmp_path / "out", "--model", model_file) == 0
        sys.stdout.flush()
        assert raw.getvalue().rstrip().endswith(b"??_mask.tif")
    assert (tmp_path / "out" / "名前_mask.tif").exists()


def test_an_ambiguous_stack_is_refused_until_axes_are_named(
    tmp_path: Path, model_file: Path, capsys: Capture
) -> None:
    source, target = tmp_path / "stack.tif", tmp_path / "mask.tif"
    tifffile.imwrite(source, np.random.default_rng(0).integers(0, 9, (5, 40, 40), np.uint8))
    assert segment(source, "--out", target, "--model", model_file) == 1
    assert "--axes" in capsys.readouterr().err
    assert segment(source, "--out", target, "--model", model_file, "--axes", "zyx") == 0
    assert tifffile.imread(target).shape == (5, 40, 40)


def test_one_channel_of_many_can_be_read(tmp_path: Path, model_file: Path) -> None:
    source, target = tmp_path / "two.npy", tmp_path / "mask.npy"
    pixels = np.random.default_rng(0).integers(0, 255, (2, 40, 40), np.uint8)
    np.save(source, pixels)
    common = (source, "--out", target, "--model", model_file, "--axes", "cyx")
    assert segment(*common) == 1
    assert segment(*common, "--channel", 1) == 0
    assert np.array_equal(np.load(target), load_model(model_file).predict(pixels[1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.tif", "--out", "x"), "missing.tif does not exist"),
        (("a.tif", "--out", "x", "--model", "nothing"), "No model named 'nothing'"),
        (("a.tif", "--out", "a.tif"), "would replace an image"),
        (("a.tif", "b.tif", "--out", "one.tif"), "one file for 2 images"),
        (("a.tif", "--out", "mask.png"), "mask.png is no name of a mask. Use .tif"),
        (("a.tif", "a.npy", "--out", "x", "--threshold", "2"), "threshold must be 0 to 1"),
    ],
)
def test_mistakes_get_one_sentence_and_exit_code_1(
    tmp_path: Path,
    model_file: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(Path("a.tif"))
    write_image(Path("b.tif"))
    np.save("a.npy", np.zeros((40, 40)))
    rest = () if "--model" in arguments else ("--model", model_file)
    assert segment(*arguments, *rest) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_names_that_only_a_careful_system_tells_apart_are_refused(tmp_path: Path) -> None:
    sources = [write_image(tmp_path / "x" / "Zelle.tif"), write_image(tmp_path / "y" / "zelle.tif")]
    with pytest.raises(RwkvSegError, match="Two images would be saved as zelle_mask"):
        list(plan_outputs(sources, tmp_path / "out"))


def test_masks_that_would_share_a_name_are_refused(tmp_path: Path) -> None:
    sources = [write_image(tmp_path / part / "a.tif") for part in ("x", "y")]
    with pytest.raises(RwkvSegError, match="Two images would be saved as a_mask"):
        list(plan_outputs(sources, tmp_path / "out"))


def test_nifti_and_npy_stay_what_they_are_and_the_rest_becomes_tiff(tmp_path: Path) -> None:
    names = ["a.nii.gz", "b.nii", "c.npy", "d.png", "e.dcm"]
    for name in names:
        (tmp_path / name).touch()
    planned = plan_outputs([tmp_path / name for name in names], tmp_path / "out")
    assert [target.name for _, target in planned] == [
        "a_mask.nii.gz",
        "b_mask.nii",
        "c_mask.npy",
        "d_mask.tif",
        "e_mask.tif",
    ]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RwkvSegError, match="No image in"):
        list(plan_outputs([tmp_path], tmp_path / "out"))


def start_of_dicom(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM")
    return path


class TestFolders:
    def planned(self, folder: Path) -> list[tuple[str, str]]:
        pairs = plan_outputs([folder], folder.parent / "out")
        return [(source.name, target.name) for source, target in pairs]

    @pytest.mark.parametrize("names", [("0001", "0002"), ("0001.dcm", "0002.dcm")])
    def test_a_dicom_series_is_one_image_named_like_its_folder(
        self, tmp_path: Path, names: tuple[str, ...]
    ) -> None:
        series = tmp_path / "1.2.840.7"
        for name in names:
            start_of_dicom(series / name)
        assert self.planned(series) == [("1.2.840.7", "1.2.840.7_mask.tif")]

    def test_dicom_files_among_pictures_are_images_of_their_own(self, tmp_path: Path) -> None:
        start_of_dicom(tmp_path / "in" / "a.dcm")
        (tmp_path / "in" / "b.png").touch()
        assert [source for source, _ in self.planned(tmp_path / "in")] == ["a.dcm", "b.png"]

    def test_a_zarr_folder_is_an_image_inside_a_folder_too(self, tmp_path: Path) -> None:
        (tmp_path / "in" / "cells.zarr").mkdir(parents=True)
        expected = [("cells.zarr", "cells_mask.tif")]
        assert self.planned(tmp_path / "in") == expected
        assert self.planned(tmp_path / "in" / "cells.zarr") == expected

    def test_hidden_files_and_folders_within_are_left_out(self, tmp_path: Path) -> None:
        for name in (".cover.png", "._a.tif", "a.tif"):
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / "in" / name).touch()
        (tmp_path / "in" / "deeper").mkdir()
        assert self.planned(tmp_path / "in") == [("a.tif", "a_mask.tif")]


def test_verbose_after_the_command_shows_where_an_error_came_from(tmp_path: Path) -> None:
    with pytest.raises(RwkvSegError, match="does not exist"):
        segment(tmp_path / "missing.tif", "--out", tmp_path, "--verbose")
