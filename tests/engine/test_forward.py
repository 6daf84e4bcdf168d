from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_rwkvseg.engine.forward import MIRRORS, Forward, mean_over_mirrors, mirrors_for
from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from napari_rwkvseg.engine.scale import with_shrink
from tests.corrected import network
from tests.fakes import BrightnessNetwork, fake_model

CPU = torch.device("cpu")


def forward(flips: bool = False, token: CancelToken | None = None, **model: int) -> Forward:
    return Forward(fake_model(**model), CPU, flips, token or CancelToken())


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).random(shape, np.float32)


def test_channels_last_in_classes_first_out() -> None:
    planes = noise(2, 20, 30, 3)
    found = forward()(planes)
    assert found.shape == (2, 1, 20, 30)
    assert found.dtype == np.float32
    expected = 1 / (1 + np.exp(-20 * (planes.mean(axis=-1) - 0.5)))
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("flips", [False, True])
def test_the_network_sees_channels_last_memory(
    monkeypatch: pytest.MonkeyPatch, flips: bool
) -> None:
    seen: list[bool] = []
    plain = BrightnessNetwork.forward

    def watched(self: BrightnessNetwork, image: Tensor) -> Tensor:
        seen.append(image.is_contiguous(memory_format=torch.channels_last))
        seen.append(torch.is_inference_mode_enabled())
        seen.append(not self.training)
        return plain(self, image)

    monkeypatch.setattr(BrightnessNetwork, "forward", watched)
    forward(flips)(noise(1, 20, 30, 3))
    assert seen == [True] * (12 if flips else 3)


def test_mirrored_results_are_mirrored_back() -> None:
    planes = noise(1, 20, 30, 3)
    np.testing.assert_allclose(forward(flips=True)(planes), forward()(planes), atol=1e-6)


@pytest.mark.parametrize(
    ("shrink", "flips", "passes"),
    [(1, None, 1), (2, None, 4), (4, None, 4), (2, False, 1), (1, True, 4)],
)
def test_networks_that_shrink_their_images_see_mirror_images_unless_told_otherwise(
    shrink: int, flips: bool | None, passes: int
) -> None:
    assert len(mirrors_for(with_shrink(network(), shrink), flips)) == passes


def test_the_mean_is_that_of_the_mirror_images() -> None:
    class Corner(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.zeros(1, 2, 4, 6)
            logits[..., 1, 0, 0] = 40
            return logits

    found = mean_over_mirrors(Corner(), torch.zeros(1, 1, 4, 6), MIRRORS)
    assert found.shape == (1, 2, 4, 6)
    corners = found[0, 1, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, torch.full((4,), 0.25 + 0.75 * 0.5))
    assert float(found[0, 1, 1:-1].max()) == 0.5


def test_the_model_may_change_meanwhile() -> None:
    model = fake_model()
    ready = Forward(model, CPU, False, CancelToken())
    planes = noise(1, 20, 30, 3)
    before = ready(planes)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(ready(planes), before)


def test_a_cancelled_token_stops_it() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        forward(token=token)(noise(1, 20, 30, 3))
