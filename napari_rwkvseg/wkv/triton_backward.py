"""The backward kernels of the Triton path.

The kernel of the formula is symmetric, so the gradients are the same scan of [p | q], with
p = g / den and q = -p y for the gradient g of y (`slab.py`): `sum_pulls` in place of `sum_weights`,
the same `carry`, and `differentiate`, which walks both scans side by side. Conventions as in
`triton_forward.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from napari_rwkvseg.wkv.triton_tiles import (
    LOWEST,
    exists,
    fades,
    largest_of,
    load_quad,
    locate,
    only_where,
    over,
    plus,
    reach,
    read_order,
    store_quad,
    store_sums,
    sum_of,
    times,
    walk,
    weigh,
)


@triton.jit(do_not_specialize=["tokens", "chunks"])
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
    HEAD_WIDTH: tl.constexpr,
    LENGTH: tl.constexpr,
    QUADS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Sum [p | q] of each chunk; `result` is y, `total` its denominator, both (B, T, C)."""
    tiles = tl.cdiv(chunks, ROWS // QUADS)
    image, tile, head, channel, known = locate(tiles, heads, HEAD_WIDTH, WIDTH)
    _, quad, t, last = read_order(order, head, tile, tokens, chunks, LENGTH, QUADS, ROWS)
    channels = heads * HEAD_WIDTH
    column = gradient + image * tokens * gradient_stride + channel
    g = load_quad(column, gradient_stride, t, tokens, known, 0.0)
    column = image * tokens * channels + channel
    den = load_quad(total + column, channels, t, tokens, known, 1.0)
    y = load_quad(result + column, channels, t, tokens, known, 0.0)
    p = over(g, den)
    q = times((-p[0], -p[1], -p[2], -p[3]), y)

    f = fades(fade, channel, known, t, tokens)
    rate = tl.load(decay + channel, mask=known, other=0.0)[None, :]
    end, start = reach(rate, quad, t[0], last, tokens, LENGTH)
    at = states + image * chunks * channels + channel
    store_sums(at, 2 * half, channels, tile, chunks, known, f, p, end, start, QUADS)
    store_sums(at + half, 2 * half, channels, tile, chunks, known, f, q, end, start, QUADS)


@triton.jit(do_not_specialize=["tokens", "chunks"])
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
    HEAD_WIDTH: tl.constexpr,
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
    # Relative to the same keys as in `mix`, or the denominators kept there would not fit.
    v, e = weigh(k, v, largest)
    column = gradient + image * tokens * gradient_stride + channel
    g = load_quad(column, gradient_stride, t, tokens, known, 0.0)
    column = image * tokens * channels + channel
    den = load_quad(total + column, channels, t, tokens, known, 1.0)
    y = load_quad(result + column, channels, t, tokens, known, 0.0)
    p = over(g, den)
    q = times((-p[0], -p[1], -p[2], -p[3]), y)

    f = fades(fade, channel, known, t, tokens)
    here = exists(chunk, chunks, known)
    first, last = here & (quad == 0)[:, None], here & (quad == QUADS - 1)[:, None]
    at = states + image * chunks * channels + channel
    v_left, e_left = walk(at, half, channels, chunk, first, f, v, e, False, CARRIED)
    at += 2 * half
    v_right, e_right = walk(at, half, channels, chunk, last, f, v, e, True, CARRIED)
    at = pulls + image * chunks * channels + channel
    p_left, q_left = walk(at, half, channels, chunk, first, f, p, q, False, CARRIED)
    at += 2 * half
    p_right, q_right = walk(at, half, channels, chunk, last, f, p, q, True, CARRIED)

    # Two tokens n steps apart meet at each of the n - 1 steps between them, with f^(n - 2) left:
    # what is left of both there is, but for a factor -f, the derivative of f^(n - 1) by w'.
    met = plus(times(v_left, p_right), times(v_right, p_left))
    met = plus(met, plus(times(e_left, q_right), times(e_right, q_left)))
    # A place for each tile, not atomic sums: these would come in another order every time.
    at = by_channel + (image * tiles + tile) * 2 * channels + channel
    tl.store(at, sum_of(only_where(t, tokens, met, 0.0)), mask=known)
    tl.store(at + channels, sum_of(plus(times(v, p), times(e, q))), mask=known)

    u = tl.load(own + channel, mask=known, other=0.0)[None, :]
    u = (u, u, u, u)
    p = plus(plus(p_left, p_right), times(u, p))
    q = plus(plus(q_left, q_right), times(u, q))
    # A value acts through E v, which p pulls; a key through both E v and E, which p and q pull.
    store_quad(by_value + column, channels, t, tokens, known, times(e, p))
    g = plus(times(v, p), times(e, q))
    store_quad(by_key + column, channels, t, tokens, known, g)
