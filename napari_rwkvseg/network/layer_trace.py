"""What one scanning layer did in one forward pass: orders, gates, decays, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_rwkvseg.scan.schedule import HeadScan
from napari_rwkvseg.wkv import ScanPlan
from napari_rwkvseg.wkv.reference import token_weights


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

    def sequences(self, head: int) -> tuple[Tensor, ...]:
        """Return what a head scanned, each sequence in the order of the scan, from the plan."""
        owner = self.plan.sequence[:, head]
        return tuple(self._visited(owner == n, head) for n in range(int(owner.max()) + 1))

    def sequence(self, head: int, token: int) -> Tensor:
        """Return the tokens of the sequence that holds `token`, in the order of the scan."""
        chunk = int(self.plan.place[token, head]) % self.plan.chunks
        owner = self.plan.sequence[:, head]
        return self._visited(owner == owner[chunk], head)

    def _visited(self, chunks: Tensor, head: int) -> Tensor:
        """Return the tokens on some chunks of the slab, chunk after chunk, without padding."""
        visited = self.plan.steps[:, chunks, head].T.reshape(-1)
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
        # By the formula, for one token only: the whole table of `reference.py` would not fit.
        key = self.key[image, order, channels].double()
        steps = (torch.arange(len(order), device=order.device) - at).abs()[:, None]
        log_weight = key - (steps - 1) * self.decay[channels].double()
        log_weight[at] = key[at] + self.bonus[channels].double()  # (steps, C / heads)
        weights = key.new_zeros((self.plan.tokens, key.shape[1]))
        weights[order] = log_weight.softmax(dim=0)
        return weights

    def look(self, head: int | None, token: int, image: int = 0) -> Tensor:
        """Return how much a token looks at every other, averaged over channels.

        Parameters
        ----------
        head : int or None
            Which head; None for all of them, each weighted by its gate.
        token, image : int
            As for `weights`.

        Returns
        -------
        Tensor, float64, shape (T,)
            In grid order, sums to 1.
        """
        if head is not None:
            return self.weights(head, token, image).mean(dim=1)
        share = self.gate[image].double() / self.gate[image].double().sum()  # (heads,)
        looks = [self.weights(h, token, image).mean(dim=1) for h in range(len(self.heads))]
        return torch.stack(looks, dim=1) @ share


@dataclass(frozen=True, eq=False)
class WordTrace:
    """The nested scan of one step of the decoder: the words of each cell after their sentence.

    Attributes
    ----------
    level : int
        Of the grid of sentences; its cells are parted into 2 x 2 words.
    grid : tuple of int
        Rows and columns of sentences.
    stride : int
        Pixels of the padded image per sentence.
    plan : ScanPlan
        The index tensors that the operator used.
    decay, bonus : Tensor, shape (C,)
        Per step of the scan.
    key, value : Tensor, shape (B, H * W, 5, C)
        Per sentence: itself, then its words row by row.
    """

    level: int
    grid: tuple[int, int]
    stride: int
    plan: ScanPlan
    decay: Tensor
    bonus: Tensor
    key: Tensor
    value: Tensor

    def weights(self, sentence: int, image: int = 0) -> Tensor:
        """Return how much sentence and words of one cell look at each other.

        Parameters
        ----------
        sentence : int
            Flat row-major index on the grid.
        image : int
            Which image of the batch.

        Returns
        -------
        Tensor, float64, shape (5, 5, C)
            From (first axis) each token to (second axis) each; sums to 1 over the second axis.
        """
        key = self.key[image, sentence][None].double()  # (1, 5, C)
        return token_weights(self.decay.double(), self.bonus.double(), key)[0]
