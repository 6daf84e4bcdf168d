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
from napari_rwkvseg.network.decoder import NestedUpsample, WordScan
from napari_rwkvseg.network.encoder import Encoder
from napari_rwkvseg.network.layer_trace import LayerPlace, LayerTrace, WordTrace
from napari_rwkvseg.network.mixing import Block, SpatialMix, WkvMixer, scan_plan
from napari_rwkvseg.network.model import SegmentationNetwork
from napari_rwkvseg.wkv import line_plan

__all__ = ["LayerPlace", "LayerTrace", "NetworkTrace", "WordTrace", "record", "trace"]


@dataclass(frozen=True, eq=False)
class NetworkTrace:
    """One forward pass.

    Attributes
    ----------
    layers : tuple of LayerTrace
        Encoder first, level by level, then the decoder's, in the order of the forward pass.
    words : tuple of WordTrace
        The nested scans of the decoder, coarse to fine.
    logits : Tensor, shape (B, n_classes, H, W)
        What came out.
    """

    layers: tuple[LayerTrace, ...]
    words: tuple[WordTrace, ...]
    logits: Tensor


@dataclass(frozen=True, eq=False)
class _Call:
    """What a mixer read: keys and values (B, h, w, C) and the grid of the gate (B, H, W, C)."""

    key: Tensor
    value: Tensor
    context: Tensor


def trace(network: SegmentationNetwork, image: Tensor) -> tuple[LayerTrace, ...]:
    """Run a network and return what each of its scanning layers did; see `record`."""
    return record(network, image).layers


def record(network: SegmentationNetwork, image: Tensor) -> NetworkTrace:
    """Run a network and return all that it scanned.

    Parameters
    ----------
    network : SegmentationNetwork
        In evaluation mode. Layers that do not scan (an ablation's convolutions) are left out.
    image : Tensor, shape (B, in_channels, H, W), float32
        Normalised as for `SegmentationNetwork.forward`.
    """
    with ExitStack() as hooks, torch.no_grad():
        # A module runs once per pass, so each list will hold one call.
        calls = [
            (place, mix, hooks.enter_context(_listening(cast(WkvMixer, mix.mixer))))
            for place, mix in scanning_layers(network)
        ]
        mixed = [
            (level, words, hooks.enter_context(_overhearing(words.mix)))
            for level, words in word_scans(network)
        ]
        logits = network(image)
    cell = network.config.finest_cell
    return NetworkTrace(
        tuple(_describe(place, mix, call[0], cell) for place, mix, call in calls),
        tuple(_describe_words(level, words, call[0], cell) for level, words, call in mixed),
        logits,
    )


def scanning_layers(network: SegmentationNetwork) -> Iterator[tuple[LayerPlace, SpatialMix]]:
    """Yield the layers of a network that scan its grids, in the order of the forward pass."""
    encoder: Encoder = network.encoder
    for level, blocks in enumerate(encoder.levels):
        for number, block in enumerate(cast(nn.Sequential, blocks)):
            mix = cast(Block, block).spatial
            if isinstance(mix.mixer, WkvMixer):
                yield LayerPlace("encoder", level, number), mix
    for level, step in _nested_steps(network):
        yield LayerPlace("decoder", level, 0), step.sentences


def word_scans(network: SegmentationNetwork) -> Iterator[tuple[int, WordScan]]:
    """Yield the nested scans of the decoder with the level of their sentences."""
    for level, step in _nested_steps(network):
        yield level, step.words


def _nested_steps(network: SegmentationNetwork) -> Iterator[tuple[int, NestedUpsample]]:
    for number, step in enumerate(network.decoder.steps):
        if isinstance(step, NestedUpsample):
            yield LEVELS - 1 - number, step


@contextmanager
def _listening(mixer: WkvMixer) -> Iterator[list[_Call]]:
    """Collect what a mixer reads while the block lasts."""
    calls: list[_Call] = []
    hook = mixer.register_forward_pre_hook(lambda _, read: calls.append(_Call(*read)))
    try:
        yield calls
    finally:
        hook.remove()


@contextmanager
def _overhearing(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a module returns while the block lasts."""
    calls: list[Tensor] = []
    hook = module.register_forward_hook(lambda _, read, returned: calls.append(returned))
    try:
        yield calls
    finally:
        hook.remove()


def _describe(place: LayerPlace, mix: SpatialMix, call: _Call, finest_cell: int) -> LayerTrace:
    """Turn one call of a mixer into a trace."""
    mixer = cast(WkvMixer, mix.mixer)
    batch, height, width, channels = call.key.shape
    decay, bonus = mixer.per_step(height, width)  # (C,) each
    heads = mixer.level.heads
    ones = call.key.new_ones((batch, len(heads)))  # what no gate is worth
    return LayerTrace(
        place=place,
        heads=heads,
        grid=(height, width),
        stride=finest_cell * 2**place.level * mix.pooled,
        pooled=mix.pooled,
        # cached: the very object that the layer has just used
        plan=scan_plan(mixer.level, height, width, call.key.device),
        gate=ones if mixer.gate is None else mixer.gate(call.context).detach(),
        decay=decay.detach(),
        bonus=bonus.detach(),
        key=call.key.reshape(batch, height * width, channels),
        value=call.value.reshape(batch, height * width, channels),
    )


def _describe_words(level: int, scan: WordScan, mixed: Tensor, finest_cell: int) -> WordTrace:
    """Turn receptance, keys and values (B, H, W, 5, 3C) of a nested scan into a trace."""
    batch, height, width, count, _ = mixed.shape
    _, key, value = mixed.reshape(batch, height * width, count, -1).chunk(3, dim=-1)
    return WordTrace(
        level=level,
        grid=(height, width),
        stride=finest_cell * 2**level,
        plan=line_plan(count, height * width, mixed.device),
        decay=scan.decay.detach(),
        bonus=scan.bonus.detach(),
        key=key,
        value=value,
    )
