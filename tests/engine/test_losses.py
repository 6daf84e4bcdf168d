"""The loss falls when masks get better, for every class and every image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_rwkvseg.engine.losses import (
    SMOOTH,
    LossOptions,
    at_border,
    centre_line_dice,
    segmentation_loss,
    soft_dice,
    soft_skeleton,
)


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


def test_pooled_dice_is_that_of_all_images_together() -> None:
    truth = torch.zeros(2, 10, 10, dtype=torch.long)
    truth[0, :5] = 1
    found = torch.zeros_like(truth)
    found[0, :4] = found[1, 0] = 1
    dice = soft_dice(logits_for(found, 2), truth, pooled=True)
    expected = (2 * 40 + SMOOTH) / (50 + 50 + SMOOTH)
    assert float(dice) == pytest.approx(expected, abs=1e-4)
    pooled = segmentation_loss(logits_for(found, 2), truth, LossOptions(pooled=True))
    apart = segmentation_loss(logits_for(found, 2), truth)
    lost = soft_dice(logits_for(found, 2), truth).mean() - expected
    assert float(pooled - apart) == pytest.approx(float(lost), abs=1e-4)


def test_an_empty_image_answered_empty_has_a_dice_of_one() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.long)
    assert float(soft_dice(logits_for(truth, 2), truth)) == pytest.approx(1, abs=1e-4)


def test_the_gradient_pulls_towards_the_truth() -> None:
    truth = torch.tensor([[[0, 1]]])
    logits = torch.zeros(1, 2, 1, 2, requires_grad=True)
    segmentation_loss(logits, truth).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 0, 0] > 0 > logits.grad[0, 1, 0, 1]


def vessel(height: int = 5) -> Tensor:
    """A horizontal band in the middle of an image of 32 x 64."""
    truth = torch.zeros(1, 32, 64, dtype=torch.long)
    top = 16 - height // 2
    truth[:, top : top + height, 8:56] = 1
    return truth


def test_borders_are_where_the_class_changes() -> None:
    truth = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    assert at_border(truth)[0, 0].tolist() == [0, 0, 1, 1, 0, 0]


def test_a_mistake_at_the_border_costs_more_than_one_inside_if_asked_for() -> None:
    truth = vessel(9)
    inside, edge = truth.clone(), truth.clone()
    inside[:, 16, 20:30] = 0
    edge[:, 12, 20:30] = 0
    cost = {
        (name, border): float(
            segmentation_loss(logits_for(mask, 2, 4.0), truth, LossOptions(border=border))
        )
        for name, mask in (("inside", inside), ("edge", edge))
        for border in (0.0, 3.0)
    }
    assert cost["edge", 0.0] == pytest.approx(cost["inside", 0.0])
    assert cost["edge", 3.0] > 1.1 * cost["inside", 3.0]


def test_the_skeleton_of_a_band_is_its_middle_line() -> None:
    skeleton = soft_skeleton(vessel(5)[:, None].float(), 4)[0, 0]
    rows = skeleton[:, 16:48].sum(dim=1)  # away from the ends
    assert rows[16] == 32
    assert rows.sum() == 32


def test_centre_lines_agree_with_themselves_and_notice_a_gap_more_than_a_thin_mask() -> None:
    truth = vessel(5)
    same = float(centre_line_dice(logits_for(truth, 2), truth, 4))
    thin = float(centre_line_dice(logits_for(vessel(3), 2), truth, 4))
    gap = truth.clone()
    gap[:, :, 24:40] = 0
    broken = float(centre_line_dice(logits_for(gap, 2), truth, 4))
    assert same == pytest.approx(1, abs=1e-3)
    assert thin == pytest.approx(1, abs=0.02)
    # all found lies inside; of a true line of 44 to 48 pixels 16 are missed
    assert broken == pytest.approx(2 * 0.71 / 1.71, abs=0.03)


def test_the_centre_line_term_is_added_with_its_weight_and_teaches() -> None:
    truth = vessel(5)
    logits = torch.zeros(1, 2, 32, 64, requires_grad=True)
    plain = segmentation_loss(logits, truth)
    both = segmentation_loss(logits, truth, LossOptions(centre_line=0.5, thinning=4))
    lines = centre_line_dice(logits, truth, 4).mean()
    torch.testing.assert_close(both - plain, 0.5 * (1 - lines))
    (1 - lines).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 16, 32] < 0  # more foreground on the line


def test_an_empty_image_has_centre_lines_that_agree() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.long)
    assert float(centre_line_dice(logits_for(truth, 2), truth, 3)) == pytest.approx(1, abs=1e-3)
