from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from napari_rwkvseg.store.formats import read_image, read_labels, write_mask
from napari_rwkvseg.store.formats.dicom_geometry import gap_notes
from napari_rwkvseg.store.formats.peek import peek
from tests.store.formats.format_files import GREY, dicom, series

ROWS, COLUMNS = b"\x28\0\x10\0US", b"\x28\0\x11\0US"  # elements, as they begin


def per_frame(positions: list[float]) -> list[Dataset]:
    items = []
    for z in positions:
        plane = Dataset()
        plane.ImagePositionPatient = [0, 0, z]
        item = Dataset()
        item.PlanePositionSequence = [plane]
        items.append(item)
    return items


def shared(cosines=(1, 0, 0, 0, 1, 0)) -> list[Dataset]:
    measures, direction, item = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.25]
    direction.ImageOrientationPatient = list(cosines)
    item.PixelMeasuresSequence = [measures]
    item.PlaneOrientationSequence = [direction]
    return [item]


def emptied(data: bytes, tag: bytes) -> bytes:
    """Take the two bytes of a number away."""
    start = data.index(tag) + len(tag)
    return data[:start] + b"\0\0" + data[start + 4 :]


class TestOneFile:
    def test_has_row_and_column_distance_in_millimetres(self, tmp_path):
        image = read_image(dicom(tmp_path / "a.dcm"))
        assert np.array_equal(image.array, GREY)
        assert (image.axes, image.spacing, image.units) == ("yx", (0.5, 0.25), ("mm", "mm"))

    def test_is_rescaled_to_hounsfield_units(self, tmp_path):
        stored = GREY.astype(np.uint16) * 8
        image = read_image(
            dicom(tmp_path / "a.dcm", stored, RescaleSlope=2, RescaleIntercept=-1024)
        )
        assert image.array.dtype == np.float32
        assert np.array_equal(image.array, 2.0 * stored - 1024)

    def test_without_spacing_is_in_pixels(self, tmp_path):
        image = read_image(dicom(tmp_path / "a.dcm", PixelSpacing=None))
        assert (image.spacing, image.units) == ((1.0, 1.0), ("pixel", "pixel"))

    def test_with_detector_spacing_only_says_so(self, tmp_path):
        path = dicom(tmp_path / "a.dcm", PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.1])
        image = read_image(path)
        assert image.spacing == (0.2, 0.1)
        assert "detector" in image.notes[0]

    def test_is_found_by_its_content_not_its_name(self, tmp_path):
        assert read_image(dicom(tmp_path / "IM00001")).plane_shape == (64, 80)

    def test_says_nothing_about_the_patient(self, tmp_path):
        image = read_image(dicom(tmp_path / "a.dcm", ImageComments="DOE^JANE"))
        text = repr((image.name, image.axes, image.units, image.notes))
        assert "DOE" not in text
        assert "12345" not in text

    @pytest.mark.parametrize("name", ["Rows", "Columns", "BitsAllocated"])
    def test_names_what_its_header_lacks(self, tmp_path, name):
        with pytest.raises(BadImageError, match=f"lacks {name}"):
            read_image(dicom(tmp_path / "a.dcm", **{name: None}))

    def test_names_what_is_empty_in_its_header(self, tmp_path):
        path = dicom(tmp_path / "a.dcm")
        path.write_bytes(emptied(path.read_bytes(), ROWS))
        with pytest.raises(BadImageError, match="lacks Rows"):
            read_image(path)

    def test_with_nonsense_in_a_number_ends_in_one_sentence(self, tmp_path):
        path = dicom(tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes().replace(b"0.5\\0.25", b"half\\bad"))
        assert read_image(path).units == ("pixel", "pixel")


def place_of(mask, value):
    """Return where the voxel of this value lies in a NIfTI file, in DICOM's coordinates."""
    found = nib.load(mask)
    (voxel,) = np.argwhere(np.atleast_3d(found.dataobj) == value)
    return nib.affines.apply_affine(found.affine, voxel) * [-1, -1, 1]


