"""What a model makes of the same scene in more pixels: frames enlarged, masks scored there.

    python -m benchmarks.frames --model NAME --data DIR [--factors 1 1.5 2 3] [--every 1]

Every so-many-th image of the part "val" is enlarged bilinearly, as another camera would show it but
no sharper, and segmented twice: as the model reads it, and as it would read it without knowing the
size of frames that it has learnt (`frame_side` on its card). Dice is the mean over the images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from benchmarks.bundled import start_model
from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Record, read_index
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.store.dataset import read_pair

Pair = tuple[NDArray[np.floating], NDArray[np.uint8]]


def enlarged(record: Record, factor: float) -> Pair:
    """Return an image (H, W, C) and its foreground (H, W), larger by a factor."""
    image, mask = read_pair(record)
    pixels = np.asarray(image.array)
    shape = tuple(round(factor * side) for side in mask.shape)
    large = resize(pixels, (*shape, *pixels.shape[2:]), order=1, preserve_range=True)
    share = resize((np.asarray(mask) > 0).astype(np.float32), shape, order=1)
    return large.astype(pixels.dtype), (share >= 0.5).astype(np.uint8)


def score(model: Model, pairs: Sequence[Pair]) -> float:
    """Return the mean Dice of the foreground."""
    segmenter = Segmenter(model, PredictOptions(device="cpu", threads=1))
    found = [segmenter.predict(image, objects=False) > 0 for image, _ in pairs]
    return float(np.mean([dice(one, truth) for one, (_, truth) in zip(found, pairs, strict=True)]))


def rows(model: Model, records: Sequence[Record], factors: Sequence[float]) -> Iterator[str]:
    """Yield the lines of a table."""
    blind = replace(model, card=replace(model.card, frame_side=0.0))
    yield "| enlarged | n | at the size learnt | as it is |"
    yield "|---" * 4 + "|"
    for factor in factors:
        pairs = [enlarged(record, factor) for record in records]
        read = " | ".join(f"{score(one, pairs):.3f}" for one in (model, blind))
        yield f"| {factor:g} | {len(pairs)} | {read} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="name or file")
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 1.5, 2, 3])
    parser.add_argument("--every", type=int, default=1, help="use one of so many images")
    parsed = parser.parse_args(arguments)
    records = read_index(parsed.data, "val")[:: parsed.every]
    for line in rows(start_model(parsed.model), records, parsed.factors):
        print(line, flush=True)


if __name__ == "__main__":
    main()
