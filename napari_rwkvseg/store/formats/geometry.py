"""Where an array lies in the patient: the affine of NIfTI, turned so that planes look upright.

Axis letters of anatomy: L left, R right, A front, P back, S head, I feet. Affines map voxel
indices (i, j, k) = (column, row, slice) to millimetres in NIfTI's R, A, S coordinates.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_rwkvseg.store.formats.tiff_write import CENTIMETERS

_ROUNDING = 0.5  # voxels: headers of one volume differ by rounding

Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """How an array of ours relates to the stored volume and to the patient.

    Attributes
    ----------
    affine : (4, 4) float64
        Of the stored volume, whose index order (i, j, k) is ours reversed.
    shape : tuple of int
        Shape of the stored volume, singleton axes included.
    flips : tuple of bool
        For i, j, k: whether our array runs against the stored one.
    oriented : bool
        Whether the file says how it lies in the patient; if not, the affine only has the spacing.
    unit : str
        Of the affine, a length.
    """

    affine: Affine
    shape: tuple[int, ...]
    flips: tuple[bool, bool, bool] = (False, False, False)
    oriented: bool = True
    unit: str = "mm"

    @property
    def millimetres(self) -> Affine:
        """The affine in millimetres, as NIfTI files of ours have it."""
        return np.diag([*[10 * CENTIMETERS[self.unit]] * 3, 1.0]) @ self.affine

    @property
    def turned(self) -> bool:
        """Whether our array looks different from the stored one."""
        return any(back and n > 1 for back, n in zip(self.flips, self.shape, strict=False))

    def as_meant(self, axes: str) -> Geometry:
        """Return the geometry of an array that is read as `axes`: only slices run upwards.

        Parameters
        ----------
        axes : str
            Letters of the array; where its third axis from the end is no z (frames, channels),
            it runs as it was stored.
        """
        i, j, k = self.flips
        third = axes.removesuffix("s")[-3:-2]  # none in a plane
        return replace(self, flips=(i, j, k and third in ("", "z")))

    def lies_on(self, other: Geometry) -> bool:
        """Whether the voxels of both arrays, which have one shape, lie in the same places."""
        apart = np.linalg.norm(self._corners() - other._corners(), axis=1).max()
        sides = np.linalg.norm(self.millimetres[:3, :3], axis=0)
        return bool(apart <= _ROUNDING * min(sides))

    def _corners(self) -> npt.NDArray[np.float64]:
        """Return the places of the corner voxels of our array in mm, shape (8, 3)."""
        lengths = zip((*self.shape, 1)[:3], self.flips, strict=True)
        ends = [(n - 1, 0) if back else (0, n - 1) for n, back in lengths]
        voxels = np.array(list(itertools.product(*ends)))
        return voxels @ self.millimetres[:3, :3].T + self.millimetres[:3, 3]

    def to_metadata(self) -> dict[str, Any]:
        """Return plain values for a layer's metadata: geometry only, nothing about a person."""
        return {
            "affine": self.affine.tolist(),
            "shape": self.shape,
            "flips": self.flips,
            "oriented": self.oriented,
            "unit": self.unit,
        }

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any]) -> Geometry:
        """Rebuild what `to_metadata` returned."""
        i, j, k = values["flips"]
        shape = tuple(int(n) for n in values["shape"])
        affine = np.asarray(values["affine"], dtype=np.float64)
        flips = (bool(i), bool(j), bool(k))
        oriented, unit = bool(values.get("oriented", True)), str(values.get("unit", "mm"))
        return cls(affine, shape, flips, oriented, unit)


def upright_flips(affine: Affine) -> tuple[bool, bool, bool]:
    """Return which of i, j, k to flip so that planes appear as radiologists view them.

    Left of the patient to the right of the picture, front or head up, slices from feet to head.
    Axes are never swapped: the planes stay those that were acquired.
    """
    codes = nib.orientations.aff2axcodes(affine)  # type: ignore[no-untyped-call]
    i, j, k = (_against(code, in_plane=place < 2) for place, code in enumerate(codes))
    return i, j, k


def _against(code: str | None, *, in_plane: bool) -> bool:
    wanted = {"R": "L", "L": "L", "A": "P", "P": "P"}
    head = "I" if in_plane else "S"  # rows run downwards, slices upwards
    return code is not None and code != wanted.get(code, head)


def flip(array: npt.NDArray[Any], flips: tuple[bool, bool, bool]) -> npt.NDArray[Any]:
    """Flip the first three axes (i, j, k) of a stored volume; its own inverse, a view."""
    steps = (slice(None, None, -1 if back else 1) for back in flips)
    return array[tuple(steps)[: array.ndim]]


def upright(
    array: npt.NDArray[Any], axes: str, affine: Affine, shape: tuple[int, ...]
) -> tuple[npt.NDArray[Any], Geometry]:
    """Turn planes upright that lie as they were stored, and say how that was done.

    Parameters
    ----------
    array : ndarray
        Axes as `axes` says; z, y, x are k, j, i.
    axes : str
        Letters.
    affine, shape
        Of the stored volume, see `Geometry`.

    Returns
    -------
    ndarray, Geometry
        A view, and where it lies.
    """
    turned = dict(zip("xyz", upright_flips(affine), strict=True))
    i, j, k = (turned[letter] and letter in axes for letter in "xyz")
    steps = tuple(slice(None, None, -1 if turned.get(letter) else 1) for letter in axes)
    return array[steps], Geometry(affine, shape, (i, j, k))


def is_invertible(affine: Affine) -> bool:
    """Whether an affine gives every voxel its own finite place."""
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-12)


def tilt(affine: Affine) -> float:
    """Return the largest angle between a voxel axis and a body axis, in degrees."""
    return float(np.degrees(np.max(nib.affines.obliquity(affine))))  # type: ignore[no-untyped-call]
