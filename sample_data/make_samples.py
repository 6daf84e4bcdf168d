"""Make the sample images and write them beside this file.

python -m sample_data.make_samples            write all files
python -m sample_data.make_samples --check    make them again, compare, write nothing
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sample_data.ct import make_ct
from sample_data.nuclei import make_nuclei
from sample_data.shapes import Sample
from sample_data.tissue import make_tissue

FOLDER = Path(__file__).parent
CHECKSUMS = "checksums.json"
MAKERS: dict[str, Callable[[], Sample]] = {
    "nuclei": lambda: make_nuclei(seed=4),
    "tissue": lambda: make_tissue(seed=2),
    "ct": lambda: make_ct(seed=1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 0, or 1 if `--check` finds a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR")
    parser.add_argument("--only", choices=MAKERS, action="append", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare with the checksums only")
    options = parser.parse_args(arguments)
    samples = {name: MAKERS[name]() for name in options.only or MAKERS}
    made: dict[str, str] = {}
    for name, sample in samples.items():
        made |= _name_files(name, sample)
    known = _read_checksums(options.out)
    if options.check:
        return _compare(made, known)
    for name, sample in samples.items():
        write_sample(options.out, name, sample)
    text = json.dumps(known | made, indent=2, sort_keys=True)
    (options.out / CHECKSUMS).write_text(text + "\n", encoding="utf-8")
    return 0


def _compare(made: dict[str, str], known: dict[str, str]) -> int:
    wrong = [file for file, sum_ in made.items() if known.get(file) != sum_]
    print("different: " + ", ".join(wrong) if wrong else "all the same")
    return int(bool(wrong))


def write_sample(folder: Path, name: str, sample: Sample) -> None:
    """Write `name`.tif and `name`_truth.tif into `folder`."""
    _write_tiff(folder / f"{name}.tif", sample.image, sample.axes, sample)
    _write_tiff(folder / f"{name}_truth.tif", sample.truth, sample.axes.strip("S"), sample)


def checksum(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and little-endian values.

    Of the pixels, not of the file: two versions of zlib may pack the same pixels differently.
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    header = f"{little.dtype.str} {little.shape} ".encode()
    return hashlib.sha256(header + little.tobytes()).hexdigest()


def _name_files(name: str, sample: Sample) -> dict[str, str]:
    return {f"{name}.tif": checksum(sample.image), f"{name}_truth.tif": checksum(sample.truth)}


def _read_checksums(folder: Path) -> dict[str, str]:
    file = folder / CHECKSUMS
    found: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


def _write_tiff(path: Path, array: NDArray[Any], axes: str, sample: Sample) -> None:
    """Write in ImageJ's dialect, which carries spacing and unit; deflated, no time stamp."""
    metadata: dict[str, Any] = {"axes": axes, "unit": sample.unit.replace("µ", "u")}
    if "Z" in axes:
        metadata["spacing"] = sample.spacing[0]
    tifffile.imwrite(
        path,
        array,
        imagej=True,
        photometric="rgb" if axes.endswith("S") else "minisblack",
        compression="zlib",
        compressionargs={"level": 9},
        resolution=(1 / sample.spacing[-1], 1 / sample.spacing[-2]),
        metadata=metadata,
    )


if __name__ == "__main__":
    raise SystemExit(main())
