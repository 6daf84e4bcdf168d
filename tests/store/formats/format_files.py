"""Tiny image files of every kind, built where a test wants them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

GREY = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
FLOAT = GREY.astype(np.float32)
CT = "1.2.840.10008.5.1.4.1.1.2"


def tiff(path: Path, array: np.ndarray = GREY, **options: object) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def picture(path: Path, array: np.ndarray = GREY, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def gif(path: Path, n: int = 3) -> Path:
    frames = [Image.fromarray(np.roll(GREY, 7 * i, 0)) for i in range(n)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """Claim a size without holding the pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
    path.write_bytes(start + struct.pack(">I", zlib.crc32(body)) + struct.pack(">I", 0) + b"IDAT")
    return path


def tiff_header(path: Path, side: int) -> Path:
    """Claim a size without holding the pixels."""
    tiff(path)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for name in ("ImageWidth", "ImageLength"):
            struct.pack_into("<HII", data, tif.pages[0].tags[name].offset + 2, 4, 1, side)
    path.write_bytes(data)
    return path


def dicom(path: Path, pixels: np.ndarray | bytes = GREY, **tags: object) -> Path:
    """Write one file; `tags` replace or add elements by keyword, None removes one."""
    values = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    bits = 8 if isinstance(pixels, bytes) else 8 * pixels.dtype.itemsize
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CT
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName = "DOE^JANE 12345"
    dataset.PatientID = "12345"
    dataset.Rows, dataset.Columns = 64, 80
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.PixelData = values
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, positions: list[float], **tags: object) -> Path:
    """Write axial slices in shuffled file order, slice i filled with the value i."""
    folder.mkdir()
    for i, position in enumerate(positions):
        dicom(
            folder / f"{(i * 7) % 10}-{i}.dcm",
            np.full((64, 80), i, np.uint8),
            SeriesInstanceUID="1.2.3",
            InstanceNumber=len(positions) - i,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[-20, -30, position],
            **tags,
        )
    return folder
