"""The decoder: nested up-sampling, a recurrence of words inside a recurrence of sentences.

A coarse cell is a *sentence*; the s x s fine cells inside it are its *words* (Zig-RiR's names,
10.1109/TMI.2025.3561797, which nests them in the encoder only). Each step of the decoder

1. expands every sentence into its words and adds the skip connection of the finer level;
2. scans the words of each cell, the sentence put in front, so that the inner recurrence starts from
   the state of the outer level;
3. scans the sentences over the whole grid, so that neighbours agree, and hands the result to their
   words;
4. folds the words back into the fine grid and mixes channels.

Differs from Zig-RiR: its decoder is made of transposed convolutions, 4.5 M parameters; this one
scans on the way up, too, and needs a tenth.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.network.config import LEVELS, NetworkConfig
from napari_rwkvseg.network.encoder import ConvolutionUnit, build_mixer, rescale
from napari_rwkvseg.network.mixing import FRESH_SCALE, ChannelMix, SpatialMix, apply, fold, unfold
from napari_rwkvseg.wkv import bi_wkv, line_plan

WORDS = 4  # fine cells in a coarse one
FULL_WIDTH = 8  # channels at full resolution where no branch of the stem sets them


class WordScan(nn.Module):
    """Bi-WKV over the words of each cell, their sentence in front as the first token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width, bias=False)  # receptance, key, value
        # Five tokens have no distance worth a prior: decay starts at none, per step and unbounded.
        self.decay = nn.Parameter(torch.zeros(width))
        self.bonus = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width, bias=False)
        self.scale = nn.Parameter(torch.full((width,), FRESH_SCALE))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return sentence and words (B, H, W, 1 + 4, C) after the scan."""
        batch, height, width, count, channels = tokens.shape
        receptance, key, value = self.mix(self.norm(tokens)).chunk(3, dim=-1)  # as tokens, each
        # All cells are sequences of one long scan: a batch of scans would be one call per cell.
        plan = line_plan(count, height * width, tokens.device)
        flat = (batch, height * width * count, channels)
        mixed = bi_wkv(self.decay, self.bonus, key.reshape(flat), value.reshape(flat), plan)
        answer: Tensor = self.output(receptance.sigmoid() * mixed.view(tokens.shape))
        return tokens + self.scale * answer


class NestedUpsample(nn.Module):
    """One step of the decoder: from a coarse grid and a skip connection to the fine grid.

    Parameters
    ----------
    config : NetworkConfig
        Heads, schedule and switches.
    level : int
        Encoder level of the fine grid; the sentences lie on the grid of level + 1.
    """

    def __init__(self, config: NetworkConfig, level: int) -> None:
        super().__init__()
        coarse, fine = config.widths[level + 1], config.widths[level]
        self.norm = nn.LayerNorm(coarse)
        # The sentence is expanded beside its words: it has to be as wide as they to be scanned.
        self.expand = nn.Linear(coarse, (1 + WORDS) * fine)
        self.skip = nn.Linear(fine, fine)
        self.words = WordScan(fine)
        self.sentence_norm = nn.LayerNorm(fine)
        self.sentences = SpatialMix(fine, build_mixer(config, level + 1, fine))
        self.finish = Finish(fine, config.expansion)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return the fine grid (B, 2H, 2W, C) of a coarse one (B, H, W, C') and the skip."""
        tokens = self.expand(self.norm(coarse)).view(*coarse.shape[:3], 1 + WORDS, -1)
        # Only words get the skip: it is fine detail, and a sentence speaks for the whole cell.
        sentence, words = tokens[..., :1, :], tokens[..., 1:, :] + unfold(self.skip(skip))
        tokens = self.words(torch.cat((sentence, words), dim=3))  # (B, H, W, 5, C)
        sentence, words = tokens[..., 0, :], tokens[..., 1:, :]  # (B, H, W, C), (B, H, W, 4, C)
        # Norm first, as in a block: sentences come out of the word scan at any scale.
        agreed = self.sentences(self.sentence_norm(sentence))  # (B, H, W, C)
        return cast(Tensor, self.finish(fold(words + agreed[..., None, :])))


