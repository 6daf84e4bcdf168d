"""Compile the kernels of the Triton path for a GPU that need not be there; print their names.

In the shapes of a network's levels: where several warps share a tile, other code is made than where
one has it for itself.
"""

from __future__ import annotations

import sys
from typing import Any

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from napari_rwkvseg.wkv.plan import line_plan
from napari_rwkvseg.wkv.triton_backward import differentiate, sum_pulls
from napari_rwkvseg.wkv.triton_forward import carry, mix, sum_weights
from napari_rwkvseg.wkv.triton_scan import Blocks, warps

GRIDS = ("key", "value", "gradient", "result", "by_key", "by_value")
NUMBERS = ("decay", "fade", "own", "top", "tops", "total", "states", "pulls", "by_channel")
WIDTHS = (8, 32)  # channels per head, of the first and of the last level
PLAN = line_plan(4096)


def kind(argument: str) -> str:
    """Return the type of an argument of a kernel, as Triton spells it."""
    if argument.isupper():
        return "constexpr"
    pointers = dict.fromkeys(GRIDS, "*bf16") | dict.fromkeys(NUMBERS, "*fp32")
    return (pointers | {"order": "*i32", "follows": "*i8"}).get(argument, "i32")


def build(kernel: Any, num_warps: int, **constants: object) -> None:
    """Compile one kernel, down to machine code."""
    names = kernel.arg_names
    source = ASTSource(
        fn=kernel,
        signature={name: kind(name) for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    target, options = GPUTarget("cuda", 90, 32), {"num_warps": num_warps}
    binary = compile_kernel(source, target=target, options=options)
    sys.stdout.write(f"{kernel.__name__} {constants['WIDTH']}\n" if binary.asm["cubin"] else "")


def build_all(width: int) -> None:
    """Compile all kernels for heads of some width."""
    blocks = Blocks.fit(PLAN, width)
    head = {"HEAD_WIDTH": width, "LENGTH": PLAN.length, "WIDTH": blocks.width}
    tile = {**head, "QUADS": blocks.quads, "ROWS": blocks.rows}
    few, many = (warps(blocks.rows * blocks.width, per_thread) for per_thread in (4, 2))
    carriers = warps(blocks.carried * blocks.width, 8)
    build(sum_weights, few, **tile)
    build(carry, carriers, **head, OF_TILE=blocks.chunks, CHUNKS=blocks.carried)
    build(mix, few, **tile, CARRIED=True, KEPT=True)
    build(sum_pulls, few, **tile)
    build(differentiate, many, **tile, CARRIED=True)


if __name__ == "__main__":
    for width in WIDTHS:
        build_all(width)
