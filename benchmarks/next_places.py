"""Does `suggest` lead to where the model is wrong? Errors in the first blocks that it names.

    python -m benchmarks.next_places --data DIR [DIR ...] [--json F]

Of each image the first blocks are taken as `suggest` names them (a block counts as seen once it was
named), as uncertainty alone would, evenly spread, and by chance; the last is the mean of all
blocks. What is given is the share of their pixels that the model gets wrong. More errors are more
to correct there; that a model learns more from them is another question: `benchmarks.human_loop`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bundled import start_model
from benchmarks.human_loop import plane_of
from benchmarks.simulated_user import Choice, Desk, EveryNth, Suggested
from benchmarks.tiles import read_tiles
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.evidence import REVIEWED
from napari_rwkvseg.engine.holdout import Rectangle, block_areas
from napari_rwkvseg.engine.predict import predict
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.suggest import measure_blocks, rank_images
from napari_rwkvseg.store.retraining import Pair

Wrong = NDArray[np.bool_]


def first_blocks(choice: Choice, desk: Desk, count: int) -> list[Rectangle]:
    """Return the first blocks of an image that nobody has seen."""
    levels = np.zeros_like(desk.levels)
    seen = Desk(desk.probability, desk.plane, desk.mask, levels)
    found: list[Rectangle] = []
    while len(found) < count and (area := choice.area(seen)) is not None:
        levels[area] = REVIEWED
        found.append(area)
    return found


def unsure_blocks(desk: Desk, count: int) -> list[Rectangle]:
    """Return the blocks of an image in which the model is least sure."""
    blocks = measure_blocks(desk.probability, desk.planes, desk.levels)
    order = np.argsort(-blocks.unsure, kind="stable")[:count]
    return [blocks.places[number][1] for number in order]


def measure(model: Model, pairs: Sequence[Pair], count: int) -> dict[str, Any]:
    """Return the share of wrong pixels, mean over the images, for each way to choose blocks."""
    desks, errors = zip(*(look(model, pair) for pair in pairs), strict=True)
    ways: dict[str, list[float]] = {"suggest": [], "uncertainty": [], "every n-th": [], "mean": []}
    for desk, wrong in zip(desks, errors, strict=True):
        height, width = wrong.shape
        chosen = {
            "suggest": first_blocks(Suggested(), desk, count),
            "uncertainty": unsure_blocks(desk, count),
            "every n-th": first_blocks(EveryNth(len(pairs)), desk, count),
            "mean": list(block_areas((height, width)).values()),
        }
        for way, areas in chosen.items():
            ways[way].append(float(np.mean([wrong[area].mean() for area in areas])))
    ranked = rank_images([measure_blocks(d.probability, d.planes, d.levels) for d in desks])
    first = [float(errors[number].mean()) for number in ranked[: max(1, len(pairs) // 4)]]
    means = {way: float(np.mean(shares)) for way, shares in ways.items()}
    return {"n": len(pairs), **means, "first quarter of the ranked images": float(np.mean(first))}


def look(model: Model, pair: Pair) -> tuple[Desk, Wrong]:
    """Return an image as the model sees it, and where it is wrong."""
    image, mask = pair
    found = finish(predict(model, image, PredictOptions(device="cpu", threads=1)))
    classes = found.classes()
    nothing = np.zeros(mask.shape, np.uint8)
    desk = Desk(found.probability, plane_of(image, model), classes, nothing)
    return desk, classes != (mask > 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="with index.csv")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--split", default="train")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--side", type=int, help="of squares that images are cut into")
    parser.add_argument("--blocks", type=int, default=4, help="first blocks of each image")
    parser.add_argument("--json", type=Path)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model, figures = start_model(parsed.model), {}
    for folder in parsed.data:
        pairs = read_tiles(folder, parsed.split, parsed.images, parsed.side)
        figures[folder.name] = measure(model, pairs, parsed.blocks)
        print(folder.name, json.dumps(figures[folder.name]), flush=True)
    if parsed.json is not None:
        parsed.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
