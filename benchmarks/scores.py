"""Scores of a model on the part "val" of data folders, as `evaluate` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.cli.evaluate import mean_over_classes, score_records
from napari_rwkvseg.engine.dataset import read_index
from napari_rwkvseg.engine.metrics import ImageScore, Summary, summarise
from napari_rwkvseg.engine.progress import finish


def score_model(segmenter: Segmenter, folders: Sequence[Path]) -> tuple[ImageScore, ...]:
    """Return the scores of all validation images of some folders."""
    records = [record for folder in folders for record in read_index(folder, "val")]
    return finish(score_records(segmenter, records))


def summary_of(images: Sequence[ImageScore]) -> Summary:
    """Return mean and spread over images, each the mean over its classes."""
    return summarise([mean_over_classes(image) for image in images])
