"""Scan orders as index tensors: which token each step of each head reads.

Every head of a layer scans the same tokens in an order of its own, as one sequence (global) or
as many (one per window). A plan lays all of them out on one common *slab*: sequences are cut into
chunks of `length` steps, and the slab holds step 0 of every chunk, then step 1, and so on. One
operation on a range of steps then serves all chunks, heads and channels, whatever the orders.

Letters: B batch, T tokens, C channels, h heads, c = C / h, L steps of a chunk, M chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Order = NDArray[np.int64]


def chunk_length(tokens: int) -> int:
    """Return the steps per chunk for sequences of `tokens` steps in all.

    Inside a chunk states are carried by halving, across chunks by doubling, which does more work
    on fewer numbers: the length grows with the square root, from 4 to 64.
    """
    length = 4
    while length < 64 and length**2 < tokens:
        length *= 2
    return length


class ScanPlan:
    """The scan orders of all heads of one layer on one grid, ready for the operator.

    Parameters
    ----------
    orders : sequence (heads) of sequences of int arrays
        Per head the sequences it scans; together they visit each of the T tokens once.
    device : torch.device, optional
        Where the index tensors live.
    length : int, optional
        Steps per chunk; chosen by `chunk_length` if not given.

    Attributes
    ----------
    tokens, heads, length, chunks : int
        T, h, L and M.
    steps : Tensor, shape (L, M, h), int64
        The token read at each step; T where a chunk is padded.
    place : Tensor, shape (T, h), int64
        Where on the slab each token lies: ``(l * M + m)``.
    sequence : Tensor, shape (M, h), int64
        Which sequence a chunk belongs to, so that states are never carried from one to the next.
    span : int
        Chunks of the longest sequence.
    halvings : int
        How often L can be halved.
    ways : Tensor, shape (n, 1, 1)
        Steps over which the scan carries states: 1, 2, 4 ... inside a chunk, then L, 2 L, 4 L ...
    padded : bool
        Whether any step reads padding.
    run : int
        If `line_plan` made it: steps of each sequence. Else 0.

    Raises
    ------
    ValueError
        If a head does not visit each token exactly once.
    """

    def __init__(
        self,
        orders: Sequence[Sequence[Order]],
        device: torch.device | None = None,
        length: int | None = None,
    ) -> None:
        self.heads = len(orders)
        self.tokens = sum(len(sequence) for sequence in orders[0])
        longest = max(len(sequence) for head in orders for sequence in head)
        self.length = length or min(chunk_length(self.tokens), longest)
        layouts = [_lay_out(head, self.length, self.tokens) for head in orders]
        self.chunks = max(len(layout) for layout, _ in layouts)
        self.span = -(-longest // self.length)
        self.padded = self.chunks * self.length > self.tokens
        self.halvings = (self.length & -self.length).bit_length() - 1
        self.ways = _ways(self.length, self.halvings, self.span).to(device)

        # Heads with fewer chunks are padded with chunks that belong to no sequence.
        steps = np.full((self.chunks, self.length, self.heads), self.tokens, np.int64)
        sequence = np.full((self.chunks, self.heads), -1, np.int64)
        for head, (layout, owner) in enumerate(layouts):
            steps[: len(layout), :, head] = layout
            sequence[: len(owner), head] = owner
        steps = steps.transpose(1, 0, 2)  # (L, M, h)
        # Built once per grid and kept: published code builds its lists again at every call.
        self.steps = torch.from_numpy(np.ascontiguousarray(steps)).to(device)
        self.sequence = torch.from_numpy(sequence).to(device)
        self.place = torch.from_numpy(_places(steps, self.tokens)).to(device)
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}
        self._joins: dict[int, Tensor] = {}
        self._alone: dict[int, ScanPlan] = {}
        self._by_head: tuple[Tensor, Tensor] | None = None
        self._orders = orders
        self.run = 0

    def alone(self, head: int) -> ScanPlan:
        """Return the plan of one head by itself."""
        if self.heads == 1:
            return self
        if head not in self._alone:
            self._alone[head] = ScanPlan([self._orders[head]], self.steps.device, self.length)
        return self._alone[head]

    def by_head(self) -> tuple[Tensor, Tensor]:
        """Return what a kernel needs that works on one head, in half the bytes of `steps`.

        Returns
        -------
        order : Tensor, shape (h, M, L), int32
            The token read at each step; T where a chunk is padded.
        follows : Tensor, shape (h, M), int8
            1 where a chunk continues the sequence of the chunk before it.
        """
        if self._by_head is None:
            order = self.steps.permute(2, 1, 0).to(torch.int32).contiguous()  # (h, M, L)
            owner = self.sequence.T.contiguous()  # (h, M)
            follows = torch.zeros_like(owner, dtype=torch.int8)
            follows[:, 1:] = (owner[:, 1:] == owner[:, :-1]) & (owner[:, 1:] >= 0)
            self._by_head = order, follows
        return self._by_head

    def rows(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return flat row numbers that gather a batch onto the slab and back.

        Returns
        -------
        onto : Tensor, shape (2 * L * B * M * h,)
            Rows of a (2 * B * T * h + 1, c) matrix whose last row is the padding.
        back : Tensor, shape (B * T * h,)
            Rows of the (L * B * M * h, c) half of a slab.
        """
        if batch not in self._rows:
            if len(self._rows) > 7:  # training and tiling use one or two batch sizes
                self._rows.clear()
            self._rows[batch] = self._build_rows(batch)
        return self._rows[batch]

    def _build_rows(self, batch: int) -> tuple[Tensor, Tensor]:
        device = self.steps.device
        image = torch.arange(batch, device=device)
        head = torch.arange(self.heads, device=device)
        half = torch.arange(2, device=device)[:, None, None, None, None] * batch * self.tokens
        token = self.steps[:, None] + image[:, None, None] * self.tokens + half  # (2, L, B, M, h)
        onto = token * self.heads + head
        # Padding of either half reads the one zero row behind all others.
        onto[:, (self.steps == self.tokens)[:, None].expand(token.shape[1:])] = (
            2 * batch * self.tokens * self.heads
        )
        step, chunk = self.place // self.chunks, self.place % self.chunks  # (T, h)
        back = (step * batch + image[:, None, None]) * self.chunks + chunk  # (B, T, h)
        return onto.reshape(-1), (back * self.heads + head).reshape(-1)

    def joins(self, distance: int) -> Tensor:
        """Return 1 where chunks m and m + `distance` are of one sequence, else 0.

        Returns
        -------
        Tensor, shape (2, 1, 1, M - distance, h, 1)
            Read forwards, and backwards.
        """
        if distance not in self._joins:
            same = self.sequence[distance:] == self.sequence[: self.chunks - distance]
            both = torch.stack((same, same.flip(0)))
            self._joins[distance] = both[:, None, None, :, :, None].to(torch.float32)
        return self._joins[distance]


