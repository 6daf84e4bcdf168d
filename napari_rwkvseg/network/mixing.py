"""The two halves of an encoder block: mixing tokens, and mixing channels.

Grids stay channels-last, (B, H, W, C), from the stem to the head: a convolution sees them through
a view, the operator as tokens (B, T, C) with T = H * W, and nothing is ever transposed in memory.
Sources: Vision-RWKV (2403.02308), Restore-RWKV's omni-shift (2407.11087).

Letters: B batch, H x W grid, T = H * W tokens, C channels; w decay and u bonus (`WkvMixer`), k keys
and v values, r receptance (`SpatialMix`), as in Vision-RWKV.

Differs from Vision-RWKV: heads with scan orders of their own instead of rows only; a learned 5x5
shift instead of four shifts by one cell; decays that cannot change sign; keys and values may be
pooled. Differs from Zig-RiR: tokens are put back where they lay after each scan.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.scan.schedule import HeadScan, LevelScan
from napari_rwkvseg.wkv import ScanPlan, bi_wkv

# A fresh block adds a hundredth of what it computes: almost the identity, yet it learns at once.
FRESH_SCALE = 1e-2
# Decays of a fresh head, in exp(-w) over the length of its sequence, spread over the channels.
WEAKEST_DECAY, STRONGEST_DECAY = 1.0, 32.0


def apply(convolution: nn.Module, grid: Tensor) -> Tensor:
    """Apply a module that reads (B, C, H, W) to a grid (B, H, W, C) and return a grid."""
    result: Tensor = convolution(grid.permute(0, 3, 1, 2))
    return result.permute(0, 2, 3, 1).contiguous()


def unfold(grid: Tensor) -> Tensor:
    """Part a grid (B, 2H, 2W, C) into its cells of 2x2, shape (B, H, W, 4, C)."""
    batch, height, width, channels = grid.shape
    words = grid.view(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
    # (B, H, W, 2, 2, C): words of a cell lie row by row, the order in which `WordScan` reads them
    return words.reshape(batch, height // 2, width // 2, 4, channels)


def fold(words: Tensor) -> Tensor:
    """Undo `unfold`: from (B, H, W, 4, C) to the grid (B, 2H, 2W, C)."""
    batch, height, width, _, channels = words.shape
    grid = words.view(batch, height, width, 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(batch, height * 2, width * 2, channels)


def resize(grid: Tensor, height: int, width: int) -> Tensor:
    """Resize a grid (B, H, W, C) bilinearly."""
    if grid.shape[1:3] == (height, width):
        return grid
    image = grid.permute(0, 3, 1, 2)  # (B, C, H, W), a view
    image = functional.interpolate(image, (height, width), mode="bilinear", align_corners=False)
    return image.permute(0, 2, 3, 1).contiguous()


def pool(grid: Tensor, factor: int) -> Tensor:
    """Average blocks of `factor` x `factor` cells of a grid (B, H, W, C); ragged ones too."""
    if factor == 1:
        return grid
    # Ragged cells at the far borders are averages of what there is, not of padding.
    image = functional.avg_pool2d(grid.permute(0, 3, 1, 2), factor, ceil_mode=True)
    return image.permute(0, 2, 3, 1).contiguous()


@lru_cache(maxsize=128)
def scan_plan(level: LevelScan, height: int, width: int, device: torch.device) -> ScanPlan:
    """Return the index tensors of a level's heads on a grid; the pictures use the same object."""
    return ScanPlan([head.sequences(height, width) for head in level.heads], device=device)


def sequence_length(head: HeadScan, height: int, width: int) -> int:
    """Return the steps over which a head's decay is spread: its window, or the whole grid."""
    if head.extent == "window":
        return min(head.size, height) * min(head.size, width)
    return height * width


class OmniShift(nn.Module):
    """Mix each channel with its neighbours: identity, 1x1, 3x3 and 5x5 in one 5x5 convolution.

    Branches are weights, not operations: they are summed into one kernel at each call, so that
    training and inference do the same work.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # A fresh shift is nearly the identity, and its far neighbours count least: tokens keep
        # their place until the image teaches otherwise. Weight of the identity and of the 1x1
        # branch is the same number, so one parameter stands for both.
        self.point = nn.Parameter(torch.ones(width, 1, 1, 1))
        self.near = nn.Parameter(torch.randn(width, 1, 3, 3) * 0.05)
        self.far = nn.Parameter(torch.randn(width, 1, 5, 5) * 0.02)

    def kernel(self) -> Tensor:
        """Return the merged kernel, shape (C, 1, 5, 5)."""
        return self.far + functional.pad(self.near, (1,) * 4) + functional.pad(self.point, (2,) * 4)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the shifted grid, shape (B, H, W, C)."""
        image = grid.permute(0, 3, 1, 2)
        # One 5x5 costs less than reading the grid once per branch: depth-wise work is all memory.
        image = functional.conv2d(image, self.kernel(), padding=2, groups=image.shape[1])
        return image.permute(0, 2, 3, 1).contiguous()


class HeadGate(nn.Module):
    """Weigh the heads by what the image shows: softmax over heads, 1 on average.

    Scores are bounded: a head that an unbounded softmax once silenced would never learn again.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, heads)
        # A fresh gate weighs all heads alike: what it prefers must be learnt, not drawn by lot.
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the weights, shape (B, heads), for a grid (B, H, W, C)."""
        score = self.score(grid.mean(dim=(1, 2))).tanh()  # (B, heads)
        # times the number of heads: a gate that prefers nothing is exactly no gate
        weights: Tensor = score.softmax(dim=1) * score.shape[1]
        return weights


