"""How much a run asks of the machine, and how it asks for less when memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

SMALLEST_TILE = 128
RETREATS = 6


@dataclass(frozen=True)
class Effort:
    """What is computed at a time.

    Attributes
    ----------
    batch : int
        Tiles at a time.
    tile : int
        Side of a tile, pixels.
    device : torch.device
        Where.
    """

    batch: int
    tile: int
    device: torch.device

    def less(self, full_tile: int) -> Effort | None:
        """Return the next smaller effort: half the batch, half the tile, then the processor.

        Parameters
        ----------
        full_tile : int
            Side to start with again on the processor, which has memory of its own.

        Returns
        -------
        Effort or None
            None if there is nothing smaller.
        """
        if self.batch > 1:
            return replace(self, batch=self.batch // 2)
        if self.tile > SMALLEST_TILE:
            return replace(self, tile=max(SMALLEST_TILE, self.tile // 2))
        if self.device.type != "cpu":
            return Effort(1, full_tile, torch.device("cpu"))
        return None

    def describe(self, before: Effort) -> str:
        """Return the note that says what became smaller."""
        if self.device != before.device:
            return "not enough memory on the graphics card: went on with the processor."
        if self.batch != before.batch:
            tiles = "one tile" if self.batch == 1 else f"{self.batch} tiles"
            return f"not enough memory: went on with {tiles} at a time."
        return f"not enough memory: went on with tiles of {self.tile} pixels."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
