"""What the kernels of the Triton path share: where a program works, what it reads, how it walks.

A tile is (ROWS, WIDTH): a row holds four steps of a chunk that follow each other, a quad, as a
tuple of four tensors, because a thread walks along its own variables for nothing, while walking
from row to row costs messages between threads. Letters as in `plan.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

# As in `slab.py`: exp(-80) is still a normal float32, so that no denominator vanishes.
SMALLEST_LOG_WEIGHT = tl.constexpr(-80.0)
# As there, too: no weight is left where there is padding, and it must be divided by something.
SMALLEST_TOTAL = tl.constexpr(1e-37)
# Below every key, yet finite: infinity minus infinity is not a number.
LOWEST = tl.constexpr(-3e38)


@triton.jit
def locate(
    tiles: tl.tensor, heads: tl.tensor, HEAD_WIDTH: tl.constexpr, WIDTH: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Return image, tile and head of this program, its channels, and which of them exist.

    Heads change first: they read other parts of the same tokens while these are in the cache.
    """
    blocks = tl.cdiv(HEAD_WIDTH, WIDTH)
    program = tl.program_id(0)
    block = program % blocks
    head = program // blocks % heads
    tile = program // (blocks * heads) % tiles  # one axis of programs: the others end at 65535
    # Beyond 2^31 numbers positions need 64 bits; each is a product of one of these two.
    image = (program // (blocks * heads * tiles)).to(tl.int64)
    inner = block * WIDTH + tl.arange(0, WIDTH)
    return image, tile, head.to(tl.int64), head * HEAD_WIDTH + inner, inner < HEAD_WIDTH


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
) -> tuple[tl.tensor, tl.tensor, tl.tuple, tl.tensor]:
    """Return chunk and quad of each row, its four tokens, and the last token of its chunk.

    Where there is no token, it is T.
    """
    row = tl.arange(0, ROWS)
    chunk, quad = tile * (ROWS // QUADS) + row // QUADS, row % QUADS
    inside = chunk < chunks
    start = order + (head * chunks + chunk) * LENGTH
    step = quad * 4
    # 4 bytes per token and head: little beside the keys and values that are found with them.
    t0 = tl.load(start + step, mask=inside & (step < LENGTH), other=tokens)
    t1 = tl.load(start + step + 1, mask=inside & (step + 1 < LENGTH), other=tokens)
    t2 = tl.load(start + step + 2, mask=inside & (step + 2 < LENGTH), other=tokens)
    t3 = tl.load(start + step + 3, mask=inside & (step + 3 < LENGTH), other=tokens)
    last = tl.load(start + LENGTH - 1, mask=inside, other=tokens)
    return chunk, quad, (t0, t1, t2, t3), last


@triton.jit
def exists(row: tl.tensor, rows: tl.tensor, known: tl.tensor) -> tl.tensor:
    """Return which numbers of a tile exist, (ROWS, WIDTH)."""
    return (row < rows)[:, None] & known[None, :]


@triton.jit
def load_rows(
    column: tl.tensor, stride: tl.tensor, row: tl.tensor, mask: tl.tensor, other: tl.tensor
) -> tl.tensor:
    """Load rows of the channels that `column` points to, (ROWS, WIDTH), as float32."""
    at = column[None, :] + row[:, None].to(tl.int64) * stride
    # `other` comes in here, as it may not be a number of the dtype that is stored.
    return tl.where(mask, tl.load(at, mask=mask, other=0.0).to(tl.float32), other)


@triton.jit
def store_rows(
    column: tl.tensor, stride: tl.tensor, row: tl.tensor, mask: tl.tensor, numbers: tl.tensor
) -> None:
    """Store rows of the channels that `column` points to, as what is stored there."""
    tl.store(column[None, :] + row[:, None].to(tl.int64) * stride, numbers, mask=mask)


@triton.jit
def load_quad(
    column: tl.tensor,
    stride: tl.tensor,
    token: tl.tuple,
    tokens: tl.tensor,
    known: tl.tensor,
    other: tl.tensor,
) -> tl.tuple:
    """Load what four tokens hold; `other` where there is none."""
    t0, t1, t2, t3 = token
    # None waits for another: four rows of all channels are under way at once.
    x0 = load_rows(column, stride, t0, exists(t0, tokens, known), other)
    x1 = load_rows(column, stride, t1, exists(t1, tokens, known), other)
    x2 = load_rows(column, stride, t2, exists(t2, tokens, known), other)
    x3 = load_rows(column, stride, t3, exists(t3, tokens, known), other)
    return x0, x1, x2, x3


@triton.jit
def store_quad(
    column: tl.tensor,
    stride: tl.tensor,
    token: tl.tuple,
    tokens: tl.tensor,
    known: tl.tensor,
    x: tl.tuple,
) -> None:
    """Store what four tokens are to hold."""
    t0, t1, t2, t3 = token
    x0, x1, x2, x3 = x
    store_rows(column, stride, t0, exists(t0, tokens, known), x0)
    store_rows(column, stride, t1, exists(t1, tokens, known), x1)
    store_rows(column, stride, t2, exists(t2, tokens, known), x2)
    store_rows(column, stride, t3, exists(t3, tokens, known), x3)


@triton.jit
def only_where(token: tl.tuple, tokens: tl.tensor, x: tl.tuple, other: tl.tensor) -> tl.tuple:
    """Return x at four steps, and `other` where there is no token."""
    t0, t1, t2, t3 = token
    x0, x1, x2, x3 = x
    return (
        tl.where((t0 < tokens)[:, None], x0, other),
        tl.where((t1 < tokens)[:, None], x1, other),
        tl.where((t2 < tokens)[:, None], x2, other),
        tl.where((t3 < tokens)[:, None], x3, other),
    )


@triton.jit
def times(x: tl.tuple, z: tl.tuple) -> tl.tuple:
    """Multiply at four steps."""
    return x[0] * z[0], x[1] * z[1], x[2] * z[2], x[3] * z[3]


@triton.jit
def plus(x: tl.tuple, z: tl.tuple) -> tl.tuple:
    """Add at four steps."""
    return x[0] + z[0], x[1] + z[1], x[2] + z[2], x[3] + z[3]


@triton.jit
def over(x: tl.tuple, z: tl.tuple) -> tl.tuple:
    """Divide at four steps, by something even where there is no token."""
    return (
        x[0] / tl.maximum(z[0], SMALLEST_TOTAL),
        x[1] / tl.maximum(z[1], SMALLEST_TOTAL),
        x[2] / tl.maximum(z[2], SMALLEST_TOTAL),
        x[3] / tl.maximum(z[3], SMALLEST_TOTAL),
    )


@triton.jit
def sum_of(x: tl.tuple) -> tl.tensor:
    """Sum over all steps of a tile, (WIDTH,)."""
    # Within a thread first: only a quarter is left for threads to tell each other.
    return tl.sum((x[0] + x[1]) + (x[2] + x[3]), axis=0)


@triton.jit
def largest_of(x: tl.tuple) -> tl.tensor:
    """Return the largest over all steps of a tile, (WIDTH,)."""
    return tl.max(tl.maximum(tl.maximum(x[0], x[1]), tl.maximum(x[2], x[3])), axis=0)


@triton.jit
def weight_of(key: tl.tensor, largest: tl.tensor) -> tl.tensor:
    """Return E; padding, which is below every key, has no weight."""
    relative = key - largest[None, :]
    # A key that is not a number must show in the result, as with the slab scan.
    relative = tl.maximum(relative, SMALLEST_LOG_WEIGHT, propagate_nan=tl.PropagateNan.ALL)
    return tl.where(key <= LOWEST, 0.0, tl.exp(relative))


@triton.jit
def weigh(key: tl.tuple, value: tl.tuple, largest: tl.tensor) -> tuple[tl.tuple, tl.tuple]:
    """Return E v and E at four steps; `largest` is what keys are relative to, (WIDTH,)."""
    k0, k1, k2, k3 = key
    e = (
        weight_of(k0, largest),
        weight_of(k1, largest),
        weight_of(k2, largest),
        weight_of(k3, largest),
    )
    return times(value, e), e


@triton.jit
def fades(
    fade: tl.tensor, channel: tl.tensor, known: tl.tensor, token: tl.tuple, tokens: tl.tensor
) -> tl.tuple:
    """Return f at four steps, and 1 where there is no token.

    So a state passes by steps that do not exist, and growth (w' < 0) cannot become infinite there.
    """
    f = tl.load(fade + channel, mask=known, other=1.0)[None, :]
    return only_where(token, tokens, (f, f, f, f), 1.0)


@triton.jit
def reach(
    decay: tl.tensor,
    quad: tl.tensor,
    first: tl.tensor,
    last: tl.tensor,
    tokens: tl.tensor,
    LENGTH: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Return how much of a quad reaches the end of its chunk, and its beginning, (ROWS, WIDTH).

    `first` is the first token of the quad, `last` that of the chunk. What nobody will read is 1,
    or growth (w' < 0) over steps that do not exist might be infinite: the end of a chunk that is
    not full, and the beginning from where there are no tokens.
    """
    to_end = tl.where(last < tokens, tl.maximum(LENGTH - 4 - 4 * quad, 0), 0)
    to_start = tl.where(first < tokens, 4 * quad, 0)
    return tl.exp(-decay * to_end[:, None]), tl.exp(-decay * to_start[:, None])


@triton.jit
def store_sums(
    column: tl.tensor,
    other_side: tl.tensor,
    stride: tl.tensor,
    tile: tl.tensor,
    chunks: tl.tensor,
    known: tl.tensor,
    fade: tl.tuple,
    x: tl.tuple,
    to_end: tl.tensor,
    to_start: tl.tensor,
    QUADS: tl.constexpr,
) -> None:
    """Store what chunks add to states after them at the next chunk, and the other way round."""
    f0, f1, f2, f3 = fade
    x0, x1, x2, x3 = x
    # Within a quad f is multiplied up three times; over the rest of the chunk `reach` knows better.
    count: tl.constexpr = x0.shape[0] // QUADS  # chunks of a tile
    width: tl.constexpr = x0.shape[1]
    # A state fades as it passes a step: the last one to add is not faded on its way out.
    after = (((x0 * f1 + x1) * f2 + x2) * f3 + x3) * to_end
    before = (((x3 * f2 + x2) * f1 + x1) * f0 + x0) * to_start
    after = tl.sum(tl.reshape(after, (count, QUADS, width)), axis=1)  # (count, WIDTH)
    before = tl.sum(tl.reshape(before, (count, QUADS, width)), axis=1)
    chunk = tile * count + tl.arange(0, count)
    has_next, has_last = chunk < chunks - 1, (chunk > 0) & (chunk < chunks)
    store_rows(column, stride, chunk + 1, has_next[:, None] & known[None, :], after)
    store_rows(column + other_side, stride, chunk - 1, has_last[:, None] & known[None, :], before)


@triton.jit
def walk(
    column: tl.tensor,
    half: tl.tensor,
    stride: tl.tensor,
    chunk: tl.tensor,
    border: tl.tensor,
    fade: tl.tuple,
    x: tl.tuple,
    z: tl.tuple,
    BACKWARDS: tl.constexpr,
    CARRIED: tl.constexpr,
) -> tuple[tl.tuple, tl.tuple]:
    """Return the states before each of four steps that fade by f and add [x | z].

    At the `border` of chunks, (ROWS, WIDTH), they come from the states that `column` points to, and
    nothing comes from the row before, so that one scan serves all chunks of a tile.
    """
    f0, f1, f2, f3 = turned(fade, BACKWARDS)
    x0, x1, x2, x3 = turned(x, BACKWARDS)
    z0, z1, z2, z3 = turned(z, BACKWARDS)
    x_in, z_in = tl.zeros(x0.shape, tl.float32), tl.zeros(x0.shape, tl.float32)
    if CARRIED:
        x_in = load_rows(column, stride, chunk, border, 0.0)
        z_in = load_rows(column + half, stride, chunk, border, 0.0)
    # What each row hands on by itself, and from its border if it has one ...
    x_out = (((x_in * f0 + x0) * f1 + x1) * f2 + x2) * f3 + x3
    z_out = (((z_in * f0 + z0) * f1 + z1) * f2 + z2) * f3 + z3
    inner = tl.where(border, 0.0, f0 * f1 * f2 * f3)
    _, x_out, z_out = tl.associative_scan((inner, x_out, z_out), 0, join_rows, BACKWARDS)

    # ... and, after the scan, in all. A row is entered with what the row before hands on: taking
    # its own part off its own sum instead would cancel where that part is nearly everything.
    rows: tl.constexpr = x0.shape[0]
    row = tl.arange(0, rows)
    row = tl.minimum(row + 1, rows - 1) if BACKWARDS else tl.maximum(row - 1, 0)
    before = row[:, None] + tl.zeros(x0.shape, tl.int32)
    x_in = tl.where(border, x_in, tl.gather(x_out, before, 0))
    z_in = tl.where(border, z_in, tl.gather(z_out, before, 0))
    x1, z1 = (x_in * f0 + x0) * f1 + x1, (z_in * f0 + z0) * f1 + z1
    x0, z0 = x_in * f0 + x0, z_in * f0 + z0
    left = turned((x_in, x0, x1, x1 * f2 + x2), BACKWARDS)
    return left, turned((z_in, z0, z1, z1 * f2 + z2), BACKWARDS)


@triton.jit
def turned(x: tl.tuple, BACKWARDS: tl.constexpr) -> tl.tuple:
    """Return four steps in the order in which they are walked."""
    return (x[3], x[2], x[1], x[0]) if BACKWARDS else x


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
