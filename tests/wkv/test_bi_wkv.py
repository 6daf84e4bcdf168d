"""Every path of Bi-WKV is held to the float64 reference, values and all gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_rwkvseg.wkv import ScanPlan, bi_wkv, line_plan, use_path
from napari_rwkvseg.wkv.plan import chunk_length
from napari_rwkvseg.wkv.reference import scan_sequence, token_weights
from tests.wkv.paths import assert_equals_reference, inputs, run_with_gradients, shuffled_plan

LOG2 = float(np.log(2))


def mix(values: list[float], decay: float, bonus: float = 0.0, key: float = 0.0) -> list[float]:
    value = torch.tensor(values)[None, :, None]
    keys = torch.full_like(value, key)
    one = torch.ones(1)
    return bi_wkv(one * decay, one * bonus, keys, value, line_plan(len(values))).flatten().tolist()


def test_neighbours_do_not_decay_but_the_next_but_one_does() -> None:
    assert mix([0.0, 3.0, 6.0], decay=LOG2) == pytest.approx([2.4, 3, 3.6])


def test_bonus_adds_weight_to_the_token_itself() -> None:
    assert mix([0.0, 3.0], decay=0.0, bonus=LOG2) == pytest.approx([1.0, 2.0])


def test_one_token_keeps_its_value() -> None:
    assert mix([5.0], decay=1.0, key=-30.0) == pytest.approx([5.0])


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 257])
@pytest.mark.parametrize("reach", [-20.0, 0.0, 8.0, None])
def test_slab_equals_reference_with_all_gradients(tokens: int, reach: float | None) -> None:
    per_step = 3.0 if reach is None else reach / tokens
    key, value = inputs(tokens, 8, spread=30)
    decay = torch.linspace(0.5, 1, 8) * per_step
    bonus = torch.linspace(-8, 8, 8) / tokens
    assert_equals_reference("slab", shuffled_plan(tokens, heads=2), decay, bonus, key, value)


def test_slab_equals_reference_at_4096_tokens() -> None:
    key, value = inputs(4096, 2, spread=5, batch=1)
    decay, bonus = torch.tensor([-20.0, 8.0]) / 4096, torch.tensor([1.0, -1.0])
    assert_equals_reference("slab", shuffled_plan(4096, heads=1), decay, bonus, key, value)


@pytest.mark.parametrize("length", [1, 3, 8, 64])
def test_the_chunk_length_does_not_change_the_result(length: int) -> None:
    key, value = inputs(50, 4, spread=3)
    plan = shuffled_plan(50, heads=2, length=length)
    assert_equals_reference("slab", plan, torch.full((4,), 0.3), torch.zeros(4), key, value)


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    length=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_heads_with_sequences_of_their_own_equal_the_reference(
    cuts: list[int], length: int, seed: int
) -> None:
    tokens = sum(cuts)
    order = np.random.default_rng(seed).permutation(tokens)
    windows = tuple(np.split(order, np.cumsum(cuts)[:-1]))
    plan = ScanPlan([windows, (order[::-1].copy(),)], length=length)
    key, value = inputs(tokens, 4, spread=4, seed=seed)
    assert_equals_reference(
        "slab", plan, torch.tensor([0.0, 0.1, 0.5, 2.0]), torch.ones(4), key, value
    )


def test_windows_do_not_see_each_other() -> None:
    plan = ScanPlan([(np.arange(8), np.arange(8, 16))], length=4)
    key, value = inputs(16, 2, spread=1)
    one = torch.ones(2)
    before = bi_wkv(one * 0.1, one, key, value, plan)
    value[:, 8:] += 100
    after = bi_wkv(one * 0.1, one, key, value, plan)
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.equal(before[:, 8:], after[:, 8:])


def test_reading_an_order_backwards_changes_nothing() -> None:
    order = np.random.default_rng(1).permutation(40)
    key, value = inputs(40, 4, spread=2)
    decay, bonus = torch.full((4,), 0.2), torch.zeros(4)
    there = bi_wkv(decay, bonus, key, value, ScanPlan([(order,)]))
    back = bi_wkv(decay, bonus, key, value, ScanPlan([(order[::-1].copy(),)]))
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spread", [80.0, 1000.0])
@pytest.mark.parametrize("per_step", [0.0, 3.0])
def test_extreme_keys_give_finite_values_and_gradients(spread: float, per_step: float) -> None:
    key, value = inputs(200, 4, spread=spread)
    plan = shuffled_plan(200, heads=2)
    results = run_with_gradients(
        "slab", plan, torch.full((4,), per_step), torch.zeros(4), key, value
    )
    assert all(torch.isfinite(result).all() for result in results)


def test_the_result_stays_within_the_range_of_the_values() -> None:
    key, value = inputs(300, 4, spread=20)
    result = bi_wkv(torch.full((4,), 0.1), torch.zeros(4), key, value, shuffled_plan(300, 4))
    assert (result <= value.amax(1, keepdim=True) + 1e-4).all()
    assert (result >= value.amin(1, keepdim=True) - 1e-4).all()


def test_token_weights_sum_to_one_and_rebuild_the_result() -> None:
    key, value = (t.double() for t in inputs(20, 3, spread=5))
    decay, bonus = torch.full((3,), 0.3).double(), torch.zeros(3).double()
    weights = token_weights(decay, bonus, key)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 20, 3).double())
    mixed = scan_sequence(decay, bonus, key, value)
    torch.testing.assert_close(torch.einsum("btic,bic->btc", weights, value), mixed)


def test_batches_of_different_size_share_one_plan() -> None:
    plan = shuffled_plan(30, heads=2)
    key, value = inputs(30, 4, spread=2, batch=6)
    decay, bonus = torch.full((4,), 0.1), torch.zeros(4)
    together = bi_wkv(decay, bonus, key, value, plan)
    for size in (1, 2, 3, 4, 5):
        part = bi_wkv(decay, bonus, key[:size], value[:size], plan)
        torch.testing.assert_close(part, together[:size])


@pytest.mark.parametrize(("tokens", "length"), [(1, 4), (16, 4), (65, 16), (4096, 64), (65536, 64)])
def test_chunks_grow_with_the_number_of_tokens(tokens: int, length: int) -> None:
    assert chunk_length(tokens) == length


def test_a_kernel_reads_each_head_by_itself_and_padding_follows_nothing() -> None:
    alone = tuple(np.array([token]) for token in range(4))
    order, follows = ScanPlan([alone, (np.arange(4),)], length=2).by_head()
    assert order.dtype == torch.int32
    assert order.tolist() == [
        [[0, 4], [1, 4], [2, 4], [3, 4]],
        [[0, 1], [2, 3], [4, 4], [4, 4]],
    ]
    assert follows.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert follows.is_contiguous()


def test_an_order_that_leaves_a_token_out_is_refused() -> None:
    with pytest.raises(ValueError, match="each of the 3 tokens once"):
        ScanPlan([(np.array([0, 1, 1]),)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": torch.zeros(1, 5, 4)}, "share a shape"),
        ({"key": torch.zeros(1, 5, 4), "value": torch.zeros(1, 5, 4)}, "for 6 tokens, key has 5"),
        ({"key": torch.zeros(1, 6, 3), "value": torch.zeros(1, 6, 3)}, "3 channels cannot"),
        ({"decay": torch.zeros(2)}, r"decay must hold one number per channel, shape \(4,\)"),
        ({"bonus": torch.zeros(5)}, "bonus must hold"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change: dict[str, Tensor], message: str) -> None:
    arguments = {
        "decay": torch.zeros(4),
        "bonus": torch.zeros(4),
        "key": torch.zeros(1, 6, 4),
        "value": torch.zeros(1, 6, 4),
    } | change
    with pytest.raises(ValueError, match=message):
        bi_wkv(**arguments, plan=shuffled_plan(6, heads=2))


def test_an_unknown_path_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="slab, reference, triton"), use_path("cuda"):
        pass
