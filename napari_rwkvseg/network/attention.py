"""Low-resolution self-attention: a few pooled queries over a pyramid of pooled keys and values.

Sources: LRFormer (2310.05026), P2T. Both sides are pooled, so that the cost does not depend on the
size of the image; the answer is resized and added.

Differs from LRFormer: one such layer, at the end of the deepest level, instead of one per block;
queries keep the proportions of the image instead of being squeezed to a square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.network.mixing import FRESH_SCALE, resize

PYRAMID = (8, 4, 2, 1)  # sides of the pooled grids of keys and values: 85 tokens


class LowResolutionAttention(nn.Module):
    """Let every cell ask the whole image, at a low resolution.

    Parameters
    ----------
    width : int
        Channels.
    heads : int
        Attention heads; divides `width`.
    side : int
        Longest short side of the grid of queries, in cells.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        # One norm for both sides: dot products of differently scaled vectors compare nothing.
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.scale = nn.Parameter(torch.full((width,), FRESH_SCALE))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid (B, H, W, C) with the answers added."""
        batch, height, width, channels = grid.shape
        normed = self.norm(grid)
        asked = self._pooled_queries(normed)  # (B, h, w, C)
        query = self._split(self.query(asked).reshape(batch, -1, channels))  # (B, heads, h * w, c)
        key, value = self.key_value(_pyramid(normed)).chunk(2, dim=-1)  # (B, 85, C) each
        answer = functional.scaled_dot_product_attention(
            query, self._split(key), self._split(value)
        )  # (B, heads, h * w, C / heads)
        answer = answer.transpose(1, 2).reshape(asked.shape)  # (B, h, w, C)
        return grid + self.scale * resize(self.output(answer), height, width)

    def _pooled_queries(self, grid: Tensor) -> Tensor:
        height, width = grid.shape[1:3]
        # Both sides shrink alike, so that a query stands for a square part of any image.
        shrink = max(1.0, min(height, width) / self.side)
        if shrink == 1:
            return grid
        size = (round(height / shrink), round(width / shrink))
        return functional.adaptive_avg_pool2d(grid.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)

    def _split(self, tokens: Tensor) -> Tensor:
        """Part (B, T, C) into heads: (B, heads, T, C / heads)."""
        batch, count, channels = tokens.shape
        return tokens.view(batch, count, self.heads, channels // self.heads).transpose(1, 2)


def _pyramid(grid: Tensor) -> Tensor:
    """Return the pooled tokens of all pyramid levels, shape (B, 85, C)."""
    image = grid.permute(0, 3, 1, 2)
    # Coarse levels say what is there at all, the finest where: both are worth asking.
    levels = [functional.adaptive_avg_pool2d(image, side).flatten(2) for side in PYRAMID]
    return torch.cat(levels, dim=2).transpose(1, 2)