def _lay_out(sequences: Sequence[Order], length: int, tokens: int) -> tuple[Order, Order]:
    """Cut sequences into chunks: tokens (M, L), padded with T, and the owner of each chunk (M,)."""
    visits = np.concatenate([np.asarray(sequence) for sequence in sequences])
    if not np.array_equal(np.sort(visits), np.arange(tokens)):
        raise ValueError(f"an order must visit each of the {tokens} tokens once")
    counts = [-(-len(sequence) // length) for sequence in sequences]
    layout = np.full((sum(counts), length), tokens, np.int64)
    start = 0
    for sequence, count in zip(sequences, counts, strict=True):
        layout[start : start + count].reshape(-1)[: len(sequence)] = sequence
        start += count
    return layout, np.repeat(np.arange(len(sequences)), counts)


def _ways(length: int, halvings: int, span: int) -> Tensor:
    """List the steps over which states are carried: by halving a chunk, then by doubling."""
    inside = [2**i for i in range(halvings + 1)]
    across = [length * 2**i for i in range(span.bit_length())]
    return torch.tensor([*inside, *across], dtype=torch.float32)[:, None, None]


def _places(steps: Order, tokens: int) -> Order:
    """Invert `steps` (L, M, h): for each token its position l * M + m, shape (T, h)."""
    flat = steps.reshape(-1, steps.shape[2])
    place = np.empty((tokens + 1, flat.shape[1]), np.int64)
    for head in range(flat.shape[1]):
        place[flat[:, head], head] = np.arange(len(flat))
    return np.ascontiguousarray(place[:tokens])


@lru_cache(maxsize=64)
def line_plan(tokens: int, sequences: int = 1, device: torch.device | None = None) -> ScanPlan:
    """Return a one-head plan that reads `sequences` equal runs of tokens in the order they lie.

    Parameters
    ----------
    tokens : int
        Steps of each run.
    sequences : int
        Runs, one after the other.
    device : torch.device, optional
        Where the index tensors live.
    """
    runs = np.arange(tokens * sequences).reshape(sequences, tokens)
    plan = ScanPlan([tuple(runs)], device=device, length=tokens if tokens <= 8 else None)
    plan.run = tokens
    return plan
