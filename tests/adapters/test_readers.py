from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from napari_rwkvseg.adapters.readers import get_reader
from napari_rwkvseg.errors import BadImageError

VOLUME = np.arange(32 * 24 * 20, dtype=np.int16).reshape(32, 24, 20)


def nifti(path, array=VOLUME, affine=None):
    nib.save(
        nib.Nifti1Image(array, np.diag([-0.5, -0.7, 2.5, 1]) if affine is None else affine), path
    )
    return str(path)


def dicom_slice(path, z=0.0):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"1.2.{int(z) + 1}"
    dataset.PatientName, dataset.PatientID = "DOE^JANE", "12345"
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, z]
    dataset.PixelData = bytes([int(z)]) * 32 * 32
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return str(path)


def read(path):
    [(array, keywords, kind)] = get_reader(str(path))(str(path))
    assert kind == "image"
    return array, keywords


class TestNifti:
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII"])
    def test_comes_with_its_geometry(self, tmp_path, name):
        array, keywords = read(nifti(tmp_path / name))
        assert np.array_equal(array, VOLUME.T)
        assert keywords["name"] == name
        assert keywords["scale"] == pytest.approx((2.5, 0.7, 0.5))
        assert keywords["units"] == ("mm",) * 3
        assert keywords["axis_labels"] == ("z", "y", "x")
        assert keywords["metadata"]["geometry"]["shape"] == (32, 24, 20)
        assert not keywords["rgb"]

    def test_axis_without_a_name_keeps_napari_s_number(self, tmp_path):
        _, keywords = read(nifti(tmp_path / "a.nii", np.zeros((32, 24, 20, 2), np.int16)))
        assert keywords["axis_labels"] == ("-4", "z", "y", "x")

    def test_damaged_file_is_one_sentence(self, tmp_path):
        (tmp_path / "a.nii").write_text("no volume" * 99)
        with pytest.raises(BadImageError, match=r"a\.nii: not a NIfTI"):
            read(tmp_path / "a.nii")


class TestDicom:
    def test_folder_is_a_volume(self, tmp_path):
        for z in (4, 0, 2):
            dicom_slice(tmp_path / f"{9 - z}.dcm", z)
        array, keywords = read(tmp_path)
        assert array[:, 0, 0].tolist() == [0, 2, 4]
        assert keywords["scale"] == (2.0, 0.5, 0.25)

    def test_file_is_found_by_its_content(self, tmp_path):
        array, keywords = read(dicom_slice(tmp_path / "IM01"))
        assert array.shape == (32, 32)
        assert keywords["axis_labels"] == ("y", "x")

    def test_nothing_about_the_patient_reaches_the_layer(self, tmp_path):
        _, keywords = read(dicom_slice(tmp_path / "a.dcm"))
        assert "DOE" not in repr(keywords)
        assert "12345" not in repr(keywords)


@pytest.mark.parametrize("name", ["a.tif", "folder", "gone.png"])
def test_other_paths_are_left_to_other_readers(tmp_path, name):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / name)) is None


def test_lists_are_left_to_other_readers(tmp_path):
    assert get_reader([nifti(tmp_path / "a.nii")]) is None
