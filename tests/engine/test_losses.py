"""The loss falls when masks get better, for every class and every image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_rwkvseg.engine.losses import SMOOTH, segmentation_loss, soft_dice


def logits_for(truth: Tensor, classes: int, sure: float = 20.0) -> Tensor:
    return torch.nn.functional.one_hot(truth, classes).movedim(-1, 1).float() * sure


def test_a_perfect_and_sure_answer_costs_nothing() -> None:
    truth = torch.tensor([[[0, 1], [2, 1]]])
    assert float(segmentation_loss(logits_for(truth, 3), truth)) == pytest.approx(0, abs=1e-4)


def test_no_idea_costs_the_logarithm_of_the_classes_and_the_lost_dice() -> None:
    truth = torch.zeros(1, 10, 10, dtype=torch.long)
    truth[:, :5] = 1
    expected = float(torch.log(torch.tensor(2.0))) + 1 - (2 * 25 + SMOOTH) / (100 + SMOOTH)
    assert float(segmentation_loss(torch.zeros(1, 2, 10, 10), truth)) == pytest.approx(expected)


def test_dice_is_per_image_and_foreground_class() -> None:
    truth = torch.zeros(2, 10, 10, dtype=torch.long)
    truth[0, :5] = 1
    truth[1] = 2
    found = truth.clone()
    found[0, 0] = 0
    dice = soft_dice(logits_for(found, 3), truth)
    assert dice.shape == (2, 2)
    assert float(dice[0, 0]) == pytest.approx((2 * 40 + SMOOTH) / (90 + SMOOTH), abs=1e-4)
    assert float(dice[1, 1]) == pytest.approx(1, abs=1e-4)


def test_an_empty_image_answered_empty_has_a_dice_of_one() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.long)
    assert float(soft_dice(logits_for(truth, 2), truth)) == pytest.approx(1, abs=1e-4)


def test_the_gradient_pulls_towards_the_truth() -> None:
    truth = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)
    segmentation_loss(logits, truth).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 0, 0] > 0 > logits.grad[0, 1, 0, 1]