class ShuffleUpsample(nn.Module):
    """The ablation of `NestedUpsample`: expand, add the skip connection, fold; no recurrence."""

    def __init__(self, config: NetworkConfig, level: int) -> None:
        super().__init__()
        coarse, fine = config.widths[level + 1], config.widths[level]
        self.norm = nn.LayerNorm(coarse)
        self.expand = nn.Linear(coarse, WORDS * fine)
        self.skip = nn.Linear(fine, fine)
        self.finish = Finish(fine, config.expansion)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return the fine grid (B, 2H, 2W, C) of a coarse one (B, H, W, C') and the skip."""
        words = self.expand(self.norm(coarse)).view(*coarse.shape[:3], WORDS, -1)
        return cast(Tensor, self.finish(fold(words) + self.skip(skip)))


class Finish(nn.Module):
    """Mix the channels of a folded grid (B, H, W, C)."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.channel = ChannelMix(width, expansion)
        # Not a small number as in an encoder block: here is no stack of blocks to calm down.
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid after the mix."""
        result: Tensor = grid + self.scale * self.channel(self.norm(grid))
        return result


@torch.no_grad()
def balanced(votes: nn.Linear) -> nn.Linear:
    """Let the weights of each class cancel, and return the layer.

    It reads what a ReLU left, nothing below 0: weights that happen to be all of one sign put a
    class ahead wherever anything is seen, and of four channels a thin network may never turn that
    round (of three seeds one still found no nucleus after 300 steps).
    """
    votes.weight -= votes.weight.mean(dim=1, keepdim=True)
    votes.bias.zero_()
    return votes


class Decoder(nn.Module):
    """Three up-sampling steps from 1/32 to 1/4, then convolutions to full resolution.

    Parameters
    ----------
    config : NetworkConfig
        Widths and switches.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        step = NestedUpsample if config.decoder == "nested" else ShuffleUpsample
        self.shrink, self.enlarge = config.shrink, config.enlarge
        half, full = config.stem_width // 2 + 4, config.detail_width or FULL_WIDTH
        self.steps = nn.ModuleList(step(config, level) for level in reversed(range(LEVELS - 1)))
        # From 1/4 on no scans: neighbours decide where a boundary runs, and tokens are many.
        self.to_half = nn.Linear(config.widths[0], WORDS * half)
        self.skip_half = nn.Linear(config.stem_width, half)
        self.at_half = ConvolutionUnit(half, half)
        self.to_full = nn.Linear(half, WORDS * full)
        self.at_full = ConvolutionUnit(full, full)
        self.classify = balanced(nn.Linear(full, config.n_classes))

    def forward(self, grids: list[Tensor], half: Tensor, detail: Tensor | None) -> Tensor:
        """Return logits (B, n_classes, H, W) at the resolution of the image."""
        grid = grids[-1]
        for step, skip in zip(self.steps, reversed(grids[:-1]), strict=True):
            grid = step(grid, skip)
        fine = fold(self.to_half(grid).unflatten(-1, (WORDS, -1)))  # (B, H/2, W/2, C)
        fine = apply(self.at_half, fine + self.skip_half(half.permute(0, 2, 3, 1)))
        fine = fold(self.to_full(fine).unflatten(-1, (WORDS, -1)))  # (B, H, W, C)
        if detail is not None:
            fine += detail.permute(0, 2, 3, 1)  # in place: at this size new memory costs time
        logits: Tensor = self.classify(apply(self.at_full, fine))
        return rescale(logits.permute(0, 3, 1, 2), self.shrink, self.enlarge)  # the stem undone


class ConvolutionDecoder(nn.Module):
    """Five doublings from 1/32 to full resolution: a 3x3 convolution, interpolation, the skip.

    Parameters
    ----------
    config : NetworkConfig
        Widths.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        full = config.detail_width or FULL_WIDTH
        widths = (full, config.stem_width, *config.widths)
        self.shrink, self.enlarge = config.shrink, config.enlarge
        # The convolution comes before the doubling, where it costs a quarter.
        self.steps = nn.ModuleList(
            ConvolutionUnit(coarse, fine) for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.at_full = ConvolutionUnit(full, full)
        self.classify = balanced(nn.Linear(full, config.n_classes))

    def forward(self, grids: list[Tensor], half: Tensor, detail: Tensor | None) -> Tensor:
        """Return logits (B, n_classes, H, W) at the resolution of the image."""
        *finer, image = [grid.permute(0, 3, 1, 2) for grid in grids]  # (B, C, h, w), views
        for step, skip in zip(self.steps, [*reversed(finer), half, detail], strict=True):
            image = functional.interpolate(
                step(image), scale_factor=2.0, mode="bilinear", align_corners=False
            )
            if skip is not None:
                image += skip  # in place: at full resolution new memory costs time
        logits: Tensor = self.classify(self.at_full(image).permute(0, 2, 3, 1))
        return rescale(logits.permute(0, 3, 1, 2), self.shrink, self.enlarge)  # the stem undone


def build_decoder(config: NetworkConfig) -> Decoder | ConvolutionDecoder:
    """Return the decoder of a configuration."""
    return ConvolutionDecoder(config) if config.decoder == "convolution" else Decoder(config)
