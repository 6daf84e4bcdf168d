"""Real files that the libraries bring along: no crash, and the right size where it is known."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from napari_rwkvseg.errors import BadImageError
from napari_rwkvseg.store.formats import read_image

DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NIFTI = Path(nib.__file__).parent / "tests" / "data"


def refusal(path: Path) -> str:
    try:
        read_image(path)
    except BadImageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", sorted(DICOM.glob("*.dcm")), ids=lambda path: path.name)
def test_every_dicom_file_opens_or_is_refused_in_one_sentence(path):
    message = refusal(path)
    assert not message or (message.startswith(f"{path.name}: ") and "\n" not in message)


@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype"),
    [
        ("CT_small.dcm", "yx", (128, 128), "float32"),
        ("MR_small.dcm", "yx", (64, 64), "int16"),
        ("MR_small_RLE.dcm", "yx", (64, 64), "int16"),
        ("MR_small_bigendian.dcm", "yx", (64, 64), ">i2"),
        ("MR_small_jp2klossless.dcm", "yx", (64, 64), "int16"),
        ("SC_rgb_jpeg_dcmtk.dcm", "yxs", (100, 100, 3), "uint8"),
        ("SC_ybr_full_422_uncompressed.dcm", "yxs", (100, 100, 3), "uint8"),
        ("examples_palette.dcm", "yxs", (350, 800, 3), "uint16"),
        ("examples_ybr_color.dcm", "tyxs", (30, 240, 320, 3), "uint8"),
    ],
)
def test_dicom_file(name, axes, shape, dtype):
    image = read_image(DICOM / name)
    assert (image.axes, image.array.shape, image.array.dtype) == (axes, shape, dtype)


def test_compressed_dicom_files_hold_the_values_of_the_plain_one():
    plain = read_image(DICOM / "MR_small.dcm").plane()
    for other in ("RLE", "bigendian", "implicit", "jp2klossless", "padded"):
        assert np.array_equal(read_image(DICOM / f"MR_small_{other}.dcm").plane(), plain)


def test_hounsfield_units_of_the_small_ct():
    image = read_image(DICOM / "CT_small.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = pydicom.dcmread(DICOM / "CT_small.dcm").pixel_array
    assert np.array_equal(image.plane()[..., 0], stored - 1024.0)
    assert image.spacing == pytest.approx((0.661468, 0.661468))


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_missing_decoder_is_named(name):
    if pydicom.pixels.get_decoder(
        pydicom.dcmread(DICOM / name).file_meta.TransferSyntaxUID
    ).is_available:
        pytest.skip("a decoder is installed here")
    with pytest.raises(BadImageError, match="Install pylibjpeg"):
        read_image(DICOM / name)


@pytest.mark.parametrize(
    ("name", "axes", "shape", "spacing"),
    [
        ("anatomical.nii", "zyx", (25, 41, 33), (2, 2, 2)),
        ("functional.nii", "tzyx", (20, 3, 21, 17), (2, 8, 4, 4)),
        ("example4d.nii.gz", "tzyx", (2, 24, 96, 128), (2000, 2.2, 2, 2)),
        ("example_nifti2.nii.gz", "tzyx", (2, 12, 20, 32), (2000, 2.2, 2, 2)),
    ],
)
def test_nifti_file(name, axes, shape, spacing):
    image = read_image(NIFTI / name)
    assert (image.axes, image.array.shape) == (axes, shape)
    assert image.spacing[1:] == pytest.approx(spacing[1:], abs=1e-3)


def test_surface_file_with_a_volume_ending_is_refused():
    with pytest.raises(BadImageError, match="Cifti2Image is no volume"):
        read_image(NIFTI / "row_major.dconn.nii")


def test_folder_of_two_slices_is_a_volume():
    image = read_image(NIFTI)  # the folder holds 0.dcm and 1.dcm among other formats
    assert (image.axes, image.array.shape) == ("zyx", (2, 256, 256))
