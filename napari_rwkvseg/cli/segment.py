"""`segment`: masks for files and folders."""

from __future__ import annotations

import argparse
import sys
import traceback
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_rwkvseg.api import Segmenter, load_model
from napari_rwkvseg.cli.common import (
    Commands,
    add_compute,
    add_flips,
    add_tile,
    in_words,
    predict_options,
    run_with_bar,
)
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.formats import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    read_image,
    write_mask,
    write_probability,
)
from napari_rwkvseg.store.formats.dicom_series import has_dicom

SAME_FORMAT = {".nii": ".nii", ".nii.gz": ".nii.gz", ".npy": ".npy"}  # anything else: TIFF


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("segment", help="write masks for images", description=__doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IN", help="files or folders")
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder, or a file for a single image"
    )
    parser.add_argument("--model", default="nuclei", help="name or file (default nuclei)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--objects", action="store_true", default=None, help="separate objects")
    kind.add_argument("--classes", dest="objects", action="store_false", help="classes")
    parser.add_argument("--probabilities", action="store_true", help="write these too")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--axes", help="one letter per axis: t z n c s y x, for example zyx")
    parser.add_argument("--channel", type=int, help="which channel to read, from 0")
    parser.add_argument("--threshold", type=float, default=0.5, help="0 to 1 (default 0.5)")
    parser.add_argument(
        "--min-size", type=int, metavar="PIXELS", help="smallest object (default: the model's)"
    )
    parser.add_argument(
        "--peak",
        type=float,
        metavar="P",
        help="how sure the model must be of an object somewhere, 0 to 1 (default: the model's)",
    )
    parser.add_argument("--fill-holes", action="store_true", help="fill enclosed background")
    add_compute(parser)
    add_tile(parser)
    add_flips(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Segment every image; go on after one that fails. Return 1 if any failed."""
    pairs = list(
        plan_outputs(parsed.images, parsed.out, parsed.probabilities, overwrite=parsed.overwrite)
    )
    segmenter = load_model(parsed.model, predict_options(parsed))
    objects = segmenter.card.objects if parsed.objects is None else parsed.objects
    options = MaskOptions(
        objects, parsed.threshold, parsed.min_size, parsed.peak, parsed.fill_holes
    )
    failed = 0
    for source, target in pairs:
        try:
            segment_file(segmenter, source, target, options, parsed)
        except Exception as error:  # whatever a file of a stranger leads to: the others are done
            failed += 1
            sys.stderr.write(f"{_reason(source, error)}\n")
            if parsed.verbose:
                traceback.print_exc()
        else:
            sys.stdout.write(f"{target}\n")
    if failed and len(pairs) > 1:
        sys.stderr.write(f"{failed} of {len(pairs)} images failed.\n")
    return 1 if failed else 0


def _reason(source: Path, error: Exception) -> str:
    """Return one sentence about an image that failed."""
    if isinstance(error, RwkvSegError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{source.name}: not enough memory. Close other programs, or use a smaller --tile."
    if isinstance(error, OSError):
        return f"{source.name}: {in_words(error)}"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{source.name} cannot be segmented ({what}). Add --verbose to see where it fails."


def plan_outputs(
    sources: Sequence[Path], out: Path, probabilities: bool = False, *, overwrite: bool = False
) -> Iterator[tuple[Path, Path]]:
    """Yield each image with the file its mask goes to.

    Parameters
    ----------
    sources : sequence of Path
        Files and folders.
    out : Path
        A folder, or a file for a single image.
    probabilities : bool
        Whether each mask gets a file of probabilities beside it.
    overwrite : bool
        Whether masks and probabilities may replace files that exist.

    Raises
    ------
    RwkvSegError
        If there is no image, two files would get one name, or one would replace an image, or,
        unless `overwrite`, any other file: somebody may have corrected that mask.
    """
    images = [image for source in sources for image in _images(source)]
    if not images:
        raise RwkvSegError(f"No image in {', '.join(map(str, sources))}. Name files or folders.")
    if out.suffix.lower() in IMAGE_SUFFIXES and not _is_file_name(out) and not out.is_dir():
        raise RwkvSegError(f"{out.name} is no name of a mask. Use {', '.join(MASK_SUFFIXES)}.")
    if not _is_file_name(out):
        targets = [out / f"{_stem(image)}_mask{_suffix(image)}" for image in images]
    elif len(images) == 1:
        targets = [out]
    else:
        raise RwkvSegError(f"{out} is one file for {len(images)} images. Name a folder.")
    maps = [_probability_path(target) for target in targets] if probabilities else []
    _check_targets(images, [*targets, *maps], overwrite)
    yield from zip(images, targets, strict=True)


def _check_targets(images: Sequence[Path], targets: Sequence[Path], overwrite: bool) -> None:
    seen: set[str] = set()
    for target in targets:
        if (name := _as_a_mac_sees(target)) in seen:
            raise RwkvSegError(f"Two images would be saved as {target.name}. Rename one of them.")
        if target.exists() and any(target.samefile(image) for image in images):
            raise RwkvSegError(f"{target} would replace an image. Name another folder.")
        if target.exists() and not overwrite:
            raise RwkvSegError(f"{target} exists. Name another folder, or add --overwrite.")
        seen.add(name)


def _as_a_mac_sees(path: Path) -> str:
    """Return a path as systems compare it that know no capitals and one form of each accent."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def segment_file(
    segmenter: Segmenter,
    source: Path,
    target: Path,
    options: MaskOptions,
    parsed: argparse.Namespace,
) -> None:
    """Read an image, segment it, write the mask and, if wanted, the probabilities."""
    image = _channel(read_image(source, parsed.axes), parsed.channel)
    found = run_with_bar(segmenter.job(image, options), source.name)
    for note in found.prediction.notes:
        sys.stderr.write(f"{source.name}: {note}\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_mask(target, found.labels, image, source)
    if parsed.probabilities:
        path, names = _probability_path(target), segmenter.card.class_names
        write_probability(path, found.prediction.probability, image, names, source)


def _probability_path(target: Path) -> Path:
    """Return the file of the probabilities beside a mask."""
    return target.with_name(f"{_stem(target)}_probability{_suffix(target)}")


def _channel(image: ImageData, channel: int | None) -> ImageData:
    return image if channel is None else image.select_channel(channel)


def _images(source: Path) -> list[Path]:
    """Return the images in a folder; or the path itself if it is one image: file, series, zarr."""
    if not source.exists():
        raise RwkvSegError(f"{source} does not exist. Check the name.")
    if not source.is_dir() or _is_zarr(source):
        return [source]
    seen = [path for path in source.iterdir() if not path.name.startswith(".")]
    images = [p for p in seen if _is_zarr(p) or p.name.lower().endswith(IMAGE_SUFFIXES)]
    if has_dicom(source) and all(path.suffix.lower() == ".dcm" for path in images):
        return [source]  # slices of one series, with or without an ending
    return sorted(images)


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() == ".zarr"


def _is_file_name(out: Path) -> bool:
    return out.name.lower().endswith(MASK_SUFFIXES) and not out.is_dir()


def _suffix(path: Path) -> str:
    """Return the ending of the mask for an image: its own where masks have it, else TIFF."""
    name = path.name.lower()
    return next((kept for end, kept in SAME_FORMAT.items() if name.endswith(end)), ".tif")


def _stem(path: Path) -> str:
    """Return a name without its ending; other dots (of a series' number) are part of the name."""
    ends = sorted((*IMAGE_SUFFIXES, ".zarr"), key=len, reverse=True)
    cut = next((len(end) for end in ends if path.name.lower().endswith(end)), 0)
    return path.name[: len(path.name) - cut]