class TestFrames:
    frames = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
    ids = np.arange(3 * 64 * 80, dtype=np.uint16).reshape(3, 64, 80)

    def enhanced(self, folder, common, frames):
        """Write an enhanced file of three frames with these functional groups."""
        return dicom(
            folder / "a.dcm",
            self.frames,
            NumberOfFrames=3,
            PixelSpacing=None,
            SharedFunctionalGroupsSequence=common,
            PerFrameFunctionalGroupsSequence=frames,
        )

    def test_of_an_enhanced_file_are_slices(self, tmp_path):
        image = read_image(self.enhanced(tmp_path, shared(), per_frame([0, 3, 6])))
        assert (image.axes, image.spacing) == ("zyx", (3.0, 0.5, 0.25))
        assert np.array_equal(image.array, self.frames)

    @pytest.mark.parametrize("each", [False, True])
    def test_of_an_enhanced_file_are_rescaled_as_each_says(self, tmp_path, each):
        slopes = [1, 2, 3] if each else [2]
        groups = []
        for slope in slopes:
            item = Dataset()
            item.RescaleSlope, item.RescaleIntercept = slope, -1024
            groups.append(item)
        frames, common = per_frame([0, 3, 6]), shared()
        for item, group in zip(frames if each else common, groups, strict=True):
            item.PixelValueTransformationSequence = [group]
        image = read_image(self.enhanced(tmp_path, common, frames))
        steps = np.array(slopes if each else slopes * 3)[:, None, None]
        assert image.array.dtype == np.float32
        assert np.array_equal(image.array, self.frames * steps - 1024.0)

    def test_in_the_same_place_are_asked_for(self, tmp_path):
        path = dicom(
            tmp_path / "a.dcm",
            self.frames,
            NumberOfFrames=3,
            SharedFunctionalGroupsSequence=shared(),
            PerFrameFunctionalGroupsSequence=per_frame([0, 0, 0]),
        )
        with pytest.raises(AmbiguousAxesError):
            read_image(path)

    def test_of_a_film_are_time_points(self, tmp_path):
        image = read_image(dicom(tmp_path / "a.dcm", self.frames, NumberOfFrames=3, FrameTime=40))
        assert (image.axes, image.spacing[0], image.units[0]) == ("tyx", 40.0, "ms")

    @pytest.mark.parametrize("positions", [[0, 3, 6], [6, 3, 0]])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_of_an_enhanced_file_lie_in_the_patient(self, tmp_path, positions, sign):
        self.frames = self.ids
        common = shared([sign, 0, 0, 0, sign, 0])
        path = self.enhanced(tmp_path, common, per_frame(positions))
        image = read_image(path)
        write_mask(tmp_path / "m.nii", image.array, image, path)
        for frame, z in enumerate(positions):
            place = place_of(tmp_path / "m.nii", self.ids[frame, 2, 5])
            assert place == pytest.approx((sign * 5 * 0.25, sign * 2 * 0.5, z))
        assert nib.load(tmp_path / "m.nii").header["sform_code"] == 1

    @pytest.mark.parametrize("positions", [[0, 3, 9], [0, 3]])
    def test_of_an_enhanced_file_at_no_even_places_claim_none(self, tmp_path, positions):
        path = self.enhanced(tmp_path, shared(), per_frame(positions))
        image = read_image(path, "zyx")
        write_mask(tmp_path / "m.nii", image.array, image, path)
        assert nib.load(tmp_path / "m.nii").header["sform_code"] == 0

    def test_of_an_enhanced_file_of_one_lie_in_the_patient(self, tmp_path):
        groups = {"SharedFunctionalGroupsSequence": shared()}
        groups["PerFrameFunctionalGroupsSequence"] = per_frame([7])
        path = dicom(tmp_path / "a.dcm", self.ids[0], PixelSpacing=None, **groups)
        image = read_image(path)
        write_mask(tmp_path / "m.nii", image.array, image, path)
        assert place_of(tmp_path / "m.nii", self.ids[0, 2, 5]) == pytest.approx((1.25, 1, 7))

    @pytest.mark.parametrize("offsets", [[0, 2, 4], [0, -2, -4], [9, 7, 5]])
    def test_of_a_dose_lie_in_the_patient(self, tmp_path, offsets):
        path = dicom(
            tmp_path / "a.dcm",
            self.ids,
            NumberOfFrames=3,
            GridFrameOffsetVector=offsets,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 9],
        )
        image = read_image(path)
        write_mask(tmp_path / "m.nii", image.array, image, path)
        for frame, offset in enumerate(offsets):
            place = place_of(tmp_path / "m.nii", self.ids[frame, 2, 5])
            assert place == pytest.approx((1.25, 1, 9 + offset - offsets[0]))

    def test_of_a_dose_lie_at_their_offsets(self, tmp_path):
        path = dicom(
            tmp_path / "a.dcm", self.frames, NumberOfFrames=3, GridFrameOffsetVector=[0, 2, 4]
        )
        image = read_image(path)
        assert (image.axes, image.spacing[0], image.units[0]) == ("zyx", 2.0, "mm")


