"""What fine-tuning minimises."""

from __future__ import annotations

import math

import pytest
import torch

from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN
from napari_rwkvseg.engine.evidence_loss import distillation_loss, evidence_loss

TRUTH = torch.tensor([[[0, 1], [1, 0]]])


def sure_of(classes: torch.Tensor, n: int = 2) -> torch.Tensor:
    return 50.0 * torch.nn.functional.one_hot(classes, n).movedim(-1, 1)


def levels(*values: int) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 2, 2)


def test_the_truth_itself_costs_nothing() -> None:
    loss = evidence_loss(sure_of(TRUTH), TRUTH, levels(*[REVIEWED] * 4))
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_what_nobody_saw_has_no_gradient() -> None:
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    evidence_loss(logits, TRUTH, levels(UNSEEN, REVIEWED, UNSEEN, CHANGED)).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1)[0] > 0
    assert touched.tolist() == [[False, True], [False, True]]


def test_without_evidence_the_loss_is_0() -> None:
    assert float(evidence_loss(torch.randn(1, 2, 2, 2), TRUTH, levels(*[UNSEEN] * 4))) == 0


def test_what_was_changed_weighs_twice() -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 0, 0, 0] = 3.0  # the first pixel is right, the others undecided
    even = evidence_loss(logits, TRUTH, levels(*[REVIEWED] * 4))
    wrong = evidence_loss(logits, TRUTH, levels(REVIEWED, CHANGED, CHANGED, CHANGED))
    right = -math.log(1 / (1 + math.exp(-3)))
    gain = (right + 6 * math.log(2)) / 7 - (right + 3 * math.log(2)) / 4
    assert float(wrong - even) == pytest.approx(gain, abs=1e-5)


def test_the_same_answers_are_no_distance_apart() -> None:
    logits = torch.randn(1, 3, 2, 2)
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    same = distillation_loss(logits, logits, [(1, 1), (2, 2)], everywhere)
    assert float(same) == pytest.approx(0, abs=1e-6)


def test_the_distance_is_the_divergence_from_the_old_answer() -> None:
    old = torch.log(torch.tensor([0.9, 0.1])).reshape(1, 2, 1, 1)
    new = torch.log(torch.tensor([0.5, 0.5])).reshape(1, 2, 1, 1)
    found = distillation_loss(new, old, [(1, 1)], torch.ones(1, 1, 1, dtype=torch.bool))
    expected = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_only_the_pixels_named_count() -> None:
    old, new = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    new[..., 1] = torch.tensor([5.0, 0])[None, :, None]
    first = torch.tensor([[[True, False]]])
    assert float(distillation_loss(new, old, [(1, 1)], first)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(new, old, [(1, 1)], ~first)) > 0.5
    assert float(distillation_loss(new, old, [(1, 1)], first & ~first)) == 0


def test_a_new_class_may_take_from_the_background_but_not_from_an_old_class() -> None:
    def log(*shares: float) -> torch.Tensor:
        return torch.log(torch.tensor(shares)).reshape(1, -1, 1, 1)

    everywhere = torch.ones(1, 1, 1, dtype=torch.bool)
    old = log(0.8, 0.2)
    from_background = distillation_loss(log(0.3, 0.2, 0.5), old, [(1, 1)], everywhere)
    from_class = distillation_loss(log(0.8, 0.05, 0.15), old, [(1, 1)], everywhere)
    assert float(from_background) == pytest.approx(0, abs=1e-6)
    assert float(from_class) > 0.05
