"""Stand-ins that behave exactly and cost nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.network.config import NetworkConfig

SLOPE = 20.0


class BrightnessNetwork(nn.Module):
    """The brighter a pixel, the higher its class: one fixed 1×1 convolution.

    With one foreground class its logit is 20 * (mean over channels - 0.5), that of the background
    is 0. With K classes the borders lie at (k - 0.5) / K. `context` > 1 averages brightness over a
    square of that many pixels first.
    """

    def __init__(self, in_channels: int = 3, n_classes: int = 2, context: int = 1) -> None:
        super().__init__()
        self.config = NetworkConfig(in_channels=in_channels, n_classes=n_classes)
        steps = torch.arange(n_classes, dtype=torch.float32)
        self.blur = nn.AvgPool2d(context, 1, context // 2, count_include_pad=False)
        self.head = nn.Conv2d(in_channels, n_classes, 1)
        with torch.no_grad():
            self.head.weight[:] = SLOPE * steps[:, None, None, None] / in_channels
            self.head.bias[:] = -SLOPE * steps**2 / (2 * max(n_classes - 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blur(image))
        return logits


def fake_model(
    class_names: tuple[str, ...] = ("cell",),
    in_channels: int = 3,
    *,
    objects: bool = False,
    context: int = 1,
    percentiles: tuple[float, float] = (0.0, 100.0),
    min_size: int = 0,
    peak: float = 0.0,
) -> Model:
    """Return a model that finds what is bright."""
    card = ModelCard(
        name="bright",
        title="Bright things",
        modality="anything grey",
        class_names=class_names,
        objects=objects,
        percentiles=percentiles,
        min_size=min_size,
        peak=peak,
    )
    network = BrightnessNetwork(in_channels, 1 + len(class_names), context)
    return Model(network.eval(), card, sha256="0" * 64)  # type: ignore[arg-type]
