"""What a network did with an image: orders, gates, decays, keys and values of every head.

Everything is read off the modules that ran, through hooks on a real forward pass, so that what the
explorer draws is what the operator used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from napari_rwkvseg.network.config import LEVELS
from napari_rwkvseg.network.decoder import NestedUpsample
from napari_rwkvseg.network.encoder import Encoder
from napari_rwkvseg.network.mixing import Block, SpatialMix, WkvMixer, scan_plan
from napari_rwkvseg.network.model import SegmentationNetwork, pad_to_stride
from napari_rwkvseg.scan.schedule import HeadScan
from napari_rwkvseg.wkv import ScanPlan


@dataclass(frozen=True)
class LayerPlace:
    """Where a scanning layer sits.

    Attributes
    ----------
    part : str
        ``"encoder"`` or ``"decoder"``.
    level : int
        Of the grid: 0 is 1/4 of the image, 3 is 1/32.
    block : int
        Number of the block on that level, from 0.
    """

    part: str
    level: int
    block: int


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One scanning layer during one forward pass.

    Attributes
    ----------
    place : LayerPlace
        Where it sits.
    heads : tuple of HeadScan
        What each head scans.
    grid : tuple of int
        Rows and columns of the grid that is scanned, after pooling.
    stride : int
        Pixels of the padded image per cell of that grid.
    pooled : int
        Pooling before the scan; 1 is none.
    plan : ScanPlan
        The index tensors that the operator used.
    gate : Tensor, shape (B, heads)
        Weight of each head for each image, 1 on average; ones where there is no gate.
    decay, bonus : Tensor, shape (C,)
        Per step of the scan.
    key, value : Tensor, shape (B, T, C)
        In grid order.
    """

    place: LayerPlace
    heads: tuple[HeadScan, ...]
    grid: tuple[int, int]
    stride: int
    pooled: int
    plan: ScanPlan
    gate: Tensor
    decay: Tensor
    bonus: Tensor
    key: Tensor
    value: Tensor

    def channels(self, head: int) -> slice:
        """Return the channels of a head."""
        width = self.key.shape[2] // len(self.heads)
        return slice(head * width, (head + 1) * width)

    def half_length(self, head: int) -> Tensor:
        """Return after how many steps each channel (C / heads,) has lost half its weight."""
        return torch.tensor(2.0).log() / self.decay[self.channels(head)]

    def sequence(self, head: int, token: int) -> Tensor:
        """Return the tokens of the sequence that holds `token`, in the order of the scan."""
        chunk = int(self.plan.place[token, head]) % self.plan.chunks
        owner = self.plan.sequence[:, head]
        visited = self.plan.steps[:, owner == owner[chunk], head].T.reshape(-1)
        return visited[visited < self.plan.tokens]

    def weights(self, head: int, token: int, image: int = 0) -> Tensor:
        """Return how much a token looks at every other, exactly as the operator weighs them.

        Parameters
        ----------
        head : int
            Which head.
        token : int
            Flat row-major index on the grid.
        image : int
            Which image of the batch.

        Returns
        -------
        Tensor, float64, shape (T, C / heads)
            In grid order; each channel sums to 1. Zero outside the token's own sequence.
        """
        order, channels = self.sequence(head, token), self.channels(head)
        at = int((order == token).nonzero())
        key = self.key[image, order, channels].double()
        steps = (torch.arange(len(order), device=order.device) - at).abs()[:, None]
        log_weight = key - (steps - 1) * self.decay[channels].double()
        log_weight[at] = key[at] + self.bonus[channels].double()
        weights = key.new_zeros((self.plan.tokens, key.shape[1]))
        weights[order] = log_weight.softmax(dim=0)
        return weights


@dataclass(frozen=True, eq=False)
class _Call:
    """What a mixer read: keys and values (B, h, w, C) and the grid of the gate (B, H, W, C)."""

    key: Tensor
    value: Tensor
    context: Tensor


def trace(network: SegmentationNetwork, image: Tensor) -> tuple[LayerTrace, ...]:
    """Run a network and return what each of its scanning layers did.

    Parameters
    ----------
    network : SegmentationNetwork
        In evaluation mode. Layers that do not scan (an ablation's convolutions) are left out.
    image : Tensor, shape (B, in_channels, H, W), float32
        Normalised as for `SegmentationNetwork.forward`.

    Returns
    -------
    tuple of LayerTrace
        Encoder first, level by level, then the decoder's, in the order of the forward pass.
    """
    height = pad_to_stride(image).shape[2]
    with ExitStack() as hooks, torch.no_grad():
        calls = [
            (place, mix, hooks.enter_context(_listening(cast(WkvMixer, mix.mixer))))
            for place, mix in scanning_layers(network)
        ]
        network(image)
    return tuple(_describe(place, mix, call[0], height) for place, mix, call in calls)


def scanning_layers(network: SegmentationNetwork) -> Iterator[tuple[LayerPlace, SpatialMix]]:
    """Yield the layers of a network that scan its grids, in the order of the forward pass."""
    encoder: Encoder = network.encoder
    for level, blocks in enumerate(encoder.levels):
        for number, block in enumerate(cast(nn.Sequential, blocks)):
            mix = cast(Block, block).spatial
            if isinstance(mix.mixer, WkvMixer):
                yield LayerPlace("encoder", level, number), mix
    for number, step in enumerate(network.decoder.steps):
        if isinstance(step, NestedUpsample):
            yield LayerPlace("decoder", LEVELS - 1 - number, 0), step.sentences


@contextmanager
def _listening(mixer: WkvMixer) -> Iterator[list[_Call]]:
    """Collect what a mixer reads while the block lasts."""
    calls: list[_Call] = []
    hook = mixer.register_forward_pre_hook(lambda _, read: calls.append(_Call(*read)))
    try:
        yield calls
    finally:
        hook.remove()


def _describe(place: LayerPlace, mix: SpatialMix, call: _Call, image_height: int) -> LayerTrace:
    """Turn one call of a mixer into a trace."""
    mixer = cast(WkvMixer, mix.mixer)
    batch, height, width, channels = call.key.shape
    decay, bonus = mixer.per_step(height, width)
    heads = mixer.level.heads
    ones = call.key.new_ones((batch, len(heads)))
    return LayerTrace(
        place=place,
        heads=heads,
        grid=(height, width),
        stride=image_height // height,
        pooled=mix.pooled,
        plan=scan_plan(mixer.level, height, width, call.key.device),
        gate=ones if mixer.gate is None else mixer.gate(call.context).detach(),
        decay=decay.detach(),
        bonus=bonus.detach(),
        key=call.key.reshape(batch, height * width, channels),
        value=call.value.reshape(batch, height * width, channels),
    )
