"""The input catalogue, files: for each kind of file the wanted verdict."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
import zarr
from pydicom.uid import MPEG2MPML, HTJ2KLossless, JPEGBaseline8Bit, JPEGLosslessSV1

from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from napari_rwkvseg.store.formats import read_image
from tests.store.formats import format_files as make
from tests.store.formats.format_files import FLOAT, GREY


@dataclass(frozen=True)
class Row:
    """A line of the catalogue: how to make the file, what reading it should give."""

    name: str
    build: Callable[[Path], Path]
    ok: str = ""  # axes
    note: str = ""  # part of a note
    error: str = ""  # part of the sentence
    ask: str = ""  # likeliest answer


def saved(array: np.ndarray) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        np.save(folder / "a.npy", array)
        return folder / "a.npy"

    return build


def as_tiff(array: np.ndarray = GREY, name: str = "a.tif", **options) -> Callable[[Path], Path]:
    return lambda folder: make.tiff(folder / name, array, **options)


def as_picture(array: np.ndarray, mode: str | None, name: str) -> Callable[[Path], Path]:
    return lambda folder: make.picture(folder / name, array, mode)


def as_dicom(pixels: np.ndarray | bytes = GREY, **tags) -> Callable[[Path], Path]:
    return lambda folder: make.dicom(folder / "a.dcm", pixels, **tags)


def written(data: bytes, name: str = "a.tif") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def cut(build: Callable[[Path], Path], keep: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def shortened(folder: Path) -> Path:
        path = build(folder)
        path.write_bytes(keep(path.read_bytes()))
        return path

    return shortened


def pages_of_other_size(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for rows in (64, 56, 48):
            file.write(GREY[:rows])
    return folder / "a.tif"


def pyramid(folder: Path) -> Path:
    base = np.tile(GREY, (4, 4))
    with tifffile.TiffWriter(folder / "a.ome.tif") as file:
        file.write(base, subifds=2, tile=(64, 64))
        for step in (2, 4):
            file.write(base[::step, ::step], subfiletype=1, tile=(64, 64))
    return folder / "a.ome.tif"


def huge_tiff_of_zeros(folder: Path) -> Path:
    tile = np.zeros((2000, 2000), np.uint8)
    tifffile.imwrite(
        folder / "a.tif",
        (tile for _ in range(100)),
        shape=(20_000, 20_000),
        dtype=np.uint8,
        tile=(2000, 2000),
        compression="zlib",
    )
    return folder / "a.tif"


def npy_header(shape: tuple[int, ...]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        with (folder / "a.npy").open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        return folder / "a.npy"

    return build


def nifti(array: np.ndarray, affine: np.ndarray, name: str = "a.nii") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        nib.save(nib.Nifti1Image(array, affine), folder / name)
        return folder / name

    return build


def no_affine(data: bytes) -> bytes:
    header = bytearray(data)
    struct.pack_into("<12f", header, 280, *[0.0] * 12)  # srow_*
    struct.pack_into("<2h", header, 252, 0, 1)  # qform_code, sform_code
    return bytes(header)


def a_loop(folder: Path) -> Path:
    (folder / "loop.tif").symlink_to("loop.tif")
    return folder / "loop.tif"


def a_folder(folder: Path) -> Path:
    (folder / "x.tif").mkdir()
    return folder / "x.tif"


def zarr_array(folder: Path) -> Path:
    array = zarr.create_array(folder / "a.zarr", shape=(64, 80), chunks=(32, 40), dtype="u1")
    array[:] = GREY
    return folder / "a.zarr"


def zarr_without_a_chunk(folder: Path) -> Path:
    path = zarr_array(folder)
    (path / "c" / "0" / "0").unlink()
    return path


ENCAPSULATED = pydicom.encaps.encapsulate([b"junk" * 8])
VOLUME = np.arange(32 * 24 * 20, dtype=np.int16).reshape(32, 24, 20)
STAINED = np.stack([GREY] * 3, -1)
OBLIQUE = np.array([[0.9, 0.4, 0, 0], [-0.4, 0.9, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])

ROWS = [
    Row("7 12-bit in uint16", as_tiff(GREY.astype(np.uint16) * 16), ok="yx"),
    Row("8 uint32", as_tiff(GREY.astype(np.uint32)), ok="yx"),
    Row("10 int16 negative", as_tiff(GREY.astype(np.int16) - 1000), ok="yx"),
    Row("12 float16", as_tiff(GREY.astype(np.float16)), ok="yx"),
    Row("13 complex", saved(GREY.astype(np.complex64)), error="complex values"),
    Row("14 bool tiff", as_tiff(GREY > 127), ok="yx"),
    Row("14 bool png", as_picture(GREY, "1", "a.png"), ok="yx"),
    Row("15 one row", as_tiff(GREY[:1]), error="side 1 below minimum"),
    Row("18 empty axis", saved(GREY[:0]), error="empty axis (0×80)"),
    Row("19 RGB", as_tiff(STAINED, photometric="rgb"), ok="yxs"),
    Row(
        "20 RGBA",
        as_tiff(np.stack([GREY] * 4, -1), photometric="rgb", extrasamples=["unassalpha"]),
        ok="yxs",
    ),
    Row("21 CMYK", as_tiff(np.stack([GREY] * 4, -1), photometric="separated"), error="CMYK"),
    Row("21 CMYK jpeg", as_picture(STAINED, "CMYK", "a.jpg"), error="CMYK"),
    Row("22 grey and alpha", as_picture(GREY, "LA", "a.png"), ask="yxc"),
    Row("23 two channels last", saved(np.stack([GREY] * 2, -1)), ask="yxc"),
    Row(
        "24 three planes first", as_tiff(np.stack([GREY] * 3), photometric="minisblack"), ask="cyx"
    ),
    Row(
        "25 five separate planes",
        as_tiff(np.stack([GREY] * 5), photometric="minisblack", planarconfig="separate"),
        ask="zyx",
    ),
    Row("25 planar RGB", as_tiff(np.stack([GREY] * 3), photometric="rgb"), ok="yxs"),
    Row(
        "26 palette",
        as_tiff(photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        ok="yx",
        note="palette ignored",
    ),
    Row("27 palette png", as_picture(STAINED, "P", "a.png"), ok="yxs"),
    Row("28 miniswhite", as_tiff(photometric="miniswhite"), ok="yx", note="stored inverted"),
    Row(
        "29 ImageJ",
        as_tiff(np.zeros((2, 3, 2, 64, 80), np.uint8), imagej=True, metadata={"axes": "TZCYX"}),
        ok="tzcyx",
    ),
    Row(
        "30 OME",
        as_tiff(np.zeros((2, 2, 3, 64, 80), np.uint8), "a.ome.tif", metadata={"axes": "TCZYX"}),
        ok="tczyx",
    ),
    Row("32 pyramid", pyramid, ok="yx"),
    Row("33 pages of other size", pages_of_other_size, ok="yx", note="1 of 3 series"),
    Row("34 BigTIFF", as_tiff(bigtiff=True), ok="yx"),
    *[
        Row(f"35 tiled {codec}", as_tiff(tile=(32, 32), compression=codec), ok="yx")
        for codec in ("zlib", "lzw", "zstd", "jpeg", "jpeg2000", "webp", "lerc")
        if codec != "webp"
    ],
    Row("35 webp", as_tiff(STAINED, tile=(32, 32), compression="webp"), ok="yxs"),
    Row(
        "36 half a deflate TIFF",
        cut(as_tiff(compression="zlib"), lambda data: data[: len(data) // 2]),
        error="truncated",
    ),
    Row("37 raw TIFF cut", cut(as_tiff(), lambda data: data[:-3000]), error="truncated"),
    Row("38 empty", written(b""), error="not a TIFF"),
    Row("38 text", written(b"hello, I am no image" * 9), error="not a TIFF"),
    Row("40 folder", a_folder, error="x.tif: is a folder"),
    Row("41 loop", a_loop, error="loop.tif: cannot be opened"),
    Row(
        "42 65 000 squared",
        lambda folder: make.tiff_header(folder / "a.tif", 65_000),
        error="65000",
    ),
    Row(
        "43 a million squared",
        lambda folder: make.tiff_header(folder / "a.tif", 10**6),
        error="1000000×1000000",
    ),
    Row("44 20 000 squared", huge_tiff_of_zeros, ok="yx"),
    Row(
        "45 30 000 squared PNG",
        lambda folder: make.png_header(folder / "a.png", 30_000, 30_000),
        error="pixel limit",
    ),
    Row(
        "45 just over",
        lambda folder: make.png_header(folder / "a.png", 17_001, 13_000),
        error="limit",
    ),
    Row("47 objects", saved(np.array([[{}] * 20] * 20, object)), error="object"),
    Row("48 npy header", npy_header((10**6, 10**6)), error="1000000×1000000 is 1000.0 GB"),
    Row(
        "48 npy header cut short",
        cut(saved(GREY), lambda data: data[:8] + b"\x36" + data[9:]),
        error="damaged or unusual numpy file",
    ),
    Row("48 npy cut", npy_header((64, 80)), error="truncated"),
    Row("49 npy scalar", saved(np.float64(3)), error="0-D"),
    Row("50 1-D", saved(GREY[0]), error="1-D (80)"),
    Row("50 text", saved(np.full((64, 80), "a")), error="<U1"),
    Row("50 record", saved(np.zeros((64, 80), "u1,u1")), error="void"),
    Row("50 dates", saved(np.zeros((64, 80), "M8[s]")), error="datetime64[s]"),
    Row("51 big-endian", saved(FLOAT.astype(">f4")), ok="yx"),
    Row("53 5-D", saved(np.zeros((2, 2, 2, 64, 80), np.uint8)), ask="tzcyx"),
    Row("54 name", as_tiff(name="cell 1 名前 é.tif"), ok="yx"),
    Row("55 GIF", lambda folder: make.gif(folder / "a.gif"), ask="tyx"),
    Row(
        "56 MONOCHROME1",
        as_dicom(PhotometricInterpretation="MONOCHROME1"),
        ok="yx",
        note="MONOCHROME1",
    ),
    Row("58 two frames", as_dicom(np.stack([GREY] * 2), NumberOfFrames=2), ask="zyx"),
    Row(
        "59 a slice left out",
        lambda folder: make.series(folder / "ct", [0, 2, 6, 8, 10]),
        ok="zyx",
        note="not equally spaced (2.0 expected, 4.0 between slices 2 and 3)",
    ),
    Row("60 JPEG lossless", as_dicom(ENCAPSULATED, syntax=JPEGLosslessSV1), error="pylibjpeg"),
    Row("60 HTJ2K", as_dicom(ENCAPSULATED, syntax=HTJ2KLossless), error="pylibjpeg"),
    Row("61 MPEG2", as_dicom(ENCAPSULATED, syntax=MPEG2MPML), error="MPEG2"),
    Row("62 rows times 4", as_dicom(Rows=256), error="pixel data too short for 1×256×80"),
    Row("62 frames lie", as_dicom(NumberOfFrames=9), error="pixel data too short for 9×64×80"),
    Row("62 65 535 squared", as_dicom(Rows=65535, Columns=65535), error="pixel data too short"),
    Row(
        "62 65 535 squared, packed",
        as_dicom(ENCAPSULATED, syntax=JPEGBaseline8Bit, Rows=65535, Columns=65535),
        error="1×65535×65535×1 is 4.3 GB",
    ),
    Row("63 no pixels", as_dicom(b""), error="pixel data too short"),
    Row("63 no element", as_dicom(PixelData=None), error="holds no image"),
    Row("64 broken stream", as_dicom(ENCAPSULATED, syntax=JPEGBaseline8Bit), error="DICOM"),
    Row("65 NIfTI", nifti(VOLUME, np.diag([-1, -1, 2.5, 1])), ok="zyx"),
    Row(
        "67 zero affine",
        cut(nifti(VOLUME, np.eye(4)), no_affine),
        ok="zyx",
        note="No valid orientation",
    ),
    Row("68 4-D", nifti(np.zeros((32, 24, 20, 3), np.int16), np.eye(4)), ask="tzyx"),
    Row("68 oblique", nifti(VOLUME, OBLIQUE), ok="zyx", note="Oblique volume (24°"),
    Row(
        "68 half a gz",
        cut(nifti(VOLUME, np.eye(4), "a.nii.gz"), lambda data: data[: len(data) // 2]),
        error="truncated",
    ),
    Row("68 cut nii", cut(nifti(VOLUME, np.eye(4)), lambda data: data[:-9]), error="truncated"),
    Row("69 zarr", zarr_array, ok="yx"),
    Row("71 zarr, chunk removed", zarr_without_a_chunk, ok="yx", note="1 of 4 chunks are absent"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_verdict(row: Row, tmp_path: Path) -> None:
    path = row.build(tmp_path)
    before = path.read_bytes() if path.is_file() else b""
    if row.ok:
        image = read_image(path)
        assert image.axes == row.ok
        assert [row.note in note for note in image.notes] == [True] * bool(row.note)
        assert image.plane((0,) * len(image.lead_axes)).size > 0
    else:
        with pytest.raises(BadImageError) as caught:
            read_image(path)
        message = str(caught.value)
        assert message.startswith(f"{path.name}: ")
        assert "\n" not in message
        assert row.error in message
        assert isinstance(caught.value, AmbiguousAxesError) == bool(row.ask)
        if row.ask:
            assert caught.value.choices[0] == row.ask
    assert not before or path.read_bytes() == before


def test_png_named_tif(tmp_path: Path) -> None:
    path = make.picture(tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert np.array_equal(read_image(path).array, GREY)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r"gone\.tif: does not exist"):
        read_image(tmp_path / "gone.tif")


def test_large_picture_within_the_limit(tmp_path: Path) -> None:
    """12 000 squared: Pillow would warn, the user need not know."""
    path = make.picture(tmp_path / "a.png", np.zeros((12_000, 12_000), np.uint8))
    assert read_image(path).plane_shape == (12_000, 12_000)


def test_user_answers_the_question(tmp_path: Path) -> None:
    path = make.tiff(tmp_path / "a.tif", np.stack([GREY] * 3), photometric="minisblack")
    assert read_image(path, axes="tyx").lead_axes == "t"


def test_junk_in_a_zarr_chunk_names_the_place(tmp_path: Path) -> None:
    path = zarr_array(tmp_path)
    (path / "c" / "1" / "1").write_bytes(b"junk")
    image = read_image(path)
    with pytest.raises(BadImageError, match="rows 0-64"):
        image.plane()


def test_gzip_of_something_else_is_no_nifti(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text" * 200))
    with pytest.raises(BadImageError, match="not a NIfTI by its content"):
        read_image(tmp_path / "a.gz")


def test_gzip_bomb_stops_at_the_header(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30))
    header["magic"], header["vox_offset"] = b"n+1", 352
    body = zlib.compressobj(wbits=31)
    data = body.compress(header.binaryblock + b"\0" * 10_000) + body.flush()
    (tmp_path / "a.nii.gz").write_bytes(data)
    with pytest.raises(BadImageError, match="30000×30000×30 is 108"):
        read_image(tmp_path / "a.nii.gz")


def test_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make.tiff(tmp_path / "a.tif")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadImageError, match=r"a\.tif: cannot be opened \(Permission denied\)"):
        read_image(path)


def test_tiff_without_a_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(8))
    with pytest.raises(BadImageError, match="truncated TIFF"):
        read_image(tmp_path / "a.tif")


def test_cielab_is_refused(tmp_path: Path) -> None:
    path = make.tiff(tmp_path / "a.tif", STAINED, photometric="cielab")
    with pytest.raises(BadImageError, match="CIELAB colours"):
        read_image(path)


def test_npy_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = saved(GREY)(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"NUMPY\x01", b"NUMPY\x09", 1))
    with pytest.raises(BadImageError, match=r"format version 9\.0"):
        read_image(path)


@pytest.fixture(autouse=True)
def _no_litter(tmp_path: Path) -> Iterator[None]:
    yield
    for large in tmp_path.glob("a.*"):
        if large.is_file():
            large.unlink()
