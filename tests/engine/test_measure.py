"""Measurements: units, numbers by hand, frames and volumes, and the file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import integers
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.engine.measure import Table, boxes_of, measure

TWO = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], np.int32)
NAMES = ("tumour", "lesion")


def measured(
    labels: NDArray[np.integer],
    axes: str = "yx",
    spacing: Sequence[float] = (),
    units: Sequence[str] = (),
    intensity: NDArray[np.floating] | None = None,
    objects: bool = True,
) -> dict[str, list[object]]:
    """Measure and return the columns by name."""
    table = measure(
        labels,
        intensity,
        axes,
        spacing or (1.0,) * len(axes),
        units or ("pixel",) * len(axes),
        objects=objects,
        class_names=NAMES,
    )
    return {name: [row[i] for row in table.rows] for i, name in enumerate(table.columns)}


class TestUnits:
    def test_without_units_pixels_are_counted(self) -> None:
        found = measured(TWO, spacing=(0.5, 0.5))
        assert found["area (pixels)"] == [4, 2]
        assert "equivalent diameter (pixels)" in found

    def test_areas_follow_both_steps(self) -> None:
        found = measured(TWO, spacing=(0.5, 0.25), units=("µm", "µm"))
        assert found["area (µm²)"] == [0.5, 0.25]

    def test_volumes_follow_the_slice_distance(self) -> None:
        found = measured(np.stack([TWO, TWO * 0]), "zyx", (5, 0.5, 0.5), ("mm",) * 3)
        assert found["volume (mm³)"] == [5.0, 2.5]

    @pytest.mark.parametrize("units", [("µm", "mm", "mm"), ("pixel", "mm", "mm"), ("s", "s", "s")])
    def test_mixed_units_are_counted_in_voxels(self, units: tuple[str, ...]) -> None:
        assert measured(TWO[np.newaxis], "zyx", (5, 2, 2), units)["volume (voxels)"] == [4, 2]


class TestObjects:
    def test_labels_come_first_and_in_order(self) -> None:
        found = measured(np.array([[7, 3]]))
        assert next(iter(found)) == "label"
        assert found["label"] == [3, 7]

    def test_the_equivalent_diameter_is_that_of_a_disc_or_ball(self) -> None:
        flat = measured(TWO, spacing=(2, 2), units=("mm", "mm"))
        assert flat["equivalent diameter (mm)"][0] == pytest.approx(math.sqrt(4 * 16 / math.pi))
        ball = measured(TWO[np.newaxis], "zyx", (1, 2, 2), ("mm",) * 3)
        assert ball["equivalent diameter (mm)"][1] == pytest.approx(math.cbrt(6 * 8 / math.pi))

    def test_the_centroid_lies_in_the_middle(self) -> None:
        found = measured(TWO, spacing=(2, 3), units=("mm", "mm"))
        assert found["centroid y (mm)"] == [1.0, 1.0]
        assert found["centroid x (mm)"] == [1.5, 9.0]

    def test_without_units_the_centroid_is_an_index(self) -> None:
        assert measured(TWO, spacing=(2, 3))["centroid x (pixels)"] == [0.5, 3.0]

    def test_the_mean_intensity_is_that_of_their_pixels(self) -> None:
        intensity = np.arange(8, dtype=np.float32).reshape(2, 4)
        assert measured(TWO, intensity=intensity)["mean intensity"] == [2.5, 5.0]

    def test_values_that_are_not_finite_do_not_count(self) -> None:
        intensity = np.array([[1, np.nan, 0, np.inf], [3, 5, 0, np.nan]], np.float32)
        first, second = measured(TWO, intensity=intensity)["mean intensity"]
        assert first == 3.0
        assert math.isnan(second)  # type: ignore[arg-type]

    def test_without_an_image_there_is_no_intensity(self) -> None:
        assert "mean intensity" not in measured(TWO)

    def test_they_have_no_class(self) -> None:
        assert not {"class", "objects"} & set(measured(TWO))

    @given(
        arrays(np.int32, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=integers(0, 5))
    )
    def test_sizes_add_up_to_the_foreground(self, labels: NDArray[np.int32]) -> None:
        axes = "zyx"[-labels.ndim :]
        found = measured(labels, axes)
        size = "area (pixels)" if labels.ndim == 2 else "volume (voxels)"
        assert sum(found[size]) == np.count_nonzero(labels)  # type: ignore[arg-type]
        assert found["label"] == sorted(set(labels[labels > 0].tolist()))


class TestClasses:
    def test_they_have_a_name_and_a_number_of_parts(self) -> None:
        found = measured(np.array([[1, 0, 1], [0, 0, 1], [2, 0, 0]]), objects=False)
        assert list(found) == ["label", "class", "objects", "area (pixels)"]
        assert found["class"] == ["tumour", "lesion"]
        assert found["objects"] == [2, 1]
        assert found["area (pixels)"] == [3, 1]

    def test_a_painted_class_without_a_name_is_kept(self) -> None:
        assert measured(np.array([[9]]), objects=False)["class"] == ["label 9"]


class TestFrames:
    def test_each_is_measured_by_itself(self) -> None:
        series = np.stack([TWO, TWO * 0, TWO // 2])  # frame 2 keeps only the second, as label 1
        found = measured(series, "tyx", (1, 1, 1), ("s", "mm", "mm"), objects=False)
        assert found["label"] == [1, 2, 1]
        assert found["frame"] == [0, 0, 2]
        assert found["area (mm²)"] == [4.0, 2.0, 2.0]

    def test_they_may_come_after_the_slices(self) -> None:
        series = np.stack([np.stack([TWO, TWO * 0]), np.stack([TWO, TWO * 0])])  # z, t, y, x
        intensity = series.astype(np.float32)
        found = measured(series, "ztyx", intensity=intensity)
        assert found["frame"] == [0, 0]
        assert found["volume (voxels)"] == [8, 4]
        assert found["mean intensity"] == [1.0, 2.0]
        assert found["centroid z (pixels)"] == [0.5, 0.5]

    def test_samples_are_told_apart(self) -> None:
        assert measured(np.stack([TWO, TWO]), "nyx")["sample"] == [0, 0, 1, 1]


class TestEmpty:
    def test_a_mask_without_labels_has_columns_but_no_rows(self) -> None:
        found = measured(TWO * 0, intensity=np.zeros((2, 4)))
        assert found["area (pixels)"] == found["mean intensity"] == []

    def test_no_frame_at_all_has_no_rows(self) -> None:
        assert measured(np.zeros((0, 2, 2), int), "tyx") == {"label": []}


class TestBoxes:
    @pytest.mark.parametrize("huge", [7, 2_000_000_000])
    def test_a_number_may_be_as_large_as_it_likes(self, huge: int) -> None:
        labels = np.where(TWO == 2, huge, TWO)
        labels[0, 2] = -1
        assert boxes_of(labels) == {
            1: (slice(0, 2), slice(0, 2)), huge: (slice(0, 2), slice(3, 4))
        }  # fmt: skip
        assert measured(labels, objects=False)["class"][1] == f"label {huge}"

    def test_nothing_has_none(self) -> None:
        assert boxes_of(np.zeros((2, 3), np.uint8)) == {}


class TestErrors:
    def test_axes_and_shape_must_fit(self) -> None:
        with pytest.raises(ValueError, match="2 axes need as many letters"):
            measured(TWO, "zyx")

    def test_the_image_must_fit(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(2, 3\), the labels \(2, 4\)"):
            measured(TWO, intensity=np.zeros((2, 3)))


class TestFile:
    TABLE = Table(("label", "class", "area (µm²)"), ((1, "a, b", 0.5), (2, "=1+1", 3)))

    def read(self, content: bytes) -> list[list[str]]:
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))

    def test_it_holds_the_table_and_the_research_sentence(self) -> None:
        assert self.read(self.TABLE.to_csv()) == [
            ["label", "class", "area (µm²)", RESEARCH_ONLY],
            ["1", "a, b", "0.5", ""],
            ["2", "'=1+1", "3", ""],
        ]

    def test_it_names_its_encoding_to_spreadsheets(self) -> None:
        assert self.TABLE.to_csv().startswith(b"\xef\xbb\xbflabel")

    def test_an_empty_table_still_has_its_header(self) -> None:
        assert self.read(Table(("label",), ()).to_csv()) == [["label", RESEARCH_ONLY]]
