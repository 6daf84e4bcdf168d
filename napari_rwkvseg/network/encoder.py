"""The encoder: a convolutional stem, then four levels of blocks on ever coarser grids."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.network.attention import LowResolutionAttention
from napari_rwkvseg.network.config import LEVELS, NetworkConfig
from napari_rwkvseg.network.mixing import (
    Block,
    ConvolutionMixer,
    SpatialMix,
    WkvMixer,
    apply,
    unfold,
)


class ConvolutionUnit(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU; reads and returns (B, C, H, W).

    In evaluation the normalisation is a fixed scale per channel, so it is folded into the kernel.

    Parameters
    ----------
    inside, outside : int
        Channels read and returned.
    stride : int
        Pixels from one output to the next.
    """

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the image after the unit."""
        # Training needs the statistics of the batch, which no fixed kernel knows. A single pixel
        # has none: a lone view no larger than the deepest cell is read as in evaluation there.
        if self.training and image[:, 0].numel() > 1:
            normalised: Tensor = super().forward(image)  # type: ignore[no-untyped-call]
            return normalised
        convolution, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        variance, mean = cast(Tensor, norm.running_var), cast(Tensor, norm.running_mean)
        scale = norm.weight / (variance + norm.eps).sqrt()
        kernel = convolution.weight * scale[:, None, None, None]  # (outside, inside, 3, 3)
        bias = norm.bias - mean * scale
        return functional.conv2d(image, kernel, bias, convolution.stride, padding=1).relu_()


class PooledUnit(ConvolutionUnit):
    """A `ConvolutionUnit` that keeps the maximum of each 2x2 pixels."""

    def forward(self, image: Tensor) -> Tensor:
        """Return the image (B, C', H/2, W/2) after the unit."""
        return functional.max_pool2d(super().forward(image), 2)


def rescale(image: Tensor, enlarge: int, shrink: int) -> Tensor:
    """Return (B, C, H, W) interpolated to `enlarge` times its size, or averaged over blocks."""
    if shrink > 1:
        return functional.avg_pool2d(image, shrink)
    if enlarge > 1:
        return functional.interpolate(
            image, scale_factor=float(enlarge), mode="bilinear", align_corners=False
        )
    return image


class Stem(nn.Module):
    """Two convolutions to 1/4, and a thin branch at full resolution.

    Parameters
    ----------
    config : NetworkConfig
        Reads `in_channels`, `stem_width`, `detail_width`, the first width and the scale.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        detail = config.detail_width
        self.shrink, self.enlarge = config.shrink, config.enlarge
        # Thin, as each of its channels costs as many operations as sixteen at 1/4: it only has to
        # know where edges lie.
        self.detail = ConvolutionUnit(config.in_channels, detail) if detail else None
        # Convolutions, not patches: at 1/4 they are cheaper than a scan, and boundaries need them.
        self.to_half = ConvolutionUnit(config.in_channels, config.stem_width, stride=2)
        # Maxima only from here on: in the first halving, too, they taught polyps no sooner.
        self.to_quarter = (
            PooledUnit(config.stem_width, config.widths[0])
            if config.downsampling == "pooled"
            else ConvolutionUnit(config.stem_width, config.widths[0], stride=2)
        )

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return detail (B, d, H, W), half (B, s, H/2, W/2) and the first grid (B, H/4, W/4, C).

        H and W are those of the image after it was shrunk or enlarged.
        """
        image = rescale(image, self.enlarge, self.shrink)
        detail = None if self.detail is None else self.detail(image)
        half = self.to_half(image)
        # From here on grids are channels-last; see `mixing.py`.
        return detail, half, self.to_quarter(half).permute(0, 2, 3, 1).contiguous()


class Merge(nn.Module):
    """Halve a grid: normalise, then map each 2x2 cell to one token."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        # Before the product, as in Swin: cells are joined at one scale, whatever the blocks added.
        self.norm = nn.LayerNorm(inside)
        self.reduce = nn.Linear(4 * inside, outside)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the coarser grid (B, H/2, W/2, C')."""
        cells = unfold(self.norm(grid)).flatten(3)  # (B, H/2, W/2, 4C)
        merged: Tensor = self.reduce(cells)
        return merged


class PooledMerge(nn.Module):
    """Halve a grid by the maxima of a 3x3 convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.unit = PooledUnit(inside, outside)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the coarser grid (B, H/2, W/2, C')."""
        return apply(self.unit, grid)


class Encoder(nn.Module):
    """Four levels of blocks at 1/4, 1/8, 1/16 and 1/32, attention at the end of the last.

    Parameters
    ----------
    config : NetworkConfig
        Widths, depths and switches.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths = config.widths
        self.levels = nn.ModuleList(
            nn.Sequential(*[build_block(config, level) for _ in range(config.depths[level])])
            for level in range(LEVELS)
        )
        merge = PooledMerge if config.downsampling == "pooled" else Merge
        self.merges = nn.ModuleList(merge(fine, coarse) for fine, coarse in pairwise(widths))
        # Only at 1/32: it compares everything with everything, once all of it has been summed up.
        self.attention = (
            LowResolutionAttention(widths[-1], config.heads, config.attention_side)
            if config.attention_side
            else nn.Identity()
        )

    def forward(self, grid: Tensor) -> list[Tensor]:
        """Return the grids of all levels, finest first, each (B, H, W, C)."""
        grids = [self.levels[0](grid)]
        for merge, level in zip(self.merges, list(self.levels)[1:], strict=True):
            grids.append(level(merge(grids[-1])))
        grids[-1] = self.attention(grids[-1])
        return grids


def build_block(config: NetworkConfig, level: int) -> Block:
    """Return one block of an encoder level (0 is the finest)."""
    width = config.widths[level]
    mixer = build_mixer(config, level, width)
    return Block(width, SpatialMix(width, mixer, config.pooled_keys[level]), config.expansion)


def build_mixer(config: NetworkConfig, level: int, width: int) -> WkvMixer | ConvolutionMixer:
    """Return what mixes tokens on a level, for `width` channels."""
    if config.mixer == "convolution":
        return ConvolutionMixer(width)
    return WkvMixer(width, config.schedule.levels[level], config.gate)
