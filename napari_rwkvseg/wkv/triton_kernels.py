"""The kernels of the Triton path: tokens are read where they lie, in scan order, and nothing moves.

Letters as in `plan.py`, the formula and its states P and S as in `slab.py`, f = exp(-w'). A program
works on a tile (`triton_tiles.py`): whole chunks of one image, WIDTH channels of one head.

    sum_weights, sum_pulls   what each chunk adds to the states of those after and before it
    carry                    the states in which chunks are entered, in place of these sums
    mix, differentiate       the states at every step, and what follows from them

States are float32, (2 sides, 2 halves, B, M, C): walked forwards and backwards; E v and E, or p and
q. What a chunk adds is stored at the chunk that it leads to, so that `carry` works in place.
Grids (B, T, C) may have any floating dtype: numbers are float32 from where they are loaded. Those
with a stride, the numbers from one token to the next, may be a part of wider grids.

Differs from Vision-RWKV's CUDA kernel, where a thread walks one channel from end to end: here all
chunks are in flight at once, and states cross the borders of chunks exactly.
"""

from __future__ import annotations

import triton
import triton.language as tl

from napari_rwkvseg.wkv.triton_tiles import (
    LOWEST,
    SMALLEST_LOG_WEIGHT,
    enter,
    exists,
    join_chunks,
    largest_of,
    load_rows,
    locate,
    pull_of,
    reach,
    read_order,
    store_rows,
    store_sums,
    walk,
    weigh,
)


