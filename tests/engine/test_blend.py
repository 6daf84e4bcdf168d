"""Between two networks: every weight, part of the way."""

from __future__ import annotations

import pytest
import torch

from napari_rwkvseg.engine.blend import blend
from tests.corrected import network


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_lies_at_the_same_share_of_the_way(share: float) -> None:
    old, new = network(border=0.2), network(border=0.8)
    with torch.no_grad():
        for number, value in enumerate(new.parameters()):
            value.add_(0.01 * number)
    before, after = old.state_dict(), new.state_dict()
    kept = {name: value.clone() for name, value in after.items()}
    between = blend(old, new, share).state_dict()
    for name, value in between.items():
        wanted = before[name] + share * (after[name] - before[name])
        assert torch.allclose(value.double(), wanted.double(), atol=1e-6), name
    assert all(torch.equal(value, kept[name]) for name, value in new.state_dict().items())


def test_the_border_between_two_borders_lies_between_them() -> None:
    image = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2).expand(1, 1, 32, 2).repeat(1, 1, 1, 16)
    between = blend(network(border=0.2), network(border=0.8), 0.5)
    with torch.no_grad():
        found = between(image).argmax(dim=1)
    assert found[0, 16, :2].tolist() == [0, 1]
    assert not between.training
