"""Zig-RiR in plain PyTorch: RWKV nested in RWKV, as its paper describes it (IEEE TMI 2025).

Every cell of the grid is a sentence of 4 x 4 words. A block scans the words of each sentence, adds
them to the sentence, and scans the sentences in a zigzag, along the rows and along the columns in
turns. Between the levels 2 x 2 sentences become one. The decoder is transposed convolutions.
The published code gathers tokens into the zigzag and does not put them back; here they are.
Widths and depths are ours, chosen for the 24 million parameters and 2.7 GMAC that it has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.network.model import pad_to_stride
from napari_rwkvseg.scan.orders import scan_order
from napari_rwkvseg.wkv import ScanPlan, bi_wkv, line_plan

SIDE = 4  # words along each side of a sentence
WORD = 2  # pixels along each side of a word
WIDTHS = (96, 192, 320, 512)
WORD_WIDTHS = (24, 40, 64, 64)
DEPTHS = (2, 2, 4, 2)
STRIDE = SIDE * WORD * 2 ** (len(WIDTHS) - 1)


class Mix(nn.Module):
    """Vision-RWKV's spatial and channel mix of tokens (B, T, C) in a given order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.spatial = nn.Linear(width, 3 * width, bias=False)
        self.decay = nn.Parameter(torch.linspace(0, 8, width))
        self.bonus = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width, bias=False)
        self.hidden = nn.Linear(width, 4 * width, bias=False)
        self.value = nn.Linear(4 * width, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, plan: ScanPlan, length: int) -> Tensor:
        """Return the tokens; decay and bonus are spread over sequences of `length` steps."""
        receptance, key, value = self.spatial(self.spatial_norm(tokens)).chunk(3, dim=-1)
        mixed = bi_wkv(self.decay / length, self.bonus / length, key, value, plan)
        tokens = tokens + self.output(receptance.sigmoid() * mixed)
        normed = self.channel_norm(tokens)
        update: Tensor = self.value(self.hidden(normed).relu().square())
        return tokens + self.receptance(normed).sigmoid() * update


class NestedBlock(nn.Module):
    """Words inside sentences: an inner mix, a projection, an outer mix."""

    def __init__(self, width: int, word_width: int, order: str) -> None:
        super().__init__()
        self.order = order
        self.inner, self.outer = Mix(word_width), Mix(width)
        self.project = nn.Linear(SIDE * SIDE * word_width, width)

    def forward(self, words: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return words (B, H, W, 16, c) and sentences (B, H, W, C)."""
        batch, height, width, count, channels = words.shape
        inside = line_plan(count, height * width, words.device)
        flat = self.inner(words.reshape(batch, -1, channels), inside, count)
        words = flat.view(words.shape)
        grid = grid + self.project(words.flatten(3))
        across = ScanPlan([(scan_order(self.order, height, width),)], device=grid.device)
        tokens = self.outer(grid.flatten(1, 2), across, height * width)
        return words, tokens.view(grid.shape)


class Level(nn.Module):
    """The blocks of a level, and the way to it from the finer one."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width, word_width = WIDTHS[number], WORD_WIDTHS[number]
        before = (WIDTHS[number - 1], WORD_WIDTHS[number - 1]) if number else None
        self.merge = nn.Conv2d(before[0], width, 2, stride=2) if before else None
        self.merge_words = nn.Conv2d(before[1], word_width, 2, stride=2) if before else None
        orders = ("row", "column")
        self.blocks = nn.ModuleList(
            NestedBlock(width, word_width, orders[n % 2]) for n in range(DEPTHS[number])
        )

    def forward(self, words: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return words (B, H, W, 16, c) and sentences (B, H, W, C) of this level."""
        if self.merge is not None and self.merge_words is not None:
            grid = self.merge(grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            words = _cut(self.merge_words(_join(words)))
        for block in self.blocks:
            words, grid = block(words, grid)
        return words, grid


def _cut(image: Tensor) -> Tensor:
    """Part an image of words (B, c, 4H, 4W) into sentences (B, H, W, 16, c)."""
    batch, channels, height, width = image.shape
    cells = image.view(batch, channels, height // SIDE, SIDE, width // SIDE, SIDE)
    return cells.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


def _join(words: Tensor) -> Tensor:
    """Undo `_cut`."""
    batch, height, width, _, channels = words.shape
    cells = words.view(batch, height, width, SIDE, SIDE, channels).permute(0, 5, 1, 3, 2, 4)
    return cells.reshape(batch, channels, height * SIDE, width * SIDE)


class ZigRiRLike(nn.Module):
    """Nested encoder at 1/8 to 1/64, decoder of transposed convolutions with skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Conv2d(3, WORD_WIDTHS[0], 2 * WORD + 1, stride=WORD, padding=WORD)
        self.sentences = nn.Conv2d(WORD_WIDTHS[0], WIDTHS[0], SIDE, stride=SIDE)
        self.levels = nn.ModuleList(Level(number) for number in range(len(WIDTHS)))
        coarse, fine = WIDTHS[:0:-1], WIDTHS[-2::-1]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(c, f, 4, stride=2, padding=1)
            for c, f in zip(coarse, fine, strict=True)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(2 * f, f, 3, padding=1) for f in fine)
        self.to_word = nn.ConvTranspose2d(WIDTHS[0], WORD_WIDTHS[0], SIDE, stride=SIDE)
        self.classify = nn.ConvTranspose2d(2 * WORD_WIDTHS[0], 2, WORD, stride=WORD)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 2, H, W)."""
        read = self.words(pad_to_stride(image, STRIDE))  # (B, c, H / 2, W / 2)
        words, grid = _cut(read), self.sentences(read).permute(0, 2, 3, 1)
        skips = []
        for level in self.levels:
            words, grid = level(words, grid)
            skips.append(grid.permute(0, 3, 1, 2))
        found = skips.pop()
        for enlarge, fuse in zip(self.enlarge, self.fuse, strict=True):
            found = functional.relu(fuse(torch.cat((enlarge(found), skips.pop()), dim=1)))
        found = functional.relu(torch.cat((self.to_word(found), read), dim=1))
        logits: Tensor = self.classify(found)
        return logits[..., : image.shape[2], : image.shape[3]]
