"""Children of a warm process, to be killed: what they said until then can be read afterwards."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

Say = Callable[..., None]


class Forked:
    """A child that works until it ends or is killed.

    Forking after all imports makes a child in milliseconds; it leaves by `os._exit`, so nothing
    that the parent registered runs twice.

    Parameters
    ----------
    work : callable
        What the child does, given a function that tells the parent keywords as JSON.
    """

    def __init__(self, work: Callable[[Say], None]) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._read)
            os._exit(_child(work, write))
        os.close(write)
        self._heard = b""

    def wait_for_word(self) -> None:
        """Wait until the child said something, or ended."""
        self._heard += os.read(self._read, 1)

    def kill(self) -> float:
        """Kill the child as a power cut would; return the UTC time just before."""
        now = time.time()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return now

    def end(self) -> int:
        """Wait until the child ended by itself; return its status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def said(self) -> list[dict[str, Any]]:
        """Return all that the child said, once it is dead."""
        with os.fdopen(self._read, "rb") as pipe:
            lines = (self._heard + pipe.read()).split(b"\n")
        return [json.loads(line) for line in lines[:-1]]  # the last one is empty or cut


def _child(work: Callable[[Say], None], pipe: int) -> int:
    def say(**values: Any) -> None:
        os.write(pipe, json.dumps(values).encode() + b"\n")

    try:
        work(say)
    except BaseException:  # whatever it is, the parent's own clean-up must not run here
        traceback.print_exc()
        return 1
    return 0
