"""Import torch in a worker thread without stopping the window.

An import statement holds the interpreter while the system links a library, and torch's largest
takes a third of a second. A foreign call does not hold it, so the libraries are opened by one
first; the import then finds them open.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from napari_rwkvseg.engine.quiet import quietly

LIBRARIES = ("c10", "torch_cpu", "torch", "torch_python")  # each needs those before it


def load_torch() -> None:
    """Import torch; other threads go on meanwhile. At once if it is imported already.

    Raises
    ------
    ImportError
        If torch is not installed or broken.
    """
    if "torch" not in sys.modules and os.name == "posix":
        for path in torch_libraries():
            open_library(path)
    with quietly():
        import_module("torch")


def load_optimisers() -> None:
    """Import what torch's optimisers import, so that a window survives it.

    The first optimiser imports torch's compiler, and that tries Triton. Triton brings an LLVM of
    its own, and so does the software and AMD OpenGL of Linux: the second one to be loaded crashes
    the process. Triton is of use on a CUDA device only, so elsewhere it is hidden meanwhile.
    """
    load_torch()
    import torch

    if "triton" in sys.modules or torch.cuda.is_available():
        import_module("torch._dynamo")
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # makes its import fail, as documented
    try:
        import_module("torch._dynamo")
    finally:
        del sys.modules["triton"]


def torch_libraries() -> Iterator[Path]:
    """Yield torch's own shared libraries that are there, in the order in which they load."""
    found = importlib.util.find_spec("torch")
    for folder in (found and found.submodule_search_locations) or ():
        for name in LIBRARIES:
            path = Path(folder) / "lib" / f"lib{name}{_suffix()}"
            if path.is_file():
                yield path


def _suffix() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"


def open_library(path: Path) -> bool:
    """Open a shared library by a foreign call; return whether it opened.

    ``ctypes.CDLL(path)`` would do the same while holding the interpreter.
    """
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    return bool(dlopen(os.fsencode(path), os.RTLD_NOW))
