"""Files of figures that several programs fill side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold a file of figures while it is read, changed and written; others wait.

    The lock is a file beside it: the file itself is replaced when it is written.
    """
    with portalocker.Lock(path.with_name(f"{path.name}.lock"), "a"):
        yield
