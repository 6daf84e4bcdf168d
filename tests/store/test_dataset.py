"""Images and masks of a data folder: whether they lie on each other."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_rwkvseg.engine.dataset import DatasetError, Record
from napari_rwkvseg.store.dataset import read_pair

UPRIGHT, RAS = np.diag([-0.5, -0.5, 2.0, 1.0]), np.diag([0.5, 0.5, 2.0, 1.0])


def write_pair(folder: Path, affine: np.ndarray, mask: str, of_mask: np.ndarray) -> Record:
    """Write a NIfTI volume and, in the order of its bytes, a mask of it."""
    values = np.random.default_rng(0).integers(0, 9, (40, 36, 3), np.uint8)
    nib.save(nib.Nifti1Image(values, affine), folder / "i.nii")
    if mask.endswith(".nii"):
        nib.save(nib.Nifti1Image(values, of_mask), folder / mask)
    else:
        np.save(folder / mask, values.T)
    return Record("a", folder / "i.nii", folder / mask, "val")


@pytest.mark.parametrize(
    ("affine", "mask", "of_mask"),
    [
        (UPRIGHT, "m.nii", UPRIGHT + np.pad([[0.1]], ((0, 3), (3, 0)))),
        (RAS, "m.nii", RAS),
        (UPRIGHT, "m.npy", UPRIGHT),
    ],
)
def test_a_mask_that_lies_on_its_image_is_read(
    tmp_path: Path, affine: np.ndarray, mask: str, of_mask: np.ndarray
) -> None:
    image, labels = read_pair(write_pair(tmp_path, affine, mask, of_mask))
    assert np.array_equal(image.array, labels)


@pytest.mark.parametrize(
    ("affine", "mask", "of_mask", "message"),
    [
        (UPRIGHT, "m.nii", np.eye(4), r"a: i\.nii and m\.nii lie in different places"),
        (UPRIGHT, "m.nii", RAS, "Save the mask with the affine of the image"),
        (RAS, "m.npy", RAS, r"i\.nii and m\.npy may be turned against each other"),
    ],
)
def test_a_mask_that_lies_elsewhere_by_its_header_is_refused(
    tmp_path: Path, affine: np.ndarray, mask: str, of_mask: np.ndarray, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_pair(write_pair(tmp_path, affine, mask, of_mask))


def test_a_mask_that_another_program_stored_the_other_way_round_is_read(tmp_path: Path) -> None:
    record = write_pair(tmp_path, UPRIGHT, "m.nii", UPRIGHT)
    nib.save(nib.as_closest_canonical(nib.load(record.image)), record.mask)
    image, labels = read_pair(record)
    assert np.array_equal(image.array, labels)