@triton.jit
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
    width: tl.tensor,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Sum [E v | E] of each chunk, relative to the largest key of the tile.

    That key goes to `tops`, (B, tiles, C). `decay` is w' and `fade` is f, (C,).
    """
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, width, WIDTH)
    _, quad, t0, t1, t2, t3, last = read_order(
        order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS
    )
    m0, m1 = exists(t0, tokens, known), exists(t1, tokens, known)  # (ROWS, WIDTH)
    m2, m3 = exists(t2, tokens, known), exists(t3, tokens, known)
    keys = key + image * tokens * key_stride + channel
    k0 = load_rows(keys, key_stride, t0, m0, LOWEST)
    k1 = load_rows(keys, key_stride, t1, m1, LOWEST)
    k2 = load_rows(keys, key_stride, t2, m2, LOWEST)
    k3 = load_rows(keys, key_stride, t3, m3, LOWEST)
    top = largest_of(k0, k1, k2, k3)  # (1, WIDTH)
    values = value + image * tokens * value_stride + channel
    v0, e0 = weigh(k0, values, value_stride, t0, m0, top)
    v1, e1 = weigh(k1, values, value_stride, t1, m1, top)
    v2, e2 = weigh(k2, values, value_stride, t2, m2, top)
    v3, e3 = weigh(k3, values, value_stride, t3, m3, top)

    f = tl.load(fade + channel, mask=known, other=0.0)[None, :]
    f0, f1 = tl.where(m0, f, 1.0), tl.where(m1, f, 1.0)
    f2, f3 = tl.where(m2, f, 1.0), tl.where(m3, f, 1.0)
    rate = tl.load(decay + channel, mask=known, other=0.0)[None, :]
    to_end, to_start = reach(rate, quad, t0, last, tokens, LENGTH)
    channels = heads * width
    column = states + image * chunks * channels + channel
    chunk = tile * (ROWS // QUADS) + tl.arange(0, ROWS // QUADS)
    store_sums(column, 2 * half, channels, chunk, chunks, known,
               f0, f1, f2, f3, v0, v1, v2, v3, to_end, to_start, QUADS)  # fmt: skip
    store_sums(column + half, 2 * half, channels, chunk, chunks, known,
               f0, f1, f2, f3, e0, e1, e2, e3, to_end, to_start, QUADS)  # fmt: skip
    tl.store(tops + (image * tiles + tile) * channels + channel[None, :], top, known[None, :])


@triton.jit
def sum_pulls(
    gradient: tl.tensor,
    result: tl.tensor,
    total: tl.tensor,
    order: tl.tensor,
    decay: tl.tensor,
    fade: tl.tensor,
    states: tl.tensor,
    gradient_stride: tl.tensor,
    half: tl.tensor,
    tokens: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    width: tl.tensor,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Sum [p | q] of each chunk; `result` is y, `total` its denominator, both (B, T, C)."""
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, width, WIDTH)
    _, quad, t0, t1, t2, t3, last = read_order(
        order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS
    )
    m0, m1 = exists(t0, tokens, known), exists(t1, tokens, known)  # (ROWS, WIDTH)
    m2, m3 = exists(t2, tokens, known), exists(t3, tokens, known)
    channels = heads * width
    gradients = gradient + image * tokens * gradient_stride + channel
    results = result + image * tokens * channels + channel
    totals = total + image * tokens * channels + channel
    p0, q0 = pull_of(gradients, gradient_stride, results, totals, channels, t0, m0)
    p1, q1 = pull_of(gradients, gradient_stride, results, totals, channels, t1, m1)
    p2, q2 = pull_of(gradients, gradient_stride, results, totals, channels, t2, m2)
    p3, q3 = pull_of(gradients, gradient_stride, results, totals, channels, t3, m3)

    f = tl.load(fade + channel, mask=known, other=0.0)[None, :]
    f0, f1 = tl.where(m0, f, 1.0), tl.where(m1, f, 1.0)
    f2, f3 = tl.where(m2, f, 1.0), tl.where(m3, f, 1.0)
    rate = tl.load(decay + channel, mask=known, other=0.0)[None, :]
    to_end, to_start = reach(rate, quad, t0, last, tokens, LENGTH)
    column = states + image * chunks * channels + channel
    chunk = tile * (ROWS // QUADS) + tl.arange(0, ROWS // QUADS)
    store_sums(column, 2 * half, channels, chunk, chunks, known,
               f0, f1, f2, f3, p0, p1, p2, p3, to_end, to_start, QUADS)  # fmt: skip
    store_sums(column + half, 2 * half, channels, chunk, chunks, known,
               f0, f1, f2, f3, q0, q1, q2, q3, to_end, to_start, QUADS)  # fmt: skip


@triton.jit
def carry(
    states: tl.tensor,
    tops: tl.tensor,
    top: tl.tensor,
    follows: tl.tensor,
    decay: tl.tensor,
    half: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    width: tl.tensor,
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
    image, side, head, channel, known = locate(2, heads, width, WIDTH)
    channels = heads * width
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
            own = load_rows(column_tops, channels, before // OF_TILE, mask, 0.0)
            scale = tl.exp(tl.maximum(own - largest[None, :], SMALLEST_LOG_WEIGHT))
            weighted *= scale
            weight *= scale
        faded = tl.where(mask, -rate * LENGTH, -float("inf"))
        faded, weighted, weight = tl.associative_scan((faded, weighted, weight), 0, join_chunks)
        weighted += tl.exp(faded) * weighted_state
        weight += tl.exp(faded) * weight_state
        mask = (turn < chunks)[:, None] & known[None, :]
        store_rows(column, channels, chunk, mask, weighted)
        store_rows(column + half, channels, chunk, mask, weight)
        last = (turns == CHUNKS - 1)[:, None]
        weighted_state = tl.sum(tl.where(last, weighted, 0.0), axis=0)[None, :]
        weight_state = tl.sum(tl.where(last, weight, 0.0), axis=0)[None, :]


@triton.jit
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
    width: tl.tensor,
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
    image, tile, head, channel, known = locate(
        tl.cdiv(chunks, ROWS // QUADS), heads, width, WIDTH
    )
    chunk, quad, t0, t1, t2, t3, _ = read_order(
        order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS
    )
    m0, m1 = exists(t0, tokens, known), exists(t1, tokens, known)  # (ROWS, WIDTH)
    m2, m3 = exists(t2, tokens, known), exists(t3, tokens, known)
    keys = key + image * tokens * key_stride + channel
    k0 = load_rows(keys, key_stride, t0, m0, LOWEST)
    k1 = load_rows(keys, key_stride, t1, m1, LOWEST)
    k2 = load_rows(keys, key_stride, t2, m2, LOWEST)
    k3 = load_rows(keys, key_stride, t3, m3, LOWEST)
    channels = heads * width
    if CARRIED:
        largest = tl.load(top + image * channels + channel, mask=known, other=0.0)[None, :]
    else:  # weights are compared within a chunk only: the largest key of the tile will do
        largest = largest_of(k0, k1, k2, k3)
    values = value + image * tokens * value_stride + channel
    v0, e0 = weigh(k0, values, value_stride, t0, m0, largest)
    v1, e1 = weigh(k1, values, value_stride, t1, m1, largest)
    v2, e2 = weigh(k2, values, value_stride, t2, m2, largest)
    v3, e3 = weigh(k3, values, value_stride, t3, m3, largest)

    f = tl.load(fade + channel, mask=known, other=0.0)[None, :]
    f0, f1 = tl.where(m0, f, 1.0), tl.where(m1, f, 1.0)
    f2, f3 = tl.where(m2, f, 1.0), tl.where(m3, f, 1.0)
    column = states + image * chunks * channels + channel
    first, last = (quad == 0)[:, None], (quad == QUADS - 1)[:, None]
    v_in, e_in = enter(column, half, channels, chunk, m0 & first, CARRIED)
    vl0, vl1, vl2, vl3, el0, el1, el2, el3 = walk(
        f0, f1, f2, f3, v0, v1, v2, v3, e0, e1, e2, e3, v_in, e_in, first, False
    )
    v_in, e_in = enter(column + 2 * half, half, channels, chunk, m0 & last, CARRIED)
    vr3, vr2, vr1, vr0, er3, er2, er1, er0 = walk(
        f3, f2, f1, f0, v3, v2, v1, v0, e3, e2, e1, e0, v_in, e_in, last, True
    )

    u = tl.load(own + channel, mask=known, other=0.0)[None, :]
    d0, d1 = el0 + er0 + u * e0, el1 + er1 + u * e1
    d2, d3 = el2 + er2 + u * e2, el3 + er3 + u * e3
    results = result + image * tokens * channels + channel
    store_rows(results, channels, t0, m0, (vl0 + vr0 + u * v0) / tl.where(m0, d0, 1.0))
    store_rows(results, channels, t1, m1, (vl1 + vr1 + u * v1) / tl.where(m1, d1, 1.0))
    store_rows(results, channels, t2, m2, (vl2 + vr2 + u * v2) / tl.where(m2, d2, 1.0))
    store_rows(results, channels, t3, m3, (vl3 + vr3 + u * v3) / tl.where(m3, d3, 1.0))
    if KEPT:
        totals = total + image * tokens * channels + channel
        store_rows(totals, channels, t0, m0, d0)
        store_rows(totals, channels, t1, m1, d1)
        store_rows(totals, channels, t2, m2, d2)
        store_rows(totals, channels, t3, m3, d3)


@triton.jit
def differentiate(
    key: tl.tensor,
    value: tl.tensor,
    gradient: tl.tensor,
    result: tl.tensor,
    total: tl.tensor,
    by_key: tl.tensor,
    by_value: tl.tensor,
    by_channel: tl.tensor,
    order: tl.tensor,
    fade: tl.tensor,
    own: tl.tensor,
    top: tl.tensor,
    states: tl.tensor,
    pulls: tl.tensor,
    key_stride: tl.tensor,
    value_stride: tl.tensor,
    gradient_stride: tl.tensor,
    half: tl.tensor,
    tokens: tl.tensor,
    chunks: tl.tensor,
    heads: tl.tensor,
    width: tl.tensor,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    CARRIED: tl.constexpr,
) -> None:
    """Write the gradients of key and value, (B, T, C), and what decay and bonus get from each tile.

    The latter goes to `by_channel`, (B, tiles, 2, C), to be summed; `pulls` are the states of
    [p | q].
    """
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, width, WIDTH)
    chunk, quad, t0, t1, t2, t3, _ = read_order(
        order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS
    )
    m0, m1 = exists(t0, tokens, known), exists(t1, tokens, known)  # (ROWS, WIDTH)
    m2, m3 = exists(t2, tokens, known), exists(t3, tokens, known)
    keys = key + image * tokens * key_stride + channel
    k0 = load_rows(keys, key_stride, t0, m0, LOWEST)
    k1 = load_rows(keys, key_stride, t1, m1, LOWEST)
    k2 = load_rows(keys, key_stride, t2, m2, LOWEST)
    k3 = load_rows(keys, key_stride, t3, m3, LOWEST)
    channels = heads * width
    if CARRIED:
        largest = tl.load(top + image * channels + channel, mask=known, other=0.0)[None, :]
    else:  # as in `mix`
        largest = largest_of(k0, k1, k2, k3)
    values = value + image * tokens * value_stride + channel
    v0, e0 = weigh(k0, values, value_stride, t0, m0, largest)
    v1, e1 = weigh(k1, values, value_stride, t1, m1, largest)
    v2, e2 = weigh(k2, values, value_stride, t2, m2, largest)
    v3, e3 = weigh(k3, values, value_stride, t3, m3, largest)
    gradients = gradient + image * tokens * gradient_stride + channel
    results = result + image * tokens * channels + channel
    totals = total + image * tokens * channels + channel
    p0, q0 = pull_of(gradients, gradient_stride, results, totals, channels, t0, m0)
    p1, q1 = pull_of(gradients, gradient_stride, results, totals, channels, t1, m1)
    p2, q2 = pull_of(gradients, gradient_stride, results, totals, channels, t2, m2)
    p3, q3 = pull_of(gradients, gradient_stride, results, totals, channels, t3, m3)

    f = tl.load(fade + channel, mask=known, other=0.0)[None, :]
    f0, f1 = tl.where(m0, f, 1.0), tl.where(m1, f, 1.0)
    f2, f3 = tl.where(m2, f, 1.0), tl.where(m3, f, 1.0)
    column = image * chunks * channels + channel
    first, last = (quad == 0)[:, None], (quad == QUADS - 1)[:, None]
    v_in, e_in = enter(states + column, half, channels, chunk, m0 & first, CARRIED)
    p_in, q_in = enter(pulls + column, half, channels, chunk, m0 & first, CARRIED)
    vl0, vl1, vl2, vl3, el0, el1, el2, el3 = walk(
        f0, f1, f2, f3, v0, v1, v2, v3, e0, e1, e2, e3, v_in, e_in, first, False
    )
    pl0, pl1, pl2, pl3, ql0, ql1, ql2, ql3 = walk(
        f0, f1, f2, f3, p0, p1, p2, p3, q0, q1, q2, q3, p_in, q_in, first, False
    )
    column += 2 * half
    v_in, e_in = enter(states + column, half, channels, chunk, m0 & last, CARRIED)
    p_in, q_in = enter(pulls + column, half, channels, chunk, m0 & last, CARRIED)
    vr3, vr2, vr1, vr0, er3, er2, er1, er0 = walk(
        f3, f2, f1, f0, v3, v2, v1, v0, e3, e2, e1, e0, v_in, e_in, last, True
    )
    pr3, pr2, pr1, pr0, qr3, qr2, qr1, qr0 = walk(
        f3, f2, f1, f0, p3, p2, p1, p0, q3, q2, q1, q0, p_in, q_in, last, True
    )

    # Two tokens n steps apart meet at each of the n - 1 steps between them, with f^(n - 2) left:
    # what is left of both there is, but for a factor -f, the derivative of f^(n - 1) by w'.
    met = tl.where(m0, vl0 * pr0 + el0 * qr0 + vr0 * pl0 + er0 * ql0, 0.0)
    met += tl.where(m1, vl1 * pr1 + el1 * qr1 + vr1 * pl1 + er1 * ql1, 0.0)
    met += tl.where(m2, vl2 * pr2 + el2 * qr2 + vr2 * pl2 + er2 * ql2, 0.0)
    met += tl.where(m3, vl3 * pr3 + el3 * qr3 + vr3 * pl3 + er3 * ql3, 0.0)
    alone = v0 * p0 + e0 * q0 + v1 * p1 + e1 * q1 + v2 * p2 + e2 * q2 + v3 * p3 + e3 * q3
    sums = by_channel + (image * tiles + tile) * 2 * channels + channel
    tl.store(sums, tl.sum(met, axis=0), mask=known)
    tl.store(sums + channels, tl.sum(alone, axis=0), mask=known)

    u = tl.load(own + channel, mask=known, other=0.0)[None, :]
    p0, p1, p2, p3 = pl0 + pr0 + u * p0, pl1 + pr1 + u * p1, pl2 + pr2 + u * p2, pl3 + pr3 + u * p3
    q0, q1, q2, q3 = ql0 + qr0 + u * q0, ql1 + qr1 + u * q1, ql2 + qr2 + u * q2, ql3 + qr3 + u * q3
    column = image * tokens * channels + channel
    store_rows(by_value + column, channels, t0, m0, e0 * p0)
    store_rows(by_value + column, channels, t1, m1, e1 * p1)
    store_rows(by_value + column, channels, t2, m2, e2 * p2)
    store_rows(by_value + column, channels, t3, m3, e3 * p3)
    store_rows(by_key + column, channels, t0, m0, v0 * p0 + e0 * q0)
    store_rows(by_key + column, channels, t1, m1, v1 * p1 + e1 * q1)
    store_rows(by_key + column, channels, t2, m2, v2 * p2 + e2 * q2)
    store_rows(by_key + column, channels, t3, m3, v3 * p3 + e3 * q3)
