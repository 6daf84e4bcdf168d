"""From a corrected image to evidence on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.engine.dataset import DatasetError
from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN
from napari_rwkvseg.engine.image import ImageData, interpret
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, finish
from napari_rwkvseg.store.accepting import Corrected, accept, classes_of
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.retraining import RetrainOptions, retrain_accepted
from tests.corrected import LEARNING, discs, model


def stack() -> tuple[ImageData, np.ndarray]:
    """Three planes with discs."""
    planes, masks = (np.stack(parts) for parts in zip(*map(discs, (0, 1, 2)), strict=True))
    return interpret(planes, name="stack", axes="zyx"), masks.astype(np.uint8)


def corrected(*planes: int) -> Corrected:
    """The stack, with some planes reviewed and one changed pixel in each of them."""
    image, masks = stack()
    levels = np.full(masks.shape, UNSEEN, np.uint8)
    for plane in planes:
        levels[plane] = REVIEWED
        levels[plane, 0, 0] = CHANGED
    return Corrected(image, masks, levels)


def test_only_planes_with_evidence_are_kept(tmp_path: Path) -> None:
    project = Corrections(tmp_path)
    image_id = finish(accept(project, model(), corrected(0, 2), ["disc"]))
    assert project.images() == (image_id,)
    assert sorted(path.stem[-5:] for path in tmp_path.glob("*.safetensors")) == ["00000", "00002"]
    count = project.count([image_id], ["disc"])
    assert (count.changed, count.reviewed, count.unseen) == (2, 2 * 64 * 64 - 2, 0)


def test_a_cancelled_accept_keeps_nothing_more(tmp_path: Path) -> None:
    token = CancelToken()
    job = accept(Corrections(tmp_path), model(), corrected(0, 1, 2), ["disc"], token)
    next(job)
    token.cancel()
    with pytest.raises(Cancelled):
        finish(job)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_another_shape_is_refused_by_name() -> None:
    image, masks = stack()
    with pytest.raises(DatasetError, match=r"stack: the mask has shape \(2, 64, 64\)"):
        Corrected(image, masks[1:], masks)
    with pytest.raises(DatasetError, match="stack: label 2 in the mask, but 2 classes"):
        classes_of(masks.astype(np.int32) * 3 - 1, image, 2)


def test_any_label_of_a_single_class_is_that_class() -> None:
    image, masks = stack()
    np.testing.assert_array_equal(classes_of(masks.astype(np.int32) * 70_000, image, 1), masks)


def test_accepted_parts_of_an_image_are_enough_to_retrain(tmp_path: Path) -> None:
    image, masks = stack()
    levels = np.zeros(masks.shape, np.uint8)
    levels[0] = REVIEWED
    wrong = np.where(levels == REVIEWED, masks, 1 - masks).astype(np.uint8)  # unseen: says nothing
    start = model(border=0.9)
    project = Corrections(tmp_path)
    image_id = finish(accept(project, start, Corrected(image, wrong, levels), ["disc"]))
    options = RetrainOptions(tuning=LEARNING, corrections=tmp_path, device="cpu", threads=1)
    found = finish(retrain_accepted(start, [image_id], options))
    found.remember()
    assert found.verdict.answer == "better"
    assert found.verdict.fresh.n == 5
    assert project.learnt(found.model.card) == (image_id,)
    assert replace(found.model.card, metrics={}).parent == start.sha256
