"""Compile the kernels of the Triton path for a GPU that need not be there; print their names."""

from __future__ import annotations

import sys
from typing import Any

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from napari_rwkvseg.wkv.triton_backward import differentiate, sum_pulls
from napari_rwkvseg.wkv.triton_forward import carry, mix, sum_weights

GRIDS = ("key", "value", "gradient", "result", "by_key", "by_value")
NUMBERS = ("decay", "fade", "own", "top", "tops", "total", "states", "pulls", "by_channel")
TILE = {"LENGTH": 8, "QUADS": 2, "ROWS": 4, "WIDTH": 16}


def kind(argument: str) -> str:
    """Return the type of an argument of a kernel, as Triton spells it."""
    if argument.isupper():
        return "constexpr"
    pointers = dict.fromkeys(GRIDS, "*bf16") | dict.fromkeys(NUMBERS, "*fp32")
    return (pointers | {"order": "*i32", "follows": "*i8"}).get(argument, "i32")


def build(kernel: Any, **constants: object) -> None:
    """Compile one kernel, down to machine code."""
    names = kernel.arg_names
    source = ASTSource(
        fn=kernel,
        signature={name: kind(name) for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    binary = compile_kernel(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 1})
    sys.stdout.write(f"{kernel.__name__}\n" if binary.asm["cubin"] else "")


if __name__ == "__main__":
    build(sum_weights, **TILE)
    build(carry, LENGTH=8, OF_TILE=2, CHUNKS=4, WIDTH=16)
    build(mix, **TILE, CARRIED=True, KEPT=True)
    build(sum_pulls, **TILE)
    build(differentiate, **TILE, CARRIED=True)
