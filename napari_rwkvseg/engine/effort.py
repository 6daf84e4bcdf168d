"""How much a run asks of the machine, and how it asks for less when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from napari_rwkvseg.errors import RwkvSegError

SMALLEST_TILE = 128
RETREATS = 6

T = TypeVar("T")


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


def or_on_processor(work: Callable[[torch.device], T], device: torch.device) -> T:
    """Return what some work gives on a device; if memory runs out there, on the processor.

    It begins anew after the error, and with it all that its traceback held, is gone.
    """
    try:
        return work(device)
    except (MemoryError, RuntimeError) as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    return work(torch.device("cpu"))


@contextmanager
def enough_to_retrain(name: str) -> Iterator[None]:
    """Turn running out of memory while a model is retrained or compared into a sentence.

    Raises
    ------
    RwkvSegError
        That names the model.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RwkvSegError(
            f"{name}: not enough memory to retrain, even bit by bit on the processor. "
            "Close other programs, or start from a model whose name ends in -tiny."
        ) from error
