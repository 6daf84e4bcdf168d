"""Training options from JSON: what is left out, unknown or does not fit."""

from __future__ import annotations

import pytest

from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.losses import LossOptions
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.network.config import base, tiny


def test_what_is_left_out_keeps_its_default() -> None:
    values = {"steps": 7, "augmentation": {"scale": 1.2}, "loss": {"centre_line": 0.3}}
    options = TrainOptions.from_dict(values)
    assert options == TrainOptions(
        steps=7, augmentation=Augmentation(scale=1.2), loss=LossOptions(centre_line=0.3)
    )


def test_the_network_is_that_of_the_size_but_for_its_changes() -> None:
    assert TrainOptions(size="tiny").config(1, 3) == tiny(1, 3)
    changed = TrainOptions(network={"enlarge": 2, "depths": [1, 1, 1, 1]}).config(3, 2)
    assert (changed.enlarge, changed.depths, changed.widths) == (2, (1,) * 4, base().widths)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 7}, "unknown entries in training: step"),
        ({"augmentation": {"zoom": 2}}, "unknown entries in augmentation: zoom"),
        ({"loss": {"cldice": 1}}, "unknown entries in loss: cldice"),
        ({"network": {"depth": 1}}, "unknown entries in the network: depth"),
        ({"network": {"enlarge": 3}}, "enlarge one of"),
        ({"size": "huge"}, "choose one of tiny, base"),
        ({"empty": 0}, "empty must be above 0"),
        ({"crop": 0}, "crop must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions.from_dict(values)
