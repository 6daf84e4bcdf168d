"""What the kernels of the Triton path share: where a program works, what it reads, how it walks.

A tile is (ROWS, WIDTH): a row holds four steps of a chunk that follow each other, a quad, and is
spelt out as four variables, one per step, because a thread walks along its own variables for
nothing, while walking from row to row costs messages between threads. Letters as in `plan.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

# As in `slab.py`: exp(-80) is still a normal float32, so that no denominator vanishes.
SMALLEST_LOG_WEIGHT = tl.constexpr(-80.0)
# Below every key, yet finite: infinity minus infinity is not a number.
LOWEST = tl.constexpr(-3e38)


@triton.jit
def locate(
    tiles: tl.tensor, heads: tl.tensor, width: tl.tensor, WIDTH: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Return image, tile and head of this program, its channels, and which of them exist.

    Heads change first: they read other parts of the same tokens while these are in the cache.
    """
    blocks = tl.cdiv(width, WIDTH)
    program = tl.program_id(0)
    block = program % blocks
    head = program // blocks % heads
    tile = program // (blocks * heads) % tiles
    # Beyond 2^31 numbers positions need 64 bits; each is a product of one of these two.
    image = (program // (blocks * heads * tiles)).to(tl.int64)
    inner = block * WIDTH + tl.arange(0, WIDTH)
    return image, tile, head.to(tl.int64), head * width + inner, inner < width


@triton.jit
def read_order(
    order: tl.tensor,
    head: tl.tensor,
    tile: tl.tensor,
    tokens: tl.tensor,
    chunks: tl.tensor,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Return chunk and quad of each row, its four tokens (T where there is none), and the chunk's last."""
    row = tl.arange(0, ROWS)
    chunk, quad = tile * (ROWS // QUADS) + row // QUADS, row % QUADS
    inside = chunk < chunks
    start = order + (head * chunks + chunk) * LENGTH
    step = quad * 4
    token0 = tl.load(start + step, mask=inside & (step < LENGTH), other=tokens)
    token1 = tl.load(start + step + 1, mask=inside & (step + 1 < LENGTH), other=tokens)
    token2 = tl.load(start + step + 2, mask=inside & (step + 2 < LENGTH), other=tokens)
    token3 = tl.load(start + step + 3, mask=inside & (step + 3 < LENGTH), other=tokens)
    last = tl.load(start + LENGTH - 1, mask=inside, other=tokens)
    return chunk, quad, token0, token1, token2, token3, last


@triton.jit
def exists(token: tl.tensor, tokens: tl.tensor, known: tl.tensor) -> tl.tensor:
    """Return which numbers of a tile exist, (ROWS, WIDTH)."""
    return (token < tokens)[:, None] & known[None, :]


@triton.jit
def load_rows(
    column: tl.tensor, stride: tl.tensor, row: tl.tensor, mask: tl.tensor, other: tl.tensor
) -> tl.tensor:
    """Load rows of the channels that `column` points to, (ROWS, WIDTH), as float32."""
    at = column[None, :] + row[:, None].to(tl.int64) * stride
    return tl.load(at, mask=mask, other=other).to(tl.float32)


@triton.jit
def store_rows(
    column: tl.tensor, stride: tl.tensor, row: tl.tensor, mask: tl.tensor, numbers: tl.tensor
) -> None:
    """Store rows of the channels that `column` points to, as what is stored there."""
    tl.store(column[None, :] + row[:, None].to(tl.int64) * stride, numbers, mask=mask)


@triton.jit
def weigh(
    key: tl.tensor,
    values: tl.tensor,
    value_stride: tl.tensor,
    token: tl.tensor,
    mask: tl.tensor,
    largest: tl.tensor,
) -> tuple[tl.tensor, tl.tensor]:
    """Return E v and E for keys that are loaded already; padding has no weight."""
    relative = tl.maximum(key - largest, SMALLEST_LOG_WEIGHT)
    weight = tl.where(mask, tl.exp(relative), 0.0)
    return weight * load_rows(values, value_stride, token, mask, 0.0), weight


@triton.jit
def pull_of(
    gradients: tl.tensor,
    gradient_stride: tl.tensor,
    results: tl.tensor,
    totals: tl.tensor,
    stride: tl.tensor,
    token: tl.tensor,
    mask: tl.tensor,
) -> tuple[tl.tensor, tl.tensor]:
    """Return p = g / den and q = -p y; padding does not pull."""
    pull = load_rows(gradients, gradient_stride, token, mask, 0.0)
    pull /= load_rows(totals, stride, token, mask, 1.0)
    return pull, -pull * load_rows(results, stride, token, mask, 0.0)


@triton.jit
def largest_of(key0: tl.tensor, key1: tl.tensor, key2: tl.tensor, key3: tl.tensor) -> tl.tensor:
    """Return the largest key of a tile, (1, WIDTH)."""
    largest = tl.maximum(tl.maximum(key0, key1), tl.maximum(key2, key3))
    return tl.max(largest, axis=0)[None, :]


@triton.jit
def enter(
    column: tl.tensor,
    half: tl.tensor,
    stride: tl.tensor,
    chunk: tl.tensor,
    border: tl.tensor,
    CARRIED: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Return both halves of the state in which chunks are entered at their `border`, else 0."""
    weighted = tl.zeros(border.shape, tl.float32)
    weight = tl.zeros(border.shape, tl.float32)
    if CARRIED:
        weighted = load_rows(column, stride, chunk, border, 0.0)
        weight = load_rows(column + half, stride, chunk, border, 0.0)
    return weighted, weight


@triton.jit
def walk(
    f0: tl.tensor,
    f1: tl.tensor,
    f2: tl.tensor,
    f3: tl.tensor,
    x0: tl.tensor,
    x1: tl.tensor,
    x2: tl.tensor,
    x3: tl.tensor,
    z0: tl.tensor,
    z1: tl.tensor,
    z2: tl.tensor,
    z3: tl.tensor,
    x_in: tl.tensor,
    z_in: tl.tensor,
    border: tl.tensor,
    BACKWARDS: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """Return the states before each of four steps that fade by f and add [x | z].

    To walk backwards, hand the steps in reversed. At the `border`, where a chunk is entered, the
    state is [x_in | z_in], which is 0 elsewhere: one scan serves all chunks of a tile.
    """
    fade = tl.where(border, 0.0, f0 * f1 * f2 * f3)
    x_out = (((x_in * f0 + x0) * f1 + x1) * f2 + x2) * f3 + x3
    z_out = (((z_in * f0 + z0) * f1 + z1) * f2 + z2) * f3 + z3
    _, x_out, z_out = tl.associative_scan((fade, x_out, z_out), 0, join_rows, BACKWARDS)
    rows: tl.constexpr = x_out.shape[0]
    row = tl.arange(0, rows)
    row = tl.minimum(row + 1, rows - 1) if BACKWARDS else tl.maximum(row - 1, 0)
    before = row[:, None] + tl.zeros(x_out.shape, tl.int32)
    x_in = tl.where(border, x_in, tl.gather(x_out, before, 0))
    z_in = tl.where(border, z_in, tl.gather(z_out, before, 0))
    x1, z1 = (x_in * f0 + x0) * f1 + x1, (z_in * f0 + z0) * f1 + z1
    x0, z0 = x_in * f0 + x0, z_in * f0 + z0
    return x_in, x0, x1, x1 * f2 + x2, z_in, z0, z1, z1 * f2 + z2


@triton.jit
def reach(
    decay: tl.tensor,
    quad: tl.tensor,
    token0: tl.tensor,
    last: tl.tensor,
    tokens: tl.tensor,
    LENGTH: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Return how much of a quad reaches the end of its chunk, and its beginning, (ROWS, WIDTH).

    What nobody will read is 1, or growth (w' < 0) over steps that do not exist might be infinite:
    the end of a chunk that is not full, and the beginning from where there are no tokens.
    """
    to_end = tl.where(last < tokens, tl.maximum(LENGTH - 4 - 4 * quad, 0), 0)
    to_start = tl.where(token0 < tokens, 4 * quad, 0)
    return tl.exp(-decay * to_end[:, None]), tl.exp(-decay * to_start[:, None])


@triton.jit
def store_sums(
    states: tl.tensor,
    other_side: tl.tensor,
    stride: tl.tensor,
    chunk: tl.tensor,
    chunks: tl.tensor,
    known: tl.tensor,
    fade0: tl.tensor,
    fade1: tl.tensor,
    fade2: tl.tensor,
    fade3: tl.tensor,
    adds0: tl.tensor,
    adds1: tl.tensor,
    adds2: tl.tensor,
    adds3: tl.tensor,
    to_end: tl.tensor,
    to_start: tl.tensor,
    QUADS: tl.constexpr,
) -> None:
    """Store what chunks add to the state after them with the next chunk, and the other way round."""
    shape: tl.constexpr = (adds0.shape[0] // QUADS, QUADS, adds0.shape[1])
    after = ((adds0 * fade1 + adds1) * fade2 + adds2) * fade3 + adds3
    before = ((adds3 * fade2 + adds2) * fade1 + adds1) * fade0 + adds0
    after = tl.sum(tl.reshape(after * to_end, shape), axis=1)  # (chunks of a tile, WIDTH)
    before = tl.sum(tl.reshape(before * to_start, shape), axis=1)
    has_next, has_last = chunk < chunks - 1, (chunk > 0) & (chunk < chunks)
    store_rows(states, stride, chunk + 1, has_next[:, None] & known[None, :], after)
    store_rows(states + other_side, stride, chunk - 1, has_last[:, None] & known[None, :], before)


@triton.jit
def join_rows(
    fade: tl.tensor,
    x: tl.tensor,
    z: tl.tensor,
    next_fade: tl.tensor,
    next_x: tl.tensor,
    next_z: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Join two runs of steps."""
    return fade * next_fade, x * next_fade + next_x, z * next_fade + next_z


@triton.jit
def join_chunks(
    log_fade: tl.tensor,
    x: tl.tensor,
    z: tl.tensor,
    next_log_fade: tl.tensor,
    next_x: tl.tensor,
    next_z: tl.tensor,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Join two runs of chunks.

    Exponents are added up: powers of a rounded f would be wrong after thousands of chunks.
    """
    fade = tl.exp(next_log_fade)
    return log_fade + next_log_fade, x * fade + next_x, z * fade + next_z
