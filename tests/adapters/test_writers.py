from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_rwkvseg.adapters.readers import get_reader
from napari_rwkvseg.adapters.writers import write_labels
from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats import read_image

LABELS = np.arange(3 * 20 * 30, dtype=np.int32).reshape(3, 20, 30) % 7


def attributes(**values):
    given = {
        "scale": (2.0, 0.5, 0.25),
        "units": ("millimeter",) * 3,
        "axis_labels": ("z", "y", "x"),
    }
    return given | values


def test_tiff_keeps_spacing_units_and_ids(tmp_path):
    path = str(tmp_path / "m.tif")
    assert write_labels(path, LABELS, attributes()) == [path]
    image = read_image(path)
    assert (image.axes, image.spacing, image.units) == ("zyx", (2.0, 0.5, 0.25), ("mm",) * 3)
    assert np.array_equal(image.array, LABELS)
    assert image.array.dtype == np.uint8


def test_a_layer_that_is_scaled_by_its_affine_keeps_its_spacing(tmp_path):
    affine = np.diag([2.0, 0.5, 0.25, 1.0])
    given = attributes(scale=(1.0,) * 3, affine=affine, rotate=np.eye(3).tolist())
    write_labels(str(tmp_path / "m.tif"), LABELS, given)
    assert read_image(tmp_path / "m.tif").spacing == (2.0, 0.5, 0.25)


def test_nifti_lies_on_the_volume_it_was_painted_on(tmp_path):
    volume = np.arange(32 * 24 * 20, dtype=np.int16).reshape(32, 24, 20)
    affine = np.array([[0.5, 0, 0, -9], [0, 0.7, 0.1, 8], [0, -0.1, 2.5, 7], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "ct.nii")
    source = str(tmp_path / "ct.nii")
    [(array, keywords, _)] = get_reader(source)(source)
    write_labels(str(tmp_path / "m.nii.gz"), (array > 900).astype(np.uint8), keywords)
    mask = nib.load(tmp_path / "m.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), volume > 900)
    assert mask.affine == pytest.approx(affine, abs=1e-4)


def test_nifti_of_another_shape_does_not_claim_the_source_s_place(tmp_path):
    geometry = {"affine": np.eye(4).tolist(), "shape": (30, 20, 9), "flips": (True,) * 3}
    write_labels(str(tmp_path / "m.nii"), LABELS, attributes(metadata={"geometry": geometry}))
    mask = nib.load(tmp_path / "m.nii")
    assert int(mask.header["sform_code"]) == 0
    assert np.array_equal(np.asarray(mask.dataobj), LABELS.T)


@pytest.mark.parametrize(
    ("labels", "ndim", "axes"),
    [
        (("-2", "-1"), 2, "YX"),
        (("-3", "-2", "-1"), 3, "ZYX"),
        (("t", "y", "x"), 3, "TYX"),
        (("y", "z", "x"), 3, "ZYX"),
        ((), 4, "TZYX"),
    ],
)
def test_axes_come_from_their_names_else_by_custom(tmp_path, labels, ndim, axes):
    array = np.zeros((2, 2, 20, 30)[-ndim:], np.uint8)
    path = str(tmp_path / "m.tif")
    write_labels(path, array, {"scale": np.ones(ndim), "axis_labels": labels})
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == axes


def test_five_axes_without_names_are_refused(tmp_path):
    with pytest.raises(BadImageError, match="5 axes without names"):
        write_labels(str(tmp_path / "m.tif"), np.zeros((2, 2, 2, 20, 30), np.uint8), {})


def test_pyramid_is_written_at_full_resolution(tmp_path):
    path = str(tmp_path / "m.tif")
    write_labels(path, [LABELS, LABELS[:, ::2, ::2]], attributes())
    assert read_image(path).plane_shape == (20, 30)


def test_layer_metadata_stay_out_of_the_file(tmp_path):
    path = tmp_path / "m.tif"
    write_labels(str(path), LABELS, attributes(name="DOE", metadata={"PatientName": "DOE"}))
    assert b"DOE" not in path.read_bytes()
