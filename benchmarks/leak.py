"""Pixels that say where they lie, to find out whether held-out ones ever reach training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rwkvseg.engine import evidence_views
from napari_rwkvseg.engine.augment import Augmentation, draw_view
from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.evidence import REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.holdout import block_areas
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.network.config import tiny
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.store.ledger import read_ledger
from napari_rwkvseg.store.retraining import RetrainOptions, retrain_accepted

UNIT = 1024  # a coordinate is stored as a fraction of this: exact in half precision
NAMES = ("inside",)
PLANES = 2  # of every image
QUICK = FinetuneOptions(steps=2, batch=4, crop=32, cached=2)

Mask = NDArray[np.uint8]
Places = NDArray[np.intp]  # (N, 3): number of the image, row, column


def where_it_lies(number: int, shape: tuple[int, int]) -> NDArray[np.float16]:
    """Return an image (H, W, 3) whose pixels tell the image's number, their row and column."""
    if max(number, *shape) >= UNIT:
        raise ValueError(f"number and sides must be below {UNIT}, got {number}, {shape}")
    rows, columns = np.indices(shape)
    places = np.stack([np.full(shape, number), rows, columns], axis=-1)
    image: NDArray[np.float16] = (places / UNIT).astype(np.float16)
    return image


class Drawn:
    """All places from which training views were cut while `watching`."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int, int]] = set()

    def __len__(self) -> int:
        return len(self._seen)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the source of every view: a view shows pixels of its source and no other ones."""

        def note(
            sample: Sample, crop: int, augmentation: Augmentation, rng: np.random.Generator
        ) -> tuple[Tensor, Tensor]:
            places = np.rint(sample.image.astype(np.float64) * UNIT).astype(int)
            self._seen.update(map(tuple, np.unique(places.reshape(-1, 3), axis=0).tolist()))
            return draw_view(sample, crop, augmentation, rng)

        with mock.patch.object(evidence_views, "draw_view", note):
            yield

    def among(self, held_out: Sequence[Mask]) -> int:
        """Return how many of the places are held out; one mask (H, W) per image."""
        return sum(bool(held_out[number][row, column]) for number, row, column in self._seen)


def count_leaks(
    masks: Sequence[Mask], retrains: int, folder: Path, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Retrain on growing evidence and count held-out pixels among what was learnt from.

    Before each retrain one image more is opened, and some blocks more of all opened ones are
    accepted, in one or both of their planes. Every second lesson counts as learnt, whatever the
    verdict, so that replay takes part.

    Parameters
    ----------
    masks : sequence of ndarray, uint8, shape (H, W)
        Truth of at least `retrains` images.
    retrains : int
        How many.
    folder : Path
        For the corrections.
    seed : int
        Which blocks are accepted when.

    Yields
    ------
    dict
        Places learnt from so far, places held out so far, and those that are both: of all that was
        ever learnt from, by all that is held out now.
    """
    rng, drawn, model = np.random.default_rng(seed), Drawn(), _small_model()
    options = RetrainOptions(NAMES, QUICK, folder, device="cpu", threads=1)
    project = options.project(model.card.name)
    seen: list[NDArray[np.uint8]] = []
    ids: list[str] = []
    for turn in range(retrains):
        mask = masks[turn]
        seen.append(np.zeros((PLANES, *mask.shape), np.uint8))
        ids.append(project.image_id(where_it_lies(turn, (mask.shape[0], mask.shape[1]))))
        for number, levels in enumerate(seen):
            _accept_more(levels, rng)
            image = where_it_lies(number, (levels.shape[1], levels.shape[2]))
            for plane in range(PLANES):
                if levels[plane].any():
                    one = Evidence(ids[number], plane, image, masks[number], levels[plane])
                    project.accept(one, NAMES)
        with drawn.watching():
            tuned = replace(options, tuning=replace(QUICK, seed=seed + turn))
            finish(retrain_accepted(model, ids, tuned)).remember()
        if turn % 2:
            project.note_made(model.card, model.card, ids[: turn // 2 + 1])
        entries = read_ledger(folder).entries
        held = [entries[image_id].deal.mask().astype(np.uint8) for image_id in ids]
        yield {
            "part": "leak",
            "retrain": turn + 1,
            "learnt_from": len(drawn),
            "held_out": int(sum(part.sum() for part in held)),
            "leaks": drawn.among(held),
        }


def _accept_more(levels: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Accept two to four more blocks of an image (planes, H, W), as far as there are any left."""
    left = [
        (plane, area)
        for plane in range(len(levels))
        for area in block_areas((levels.shape[1], levels.shape[2])).values()
        if levels[plane][area][0, 0] == UNSEEN
    ]
    for number in rng.permutation(len(left))[: int(rng.integers(2, 5))]:
        plane, area = left[number]
        levels[plane][area] = REVIEWED


def _small_model() -> Model:
    config = replace(
        tiny(in_channels=3), widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), stem_width=8, detail_width=4
    )
    card = ModelCard(name="small", title="Small", modality="drawn", class_names=NAMES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(build_network(config).eval(), card, "0" * 64)
