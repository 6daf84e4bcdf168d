"""Scores on held-out data: volumes as a whole, every data folder alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from napari_rwkvseg.engine.validate import PLANES, validate

CPU = torch.device("cpu")


class Painted(nn.Module):
    """Answers with the class that the grey value names: 0, 1 or 2."""

    def forward(self, image: Tensor) -> Tensor:
        distance = (image - torch.arange(3.0).view(1, 3, 1, 1)).abs()  # (B, 3, H, W)
        return -distance


def plane(found: str, truth: str, **where: str) -> Sample:
    """One row of pixels each; the classes as digits."""
    image = np.array([[int(digit) for digit in found]], np.float32)
    label = np.array([[int(digit) for digit in truth]], np.uint8)
    return Sample(f"{found}/{truth}", image[..., None], label, **where)


def test_dice_and_iou_are_means_over_the_classes_of_each_image() -> None:
    score = validate(Painted(), [plane("1120", "1122"), plane("1122", "1122")], CPU)
    second = 2 * 1 / (1 + 2)  # class 2: one of two pixels found
    assert score.dice_mean == pytest.approx(((1 + second) / 2 + 1) / 2)
    assert score.iou_mean == pytest.approx(((1 + 0.5) / 2 + 1) / 2)
    assert score.n == 2


def test_a_class_that_is_neither_there_nor_found_counts_one() -> None:
    assert validate(Painted(), [plane("0110", "0110")], CPU).dice_mean == 1


def test_the_planes_of_a_volume_are_scored_together() -> None:
    planes = [plane("1122", "1122", record="v"), plane("0011", "0000", record="v")]
    score = validate(Painted(), planes, CPU)
    assert score.n == 1
    assert score.dice_mean == pytest.approx((2 * 2 / (2 + 4) + 1) / 2)


def test_every_data_folder_counts_alike() -> None:
    good = [plane("1122", "1122", source="good", record=str(n)) for n in range(3)]
    bad = [plane("2211", "1122", source="bad", record="0")]
    score = validate(Painted(), [*good, *bad], CPU)
    assert (score.dice_mean, score.n) == (0.5, 4)


def test_a_deep_volume_is_read_in_parts_and_can_be_cancelled() -> None:
    planes = [plane("1", "1", record="v") for _ in range(PLANES + 1)]
    sizes: list[int] = []
    network = Painted()
    network.register_forward_pre_hook(lambda _, read: sizes.append(len(read[0])))
    assert validate(network, planes, CPU).n == 1
    assert sizes == [PLANES, 1]
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        validate(network, planes, CPU, token)
