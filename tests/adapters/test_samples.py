from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_rwkvseg.adapters import samples
from napari_rwkvseg.adapters.samples import (
    CT_CLASSES,
    SAMPLES,
    SOFT_TISSUE,
    ct_sample,
    nuclei_sample,
    sample_path,
    tissue_sample,
)
from napari_rwkvseg.errors import RwkvSegError
from sample_data.anatomy import ORGANS

FUNCTIONS = {"nuclei": nuclei_sample, "tissue": tissue_sample, "ct": ct_sample}


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "rgb", "scale", "unit", "axes"),
    [
        ("nuclei", (512, 512), np.uint16, False, (0.325, 0.325), "µm", "yx"),
        ("tissue", (384, 384, 3), np.uint8, True, (0.35, 0.35), "µm", "yx"),
        ("ct", (24, 192, 192), np.int16, False, (5, 2, 2), "mm", "zyx"),
    ],
)
def test_image_layer_has_its_place_in_the_world(name, shape, dtype, rgb, scale, unit, axes):
    data, keywords, kind = FUNCTIONS[name]()[0]
    assert kind == "image"
    assert (data.shape, data.dtype) == (shape, dtype)
    assert keywords["name"] == name
    assert keywords["rgb"] is rgb
    assert keywords["scale"] == pytest.approx(scale, rel=1e-6)
    assert keywords["units"] == (unit,) * len(axes)
    assert keywords["axis_labels"] == tuple(axes)


@pytest.mark.parametrize("name", SAMPLES)
def test_truth_lies_hidden_on_the_image(name):
    (data, image, _), (labels, truth, kind) = FUNCTIONS[name]()
    assert kind == "labels"
    assert labels.shape == data.shape[: len(image["scale"])]
    assert truth["name"] == f"{name} · truth"
    assert truth["visible"] is False
    for key in ("scale", "units", "axis_labels"):
        assert truth[key] == image[key]


def test_ct_opens_in_the_soft_tissue_window_with_named_organs():
    (_, image, _), (labels, truth, _) = ct_sample()
    assert image["contrast_limits"] == SOFT_TISSUE
    assert truth["features"]["class"] == ["background", *CT_CLASSES]
    assert truth["features"]["index"] == list(range(labels.max() + 1))
    assert set(range(labels.max() + 1)) <= set(truth["colormap"])


def test_organ_names_are_those_of_the_program_that_drew_them():
    assert CT_CLASSES == ORGANS


def test_instances_of_nuclei_have_no_class_table():
    assert "features" not in nuclei_sample()[1][1]


def test_installed_files_come_before_those_of_a_checkout(tmp_path, monkeypatch):
    (tmp_path / "ct.tif").touch()
    monkeypatch.setattr(samples, "_FOLDERS", (tmp_path, *samples._FOLDERS))
    assert sample_path("ct") == tmp_path / "ct.tif"
    assert sample_path("ct", truth=True).parent.name == "sample_data"


def test_unknown_sample_is_refused_with_the_known_names():
    with pytest.raises(RwkvSegError, match=r'no sample "liver". Choose nuclei, tissue, ct.'):
        sample_path("liver")


def test_missing_file_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_FOLDERS", (tmp_path,))
    with pytest.raises(RwkvSegError, match=r"nuclei_truth.tif is missing. Install"):
        sample_path("nuclei", truth=True)


def test_opening_a_sample_leaves_torch_and_napari_alone():
    code = (
        "import sys; from napari_rwkvseg.adapters.samples import ct_sample; ct_sample(); "
        "sys.exit(bool({'torch', 'napari'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
