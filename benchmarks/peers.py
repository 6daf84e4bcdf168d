"""The networks that ours is timed against, with random weights; nothing is downloaded.

Each maps (B, 3, H, W) to logits (B, 2, H, W). Those of other packages (extra `bench`) are imported
when they are built, so that one that is not installed is only left out. The others are written here
in the shape of their papers: U-Net (1505.04597), UNeXt (2203.04967), Cellpose (2011, 10.1038/
s41592-020-01018-x; its third version has the same network).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.zigrir import ZigRiRLike

CLASSES = 2


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(*_unit(inside, outside), *_unit(outside, outside))


def _unit(inside: int, outside: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    ]


class PlainUNet(nn.Module):
    """A U-Net; by default that of 31 million parameters: five levels of 64 to 1024 channels.

    Parameters
    ----------
    widths : tuple of int
        Channels of the levels, from fine to coarse.
    """

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(map(DoubleConvolution, inputs, widths))
        coarse, fine = widths[:0:-1], widths[-2::-1]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(c, f, 2, stride=2) for c, f in zip(coarse, fine, strict=True)
        )
        self.up = nn.ModuleList(map(DoubleConvolution, coarse, fine))
        self.classify = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        levels = [self.down[0](image)]
        for block in list(self.down)[1:]:
            levels.append(block(functional.max_pool2d(levels[-1], 2)))
        grid = levels.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            grid = block(torch.cat((levels.pop(), enlarge(grid)), dim=1))
        logits: Tensor = self.classify(grid)
        return logits


class BasicBlock(nn.Module):
    """ResNet's block (1512.03385): two 3x3 convolutions and a short cut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )
        self.second = nn.Sequential(*_unit(outside, outside)[:2])
        self.short = nn.Sequential()
        if stride > 1:
            self.short.append(nn.Conv2d(inside, outside, 1, stride=stride, bias=False))
            self.short.append(nn.BatchNorm2d(outside))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid (B, C', H / stride, W / stride)."""
        return functional.relu(self.second(self.first(grid)) + self.short(grid))


class ResNetUNet(nn.Module):
    """A U-Net on a ResNet-18, layer by layer that of segmentation_models_pytorch 0.5."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 64, 128, 256, 512)
        stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.down = nn.ModuleList(
            nn.Sequential(BasicBlock(i, o, 1 if i == o else 2), BasicBlock(o, o, 1))
            for i, o in pairwise(widths)
        )
        outputs = (256, 128, 64, 32, 16)
        skips = (256, 128, 64, 64, 0)
        inputs = (512, *outputs[:-1])
        self.up = nn.ModuleList(
            DoubleConvolution(i + s, o) for i, s, o in zip(inputs, skips, outputs, strict=True)
        )
        self.classify = nn.Conv2d(outputs[-1], CLASSES, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        skips = [self.stem(image)]
        grid = functional.max_pool2d(skips[0], 3, stride=2, padding=1)
        for block in self.down:
            grid = block(grid)
            skips.append(grid)
        skips.pop()
        for block in self.up:
            grid = functional.interpolate(grid, scale_factor=2.0)
            grid = block(torch.cat((grid, skips.pop()), dim=1) if skips else grid)
        logits: Tensor = self.classify(grid)
        return logits


class ShiftedMlp(nn.Module):
    """UNeXt's token block: channels shifted along one axis, a linear layer; then the other axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.second = nn.Linear(width, width)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the mixed grid (B, C, H, W)."""
        tokens = self.norm(grid.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        tokens = self.first(_shift(tokens, 2).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        tokens = functional.gelu(self.local(tokens))
        mixed: Tensor = self.second(_shift(tokens, 3).permute(0, 2, 3, 1))
        return grid + mixed.permute(0, 3, 1, 2)


def _shift(grid: Tensor, axis: int) -> Tensor:
    """Roll five groups of channels by -2 ... 2 cells along an axis."""
    groups = grid.chunk(5, dim=1)
    return torch.cat([group.roll(i - 2, axis) for i, group in enumerate(groups)], dim=1)


class UNeXtLike(nn.Module):
    """Three levels of one convolution each, two of shifted MLPs, and the mirror image."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 128, 160, 256)
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(*_unit(i, w)[:2]) for i, w in zip(inputs, widths, strict=True)
        )
        self.mix = nn.ModuleList(ShiftedMlp(w) for w in (*widths[3:], widths[3]))
        outputs = (*widths[3::-1], widths[0])
        self.up = nn.ModuleList(
            nn.Sequential(*_unit(i, o)[:2]) for i, o in zip(widths[::-1], outputs, strict=True)
        )
        self.classify = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        grid, skips = image, []
        for level, block in enumerate(self.down):
            grid = functional.relu(functional.max_pool2d(block(grid), 2))
            grid = self.mix[level - 3](grid) if level > 2 else grid
            skips.append(grid)
        skips.pop()
        for level, block in enumerate(self.up):
            grid = functional.relu(_double(block(grid)))
            grid = grid + skips.pop() if skips else grid
            grid = self.mix[2](grid) if level == 0 else grid
        logits: Tensor = self.classify(grid)
        return logits


def _double(grid: Tensor) -> Tensor:
    return functional.interpolate(grid, scale_factor=2.0, mode="bilinear", align_corners=False)


class FcnLike(nn.Module):
    """FCN-8s (1411.4038) on a small VGG: classes at 1/8, 1/16 and 1/32, added up coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 192, 256)
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(map(DoubleConvolution, inputs, widths))
        self.classify = nn.ModuleList(nn.Conv2d(w, CLASSES, 1) for w in widths[2:])

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        grid, levels = image, []
        for block in self.down:
            grid = functional.max_pool2d(block(grid), 2, ceil_mode=True)
            levels.append(grid)
        scores = [head(level) for head, level in zip(self.classify, levels[2:], strict=True)]
        total: Tensor = scores.pop()
        while scores:
            finer = scores.pop()
            total = finer + _resize(total, finer.shape[-2:])
        return _resize(total, image.shape[-2:])


def _resize(grid: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(grid, list(size), mode="bilinear", align_corners=False)


class CellposeLike(nn.Module):
    """Residual U-Net of 32 to 256 channels whose decoder is told the mean of the deepest level."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(map(Residual, inputs, widths))
        outputs = widths[::-1]
        self.style = nn.ModuleList(nn.Linear(widths[-1], w) for w in outputs)
        self.up = nn.ModuleList(map(Residual, (widths[-1], *outputs[:-1]), outputs))
        self.skip = nn.ModuleList(nn.Conv2d(w, w, 1) for w in outputs)
        self.classify = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        levels = [self.down[0](image)]
        for block in list(self.down)[1:]:
            levels.append(block(functional.max_pool2d(levels[-1], 2)))
        grid = levels[-1]
        style = functional.normalize(grid.mean(dim=(2, 3)), dim=1)
        for depth, (block, skip) in enumerate(zip(self.up, self.skip, strict=True)):
            grid = functional.interpolate(grid, scale_factor=2.0) if depth else grid
            grid = block(grid, (skip(levels.pop()), self.style[depth](style)[..., None, None]))
        logits: Tensor = self.classify(grid)
        return logits


class Residual(nn.Module):
    """Cellpose's block: four convolutions, two short cuts; skip and style added after the first."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inside, outside, 1)
        widths = (inside, outside, outside, outside)
        self.units = nn.ModuleList(nn.Sequential(*_unit(width, outside)) for width in widths)

    def forward(self, grid: Tensor, told: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return the grid (B, C, H, W) after four convolutions."""
        first: Tensor = self.units[0](grid)
        if told is not None:
            first = first + told[0] + told[1]
        grid = self.project(grid) + self.units[1](first)
        residual: Tensor = self.units[3](self.units[2](grid))
        return grid + residual


class Resized(nn.Module):
    """A network whose logits are brought to the size of the image.

    Parameters
    ----------
    network : Module
        Returns an object that holds its logits.
    logits : callable
        Gets them out of it.
    """

    def __init__(self, network: nn.Module, logits: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.logits = logits

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        logits, size = self.logits(self.network(image)), image.shape[-2:]
        if logits.shape[-2:] == size:
            return logits
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def _segformer_b0() -> nn.Module:
    segformer = import_module("transformers")
    config = segformer.SegformerConfig(num_labels=CLASSES)
    network = segformer.SegformerForSemanticSegmentation(config)
    return Resized(network, lambda output: output.logits)


def _lraspp() -> nn.Module:
    models = import_module("torchvision.models.segmentation")
    network = models.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=CLASSES
    )
    return Resized(network, lambda output: output["out"])


PEERS: dict[str, Callable[[], nn.Module]] = {
    "U-Net ResNet-18": ResNetUNet,
    "U-Net plain": PlainUNet,
    "U-Net narrow": partial(PlainUNet, (16, 32, 64, 128, 256)),
    "Cellpose-like": CellposeLike,
    "UNeXt-like": UNeXtLike,
    "FCN-like": FcnLike,
    "Zig-RiR-like": ZigRiRLike,
    "SegFormer-B0 (transformers)": _segformer_b0,
    "LR-ASPP MobileNetV3 (torchvision)": _lraspp,
}
"""What each is called, and how it is built; ImportError if its package is missing."""
