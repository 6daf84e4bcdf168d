"""Where the network runs: found out once, with a way back to the processor."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PROBE_SECONDS = 20
PROBE = (
    "import torch; torch.nn.Conv2d(3, 8, 3).cuda()(torch.ones(1, 3, 32, 32).cuda()).sum().item()"
)


def choose_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """Choose where to run.

    Parameters
    ----------
    wanted : {"auto", "cpu", "cuda", "mps"}
        "auto" takes a working CUDA device, otherwise the processor.

    Returns
    -------
    device : torch.device
        One that works.
    note : str
        Why it is not the wanted one; empty if it is.

    Raises
    ------
    ValueError
        If there is no such choice.
    """
    if wanted not in DEVICES:
        raise ValueError(f'device must be one of {", ".join(DEVICES)}, got "{wanted}"')
    if wanted == "mps":
        works = torch.backends.mps.is_available()
        return _or_processor("mps", "" if works else "no Metal device")
    if wanted == "cpu" or (wanted == "auto" and not _cuda_present()):
        return torch.device("cpu"), ""
    return _or_processor("cuda:0", cuda_fault() if _cuda_present() else "no CUDA device")


@functools.cache
def cuda_fault() -> str:
    """Return why CUDA does not work here, empty if it does; asked once per session.

    A broken driver may hang or kill whoever calls it, so a child process tries it.
    """
    try:
        subprocess.run(
            [sys.executable, "-c", PROBE], check=True, capture_output=True, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {PROBE_SECONDS} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the trial ended with code {error.returncode}"
    except OSError as error:
        return f"no trial possible: {error}"
    return ""


def limit_threads(wanted: int | None = None) -> int:
    """Set the threads of PyTorch and return how many there were.

    Parameters
    ----------
    wanted : int, optional
        At least 1; by default one less than PyTorch would take, so that the window stays usable.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, _DEFAULT_THREADS - 1 if wanted is None else wanted))
    return before


@contextmanager
def limited_threads(wanted: int | None = None) -> Iterator[None]:
    """Limit the threads of PyTorch, as `limit_threads` does, while the block lasts."""
    before = limit_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def half_precision(device: torch.device) -> torch.autocast:
    """Return a context in which a CUDA device multiplies in bfloat16; elsewhere it does nothing.

    Weights, sums and the loss stay in 32 bits; bfloat16 has their range, so nothing is rescaled.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _cuda_present() -> bool:
    return torch.version.cuda is not None and torch.cuda.is_available()


def _or_processor(device: str, fault: str) -> tuple[torch.device, str]:
    if not fault:
        return torch.device(device), ""
    return torch.device("cpu"), f"{device} cannot be used ({fault}): running on the processor."


# One per physical core unless the user's environment says otherwise (OMP_NUM_THREADS).
_DEFAULT_THREADS = torch.get_num_threads()
