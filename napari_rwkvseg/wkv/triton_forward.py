"""The forward kernels of the Triton path: nothing moves, tokens are read where they lie, in order.

Letters as in `plan.py`, the formula and its states P and S as in `slab.py`, f = exp(-w'). A program
works on a tile (`triton_tiles.py`): whole chunks of one image, WIDTH channels of one head.

    sum_weights   what each chunk adds to the states of those after and before it
    carry         the states in which chunks are entered, in place of these sums
    mix           the states at every step, and the result

States are float32, (2 sides, 2 halves, B, M, C): walked forwards and backwards; E v and E. What a
chunk adds is stored at the chunk that it leads to, so that `carry` works in place. Grids (B, T, C)
may have any floating dtype: numbers are float32 from where they are loaded. Those with a stride,
the numbers from one token to the next, may be a part of wider grids.

Numbers of tokens and chunks change with the image: kernels are not compiled anew for such as are 1
or can be divided by 16. The channels of a head are few different numbers, and constants: wide loads
need to know what divides them.

Differs from Vision-RWKV's CUDA kernel, where a thread walks one channel from end to end: here all
chunks are in flight at once, and states cross the borders of chunks exactly.
"""

from __future__ import annotations

import triton
import triton.language as tl

from napari_rwkvseg.wkv.triton_tiles import (
    LOWEST,
    SMALLEST_LOG_WEIGHT,
    exists,
    fades,
    join_chunks,
    largest_of,
    load_quad,
    load_rows,
    locate,
    over,
    plus,
    reach,
    read_order,
    store_quad,
    store_rows,
    store_sums,
    times,
    walk,
    weigh,
)


