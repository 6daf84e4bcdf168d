from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter, without what makes it slow.

    It scans number by number, and prepares its language again for each call of a function inside a
    kernel. Here scans double, as on a GPU: all pairs of runs are joined at once, and then all pairs
    of these; and the language is prepared once per launch, as the interpreter does anyway, and for
    Triton's own functions once per test.
    """
    from triton.runtime import interpreter as triton_interpreter

    prepared: set[str] = set()

    def call(function: Any, *arguments: Any, **named: Any) -> Any:
        module = function.fn.__module__
        if module.startswith("triton.") and module not in prepared:
            prepared.add(module)
            triton_interpreter._patch_lang(function.fn)
        return function.rewrite()(*arguments, **named)

    monkeypatch.setattr(triton_interpreter.InterpretedFunction, "__call__", call)
    monkeypatch.setattr(triton_interpreter.ScanOps, "generic_scan", scan_by_doubling)


def scan_by_doubling(scan: Any, inputs: Any) -> list[Any]:
    """Scan tensors along their first axis."""
    kinds, runs = [x.dtype for x in inputs], [x.handle.data for x in inputs]
    distance = 1
    while distance < len(runs[0]):
        earlier = [np.zeros_like(run) for run in runs]
        for shifted, run in zip(earlier, runs, strict=True):
            shifted[distance:] = run[:-distance]
        pairs = zip(earlier + runs, kinds * 2, strict=True)
        joined = scan.combine_fn.fn(*[scan.to_tensor(*pair) for pair in pairs])
        runs = [
            np.concatenate((run[:distance], pair.handle.data[distance:]))
            for run, pair in zip(runs, joined, strict=True)
        ]
        distance *= 2
    return [scan.to_tensor(run, kind) for run, kind in zip(runs, kinds, strict=True)]
