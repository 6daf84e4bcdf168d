"""Other classes for a network: a new row, everything else kept."""

from __future__ import annotations

import torch

from napari_rwkvseg.engine.classes import RARE, shared_classes, with_classes
from tests.corrected import network

IMAGE = torch.linspace(0, 1, 48 * 40).reshape(1, 1, 48, 40)


def test_shared_classes_are_found_by_name() -> None:
    assert shared_classes(["ring", "disc"], ["disc", "square"]) == ((2, 1),)
    assert shared_classes(["ring"], ["disc"]) == ()


def test_a_new_class_gets_a_row_and_the_old_ones_keep_their_answers() -> None:
    old = network()
    new = with_classes(old, ["disc"], ["ring", "disc"])
    with torch.inference_mode():
        before, after = old(IMAGE), new(IMAGE)
    assert new.config.n_classes == 3
    assert torch.equal(after[:, 0], before[:, 0])
    assert torch.equal(after[:, 2], before[:, 1])
    assert torch.allclose(after[:, 1], before[:, 0] - RARE)


def test_the_encoder_is_kept() -> None:
    old, new = network(), with_classes(network(), ["disc"], ["ring"])
    kept = [name for name in old.state_dict() if name.startswith(("stem", "encoder"))]
    assert kept
    assert all(torch.equal(old.state_dict()[name], new.state_dict()[name]) for name in kept)


def test_the_same_classes_give_an_equal_network_of_its_own() -> None:
    old = network()
    new = with_classes(old, ["disc"], ["disc"])
    assert all(
        torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items()
    )
    with torch.no_grad():
        new.decoder.classify.bias += 1
    assert not torch.equal(new.decoder.classify.bias, old.decoder.classify.bias)
    assert not new.training


def test_random_numbers_of_others_are_not_disturbed() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with_classes(network(), ["disc"], ["ring"])
    assert torch.equal(torch.rand(3), expected)