@triton.jit(do_not_specialize=["tokens", "chunks"])
def sum_weights(
    key: tl.tensor,
    value: tl.tensor,
    order: tl.tensor,
    decay: tl.tensor,
    fade: tl.tensor,
    states: tl.tensor,
    tops: tl.tensor,
    key_stride: tl.tensor,
    value_stride: tl.tensor,
    half: tl.tensor,
    tokens: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    HEAD_WIDTH: tl.constexpr,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Sum [E v | E] of each chunk, relative to the largest key of the tile.

    That key goes to `tops`, (B, tiles, C). `decay` is w' and `fade` is f, (C,).
    """
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, HEAD_WIDTH, WIDTH)
    _, quad, t, last = read_order(order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS)
    channels = heads * HEAD_WIDTH
    column = key + image * tokens * key_stride + channel
    k = load_quad(column, key_stride, t, tokens, known, LOWEST)  # (ROWS, WIDTH) each, as below
    column = value + image * tokens * value_stride + channel
    v = load_quad(column, value_stride, t, tokens, known, 0.0)
    # The largest key of all is known after this pass only; reading all keys before it would cost a
    # fifth of the whole. Sums are brought to one scale when they are carried.
    largest = largest_of(k)  # (WIDTH,)
    tl.store(tops + (image * tiles + tile) * channels + channel, largest, mask=known)
    v, e = weigh(k, v, largest)

    f = fades(fade, channel, known, t, tokens)
    rate = tl.load(decay + channel, mask=known, other=0.0)[None, :]
    end, start = reach(rate, quad, t[0], last, tokens, LENGTH)
    at = states + image * chunks * channels + channel
    store_sums(at, 2 * half, channels, tile, chunks, known, f, v, end, start, QUADS)
    store_sums(at + half, 2 * half, channels, tile, chunks, known, f, e, end, start, QUADS)


@triton.jit(do_not_specialize=["chunks"])
def carry(
    states: tl.tensor,
    tops: tl.tensor,
    top: tl.tensor,
    follows: tl.tensor,
    decay: tl.tensor,
    half: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    HEAD_WIDTH: tl.constexpr,
    LENGTH: tl.constexpr,
    OF_TILE: tl.constexpr,
    CHUNKS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Turn what the chunk before adds into the state in which a chunk is entered, on either side.

    Sums of OF_TILE chunks come relative to one of `tops`, (B, tiles, C), and leave relative to the
    largest of them, which goes to `top`, (B, C); OF_TILE = 0: they are not relative to anything.
    `follows`, (h, M), says where chunk m continues chunk m - 1.
    """
    image, side, head, channel, known = locate(2, heads, HEAD_WIDTH, WIDTH)
    channels = heads * HEAD_WIDTH
    # Few programs go through many chunks, but states are only 1/16 of a grid.
    turns = tl.arange(0, CHUNKS)
    largest = tl.full((WIDTH,), LOWEST, tl.float32)
    if OF_TILE:
        tiles = tl.cdiv(chunks, OF_TILE)
        column_tops = tops + image * tiles * channels + channel
        for start in range(0, tiles, CHUNKS):
            tile = start + turns
            found = load_rows(column_tops, channels, tile, exists(tile, tiles, known), LOWEST)
            largest = tl.maximum(largest, tl.max(found, axis=0))
        tl.store(top + image * channels + channel, largest, mask=known & (side == 0))

    rate = tl.load(decay + channel, mask=known, other=0.0)[None, :]
    column = states + side * 2 * half + image * chunks * channels + channel
    weighted_state = tl.zeros((1, WIDTH), tl.float32)
    weight_state = tl.zeros((1, WIDTH), tl.float32)
    for start in range(0, chunks, CHUNKS):
        turn = start + turns
        chunk = tl.where(side == 0, turn, chunks - 1 - turn)
        before = tl.where(side == 0, chunk - 1, chunk + 1)  # the chunk that was walked before
        linked = (turn > 0) & (turn < chunks)
        later = follows + head * chunks + tl.maximum(chunk, before)
        linked &= tl.load(later, mask=linked, other=0) != 0
        mask = linked[:, None] & known[None, :]  # (CHUNKS, WIDTH)

        weighted = load_rows(column, channels, chunk, mask, 0.0)
        weight = load_rows(column + half, channels, chunk, mask, 0.0)
        if OF_TILE:
            own = load_rows(column_tops, channels, before // OF_TILE, mask, LOWEST)
            scale = tl.exp(tl.maximum(own - largest[None, :], SMALLEST_LOG_WEIGHT))
            weighted *= scale
            weight *= scale
        # All chunks but the last of a sequence are full, and nothing is carried on from the last.
        faded = tl.where(mask, -rate * LENGTH, -float("inf"))
        faded, weighted, weight = tl.associative_scan((faded, weighted, weight), 0, join_chunks)
        weighted += tl.exp(faded) * weighted_state
        weight += tl.exp(faded) * weight_state
        mask = (turn < chunks)[:, None] & known[None, :]
        store_rows(column, channels, chunk, mask, weighted)
        store_rows(column + half, channels, chunk, mask, weight)
        # One row of a tensor can only be got at by a sum.
        last = (turns == CHUNKS - 1)[:, None]
        weighted_state = tl.sum(tl.where(last, weighted, 0.0), axis=0)[None, :]
        weight_state = tl.sum(tl.where(last, weight, 0.0), axis=0)[None, :]


@triton.jit(do_not_specialize=["tokens", "chunks"])
def mix(
    key: tl.tensor,
    value: tl.tensor,
    result: tl.tensor,
    total: tl.tensor,
    order: tl.tensor,
    fade: tl.tensor,
    own: tl.tensor,
    top: tl.tensor,
    states: tl.tensor,
    key_stride: tl.tensor,
    value_stride: tl.tensor,
    half: tl.tensor,
    tokens: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    HEAD_WIDTH: tl.constexpr,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    CARRIED: tl.constexpr,
    KEPT: tl.constexpr,
) -> None:
    """Write y to `result` and, if KEPT, its denominator to `total`, both (B, T, C).

    `fade` is f and `own` exp(u'), both (C,). Not CARRIED means that no chunk follows another.
    """
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, HEAD_WIDTH, WIDTH)
    chunk, quad, t, _ = read_order(order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS)
    channels = heads * HEAD_WIDTH
    column = key + image * tokens * key_stride + channel
    k = load_quad(column, key_stride, t, tokens, known, LOWEST)  # (ROWS, WIDTH) each, as below
    column = value + image * tokens * value_stride + channel
    v = load_quad(column, value_stride, t, tokens, known, 0.0)
    if CARRIED:
        largest = tl.load(top + image * channels + channel, mask=known, other=0.0)
    else:  # weights are compared within a chunk only: the largest key of the tile will do
        largest = largest_of(k)
    v, e = weigh(k, v, largest)

    f = fades(fade, channel, known, t, tokens)
    here = exists(chunk, chunks, known)
    first, last = here & (quad == 0)[:, None], here & (quad == QUADS - 1)[:, None]
    at = states + image * chunks * channels + channel
    v_left, e_left = walk(at, half, channels, chunk, first, f, v, e, False, CARRIED)
    at += 2 * half
    v_right, e_right = walk(at, half, channels, chunk, last, f, v, e, True, CARRIED)
    u = tl.load(own + channel, mask=known, other=0.0)[None, :]
    u = (u, u, u, u)
    # Three parts that are all positive for E: no denominator comes from a difference.
    v = plus(plus(v_left, v_right), times(u, v))
    e = plus(plus(e_left, e_right), times(u, e))
    column = image * tokens * channels + channel
    store_quad(result + column, channels, t, tokens, known, over(v, e))
    if KEPT:
        store_quad(total + column, channels, t, tokens, known, e)