class TestSeries:
    def test_is_sorted_by_position_not_by_name(self, tmp_path):
        image = read_image(series(tmp_path / "ct", [8, 0, 4, 2, 6]))
        assert (image.name, image.axes) == ("ct", "zyx")
        assert image.array[:, 0, 0].tolist() == [1, 3, 2, 4, 0]
        assert (image.spacing, image.units) == ((2.0, 0.5, 0.25), ("mm",) * 3)
        assert image.notes == ()

    def test_without_positions_is_sorted_by_instance_and_asked_for(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 0, 0, 0, 0])
        for i, path in enumerate(sorted(folder.iterdir())):
            values = np.full((64, 80), i, np.uint8)
            dicom(path, values, SeriesInstanceUID="1.2", InstanceNumber=9 - i)
        with pytest.raises(AmbiguousAxesError):
            read_image(folder)
        image = read_image(folder, axes="zyx")
        assert image.array[:, 0, 0].tolist() == [4, 3, 2, 1, 0]
        assert "sorted by instance number" in image.notes[0]

    def test_of_one_file_is_that_file(self, tmp_path):
        assert read_image(series(tmp_path / "ct", [0])).axes == "yx"

    def test_ignores_other_files(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 2])
        (folder / "notes.txt").write_text("DICOM?")
        assert read_image(folder).lead_shape == (2,)

    def test_with_its_own_rescale_per_slice_is_rescaled_one_by_one(self, tmp_path):
        folder = series(tmp_path / "pet", [0, 2])
        for i in range(2):
            tags = {"ImagePositionPatient": [0, 0, i], "RescaleSlope": i + 1, "RescaleIntercept": 0}
            dicom(
                folder / f"{(i * 7) % 10}-{i}.dcm",
                np.full((64, 80), 3, np.uint8),
                SeriesInstanceUID="1.2.3",
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                **tags,
            )
        image = read_image(folder)
        assert image.array.dtype == np.float32
        assert image.array[:, 0, 0].tolist() == [3.0, 6.0]

    @pytest.mark.parametrize(
        ("tags", "reason"),
        [
            ({"SeriesInstanceUID": "9.9"}, "2 DICOM series"),
            ({"Rows": 32, "Columns": 160}, r"differ in size \(32×160, 64×80\)"),
            ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, "differ in direction"),
            ({"ImagePositionPatient": [-20, -30, 2]}, "same place"),
            ({"NumberOfFrames": 2}, "several multi-frame files"),
        ],
    )
    def test_with_a_stranger_is_refused(self, tmp_path, tags, reason):
        folder = series(tmp_path / "ct", [0, 2, 4])
        given = {
            "SeriesInstanceUID": "1.2.3",
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [-20, -30, 6],
        }
        dicom(folder / "x.dcm", **(given | tags))
        with pytest.raises(BadImageError, match=reason):
            read_image(folder)

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda data: data.replace(COLUMNS, b"\x29" + COLUMNS[1:]), r"0-0\.dcm: .* Columns"),
            (lambda data: emptied(data, ROWS), r"0-0\.dcm: the DICOM header lacks Rows"),
            (lambda data: data.replace(b"IS\2\x0011", b"IS\2\0ab"), "unusual DICOM series .*'ab'"),
        ],
    )
    def test_with_a_damaged_slice_ends_in_one_sentence(self, tmp_path, spoil, reason):
        folder = series(tmp_path / "ct", [0, 2, 4], NumberOfFrames=11)
        path = folder / "0-0.dcm"
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(BadImageError, match=reason):
            read_image(folder)
        assert "File not checked" in peek(folder).notes[0]
        assert peek(path)

    def test_of_grey_and_coloured_slices_is_refused(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 2, 4])
        dicom(
            folder / "x.dcm",
            np.stack([GREY] * 3, -1),
            SeriesInstanceUID="1.2.3",
            ImagePositionPatient=[-20, -30, 6],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            SamplesPerPixel=3,
            PhotometricInterpretation="RGB",
            PlanarConfiguration=0,
        )
        with pytest.raises(BadImageError, match="ct: holds grey slices and slices in colour"):
            read_image(folder)

    def test_of_differing_pixel_spacing_says_so(self, tmp_path):
        folder = series(tmp_path / "ct", [0, 2])
        place = {"ImagePositionPatient": [-20, -30, 4], "PixelSpacing": [1.0, 0.5]}
        direction = {"SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        dicom(folder / "x.dcm", **direction, **place)
        note = "Slices differ in pixel spacing: that of the first is taken for all."
        assert read_image(folder).notes == (note,)
        assert peek(folder).notes == (note,)

    def test_folder_without_slices_is_refused(self, tmp_path):
        with pytest.raises(BadImageError, match="holds no DICOM slices"):
            read_image(tmp_path)

    def test_mask_as_nifti_lies_in_patient_coordinates(self, tmp_path):
        folder = series(tmp_path / "ct", [5, 7, 9])
        image = read_image(folder)
        mask = np.zeros((3, 64, 80), np.uint8)
        mask[1, 2, 3] = 1
        write_mask(tmp_path / "m.nii", mask, image, folder)
        found = nib.load(tmp_path / "m.nii")
        voxel = np.argwhere(np.asarray(found.dataobj))[0]
        place = nib.affines.apply_affine(found.affine, voxel)
        assert place == pytest.approx((20 - 3 * 0.25, 30 - 2 * 0.5, 7))

    def test_mask_as_nifti_is_read_as_it_was_painted(self, tmp_path):
        """Slices of a sagittal series run to the right, those of a NIfTI file to the left."""
        folder = tmp_path / "ct"
        folder.mkdir()
        for i in range(3):
            place = {"ImagePositionPatient": [2 * i, -30, 40]}
            sagittal = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "SeriesInstanceUID": "1.2"}
            dicom(folder / f"{i}.dcm", np.full((64, 80), i, np.uint8), **sagittal, **place)
        image = read_image(folder)
        assert image.array[:, 0, 0].tolist() == [0, 1, 2]  # from right to left, as stored places
        labels = np.arange(3 * 64 * 80).reshape(3, 64, 80)
        write_mask(tmp_path / "m.nii", labels, image, folder)
        assert np.array_equal(read_labels(tmp_path / "m.nii"), labels)
        found = nib.load(tmp_path / "m.nii")
        first = nib.affines.apply_affine(found.affine, [0, 0, 0])
        value = np.asarray(found.dataobj)[0, 0, 0]
        index = np.argwhere(labels == value)[0]
        assert index[0] == round(-first[0] / 2)

    def test_of_a_tilted_gantry_lies_where_its_slices_lie(self, tmp_path):
        tilt = np.radians(20)
        folder = tmp_path / "ct"
        folder.mkdir()
        for i in range(4):
            dicom(
                folder / f"{i}.dcm",
                np.full((64, 80), i, np.uint8),
                SeriesInstanceUID="1.2",
                ImageOrientationPatient=[1, 0, 0, 0, np.cos(tilt), np.sin(tilt)],
                ImagePositionPatient=[0, 0, 5 * i],
            )
        image = read_image(folder)
        mask = (image.array == 3).astype(np.uint8)
        write_mask(tmp_path / "m.nii", mask, image, folder)
        found = nib.load(tmp_path / "m.nii")
        voxel = np.argwhere(np.asarray(found.dataobj))[0]
        assert nib.affines.apply_affine(found.affine, voxel) == pytest.approx((0, 0, 15), abs=1e-3)


class TestGapNotes:
    def test_equal_steps_need_none(self):
        assert gap_notes([0, 2, 4.01, 6]) == ()

    def test_usual_step_is_one_that_occurs(self):
        assert gap_notes([0, 2, 6])[0].startswith("Slices not equally spaced (2.0 expected, 4.0")

    def test_names_the_first_gap(self):
        notes = gap_notes([0, 2, 4, 7, 9, 12])
        assert notes == ("Slices not equally spaced (2.0 expected, 3.0 between slices 3 and 4).",)