class WkvMixer(nn.Module):
    """Bi-WKV with one scan order per head, a norm and, if wanted, a gate over the heads.

    Parameters
    ----------
    width : int
        Channels, divided evenly among the heads.
    level : LevelScan
        What each head scans.
    gate : bool
        Whether the image rescales the heads.
    """

    def __init__(self, width: int, level: LevelScan, gate: bool) -> None:
        super().__init__()
        heads = len(level.heads)
        spread = torch.linspace(0, 1, width // heads).repeat(heads)
        ratio = STRONGEST_DECAY / WEAKEST_DECAY
        self.level = level
        # Kept as a logarithm: a decay that training turns negative would favour the farthest token.
        # Spread geometrically within each head: some channels see the neighbours, some the image.
        self.log_decay = nn.Parameter(torch.log(WEAKEST_DECAY * ratio**spread))
        self.bonus = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.gate = HeadGate(width, heads) if gate else None

    def per_step(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return decay and bonus per step of the scan, each (C,), on a grid of that size."""
        lengths = [sequence_length(head, height, width) for head in self.level.heads]
        length = self.bonus.new_tensor(lengths)
        each = length.repeat_interleave(len(self.bonus) // len(lengths))  # (heads,) to (C,)
        # Vision-RWKV divides by T, too: the same weights then serve images of every size.
        return self.log_decay.exp() / each, self.bonus / each  # (C,) each

    def forward(self, key: Tensor, value: Tensor, context: Tensor) -> Tensor:
        """Mix values (B, H, W, C) by their keys; `context` is the grid that the gate reads."""
        batch, height, width, channels = key.shape
        plan = scan_plan(self.level, height, width, key.device)
        decay, bonus = self.per_step(height, width)
        tokens = (batch, height * width, channels)
        mixed: Tensor = bi_wkv(decay, bonus, key.reshape(tokens), value.reshape(tokens), plan)
        mixed = self.norm(mixed)  # before the gate, or the loudest head would drown the others
        if self.gate is not None:
            weights = self.gate(context)  # (B, heads)
            each = weights.repeat_interleave(channels // plan.heads, dim=1)  # (B, C)
            mixed = mixed * each[:, None]  # (B, T, C)
        return mixed.view(batch, height, width, channels)


class ConvolutionMixer(nn.Module):
    """What stands in for Bi-WKV in an ablation: a depth-wise 7x7 of the gated values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)

    def forward(self, key: Tensor, value: Tensor, context: Tensor) -> Tensor:
        """Mix values (B, H, W, C); `context` is not used."""
        mixed: Tensor = self.norm(apply(self.depthwise, key.sigmoid() * value))
        return mixed


class SpatialMix(nn.Module):
    """Mix tokens: shift, keys and values on a pooled grid, mixer, receptance, output.

    Parameters
    ----------
    width : int
        Channels.
    mixer : WkvMixer or ConvolutionMixer
        What mixes the tokens.
    pooled : int
        Average pooling before keys and values; the receptance stays at full resolution.
    """

    def __init__(self, width: int, mixer: WkvMixer | ConvolutionMixer, pooled: int = 1) -> None:
        super().__init__()
        self.pooled = pooled
        self.shift = OmniShift(width)
        self.receptance = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mixer = mixer
        self.output = nn.Linear(width, width, bias=False)

    def keys_and_values(self, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H / pooled, W / pooled, C) of a shifted grid (B, H, W, C)."""
        # One matrix product for both; the halves stay views, the operator takes them as they lie.
        key, value = self.key_value(pool(shifted, self.pooled)).chunk(2, dim=-1)  # (B, h, w, C)
        return key, value

    def forward(self, grid: Tensor) -> Tensor:
        """Return what to add to a normalised grid (B, H, W, C)."""
        shifted = self.shift(grid)
        key, value = self.keys_and_values(shifted)
        mixed = resize(self.mixer(key, value, shifted), grid.shape[1], grid.shape[2])
        # The receptance stays at full resolution: pooling blurs what is looked up, not who asks.
        result: Tensor = self.output(self.receptance(shifted).sigmoid() * mixed)
        return result


class ChannelMix(nn.Module):
    """Mix channels: shift, squared ReLU, receptance."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.shift = OmniShift(width)
        self.key = nn.Linear(width, expansion * width, bias=False)
        self.value = nn.Linear(expansion * width, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)

    def forward(self, grid: Tensor) -> Tensor:
        """Return what to add to a normalised grid (B, H, W, C)."""
        shifted = self.shift(grid)
        # Squared ReLU as in RWKV: sparse like ReLU, but without a kink at 0.
        hidden = self.key(shifted).relu().square()  # (B, H, W, expansion * C)
        result: Tensor = self.receptance(shifted).sigmoid() * self.value(hidden)
        return result


class Block(nn.Module):
    """One encoder block: tokens, then channels, each normalised, scaled and added."""

    def __init__(self, width: int, spatial: SpatialMix, expansion: int) -> None:
        super().__init__()
        self.spatial_norm = nn.LayerNorm(width)
        self.spatial = spatial
        self.spatial_scale = nn.Parameter(torch.full((width,), FRESH_SCALE))
        self.channel_norm = nn.LayerNorm(width)
        self.channel = ChannelMix(width, expansion)
        self.channel_scale = nn.Parameter(torch.full((width,), FRESH_SCALE))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid (B, H, W, C) after this block."""
        # Norms inside the branches: the sum itself passes through all blocks of a level untouched.
        grid = grid + self.spatial_scale * self.spatial(self.spatial_norm(grid))
        result: Tensor = grid + self.channel_scale * self.channel(self.channel_norm(grid))
        return result
