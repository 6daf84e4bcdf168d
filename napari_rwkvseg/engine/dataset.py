"""A folder of images with masks: `images/`, `masks/` and an `index.csv` that names the splits."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.errors import RwkvSegError

INDEX = "index.csv"
COLUMNS = ("name", "image", "mask", "split")


class DatasetError(RwkvSegError):
    """A data folder that cannot be read."""


@dataclass(frozen=True)
class Record:
    """One line of the index.

    Attributes
    ----------
    name : str
        Unique within the data set.
    image, mask : Path
        Files of equal size; the mask holds labels, 0 is background.
    split : str
        ``"train"``, ``"val"`` or another part.
    """

    name: str
    image: Path
    mask: Path
    split: str


@dataclass(frozen=True, eq=False)
class Sample:
    """One image plane with its truth.

    Attributes
    ----------
    name : str
        The record's name, with the slice's number for a volume.
    image : ndarray, float32, shape (H, W, C)
        Normalised to about 0..1.
    truth : ndarray, int, shape (H, W)
        Class per pixel, 0 is background.
    record, source : str
        The record it is a plane of; the data folder. Scores are per record, and every folder
        counts alike.
    """

    name: str
    image: NDArray[np.floating]
    truth: NDArray[np.integer]
    record: str = ""
    source: str = ""


def read_index(folder: Path, split: str | None = None) -> tuple[Record, ...]:
    """Return the records of a data folder, in the order of its index.

    Parameters
    ----------
    folder : Path
        Holds ``index.csv`` with the columns name, image, mask and split; paths are relative to it.
    split : str, optional
        Only this part.

    Raises
    ------
    DatasetError
        If there is no index, it is no table, a column is missing, or the part is empty.
    """
    path = folder / INDEX
    if not path.is_file():
        raise DatasetError(f"{folder} has no {INDEX}. Name a folder with images/, masks/, {INDEX}.")
    try:
        records = _read_records(path, folder)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no table ({error}). Save it as CSV in UTF-8.") from error
    chosen = tuple(record for record in records if split in (None, record.split))
    if not chosen:
        known = ", ".join(sorted({record.split for record in records})) or "none"
        raise DatasetError(f'{path} has no split "{split}". Splits in it: {known}.')
    return chosen


def _read_records(path: Path, folder: Path) -> tuple[Record, ...]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # Excel puts a mark before UTF-8
        lines = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (lines.fieldnames or ())]
        if missing:
            raise DatasetError(f"{path} lacks the columns {', '.join(missing)}. Add them.")
        return tuple([_record(line, folder, lines.line_num) for line in lines])


def _record(line: Mapping[str, str | None], folder: Path, number: int) -> Record:
    """Return what a line says; the csv module fills a line that is too short with None."""
    name, image, mask, split = (line[column] for column in COLUMNS)
    if name is None or image is None or mask is None or split is None:
        raise DatasetError(f"{INDEX}, line {number}, lacks entries. Add {', '.join(COLUMNS)}.")
    return Record(name, folder / image, folder / mask, split)
