"""Load much in a worker thread without stopping the window: the garbage collector rests.

A large import makes some hundred thousand objects that stay. Python takes so many for a reason to
search the whole process for garbage, again and again. Beside napari and torch each search takes
0.1 to 0.2 s, and no thread runs meanwhile, that of the window included.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_loading = 0  # blocks under way, in any thread
_collects = False  # whether the collector is to be switched on again


@contextmanager
def quietly() -> Iterator[None]:
    """Let no search for garbage start in this block; what it made counts as old afterwards.

    For imports and the like, which leave little garbage. Blocks of several threads may overlap.
    """
    global _loading, _collects
    with _lock:
        if _loading == 0:
            _collects = gc.isenabled()
            gc.disable()
        _loading += 1
    try:
        yield
    finally:
        with _lock:
            _loading -= 1
            if _loading == 0 and _collects:
                _count_as_old()
                gc.enable()


def _count_as_old() -> None:
    """Move all young objects to the oldest generation, as if they had survived long enough.

    Else the first search after the block would be the one that was avoided.
    """
    if gc.get_freeze_count() == 0:  # else somebody froze objects and wants them to stay so
        gc.freeze()
        gc.unfreeze()
