"""Large calls are cut into parts; whatever the cut, the result and the gradients are the same."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_rwkvseg.wkv import ScanPlan, bi_wkv, line_plan, parts
from napari_rwkvseg.wkv.parts import Part, WorkingMemory, cut


def plan_of(tokens: int, heads: int) -> ScanPlan:
    rng = np.random.default_rng(tokens)
    return ScanPlan([(rng.permutation(tokens),) for _ in range(heads)])


def cuts(batch: int, channels: int, plan: ScanPlan) -> list[tuple[range, range, range, int]]:
    """List images, tokens, channels and heads of each part."""
    return [
        (
            range(batch)[p.images],
            range(plan.tokens)[p.tokens],
            range(channels)[p.channels],
            p.plan.heads,
        )
        for p in cut(batch, channels, plan)
    ]


def gradients(inputs: list[Tensor], plan: ScanPlan) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    result = bi_wkv(leaves[0], leaves[1], leaves[2], leaves[3], plan)
    (result * torch.cos(torch.arange(result.numel()).view(result.shape) * 0.7)).sum().backward()
    return [result.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]


def test_a_small_call_is_one_part() -> None:
    assert cuts(3, 8, plan_of(10, heads=4)) == [(range(3), range(10), range(8), 4)]


def test_images_are_grouped_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST_PART", 160)
    assert cuts(5, 8, plan_of(10, heads=4)) == [
        (images, range(10), range(8), 4) for images in (range(2), range(2, 4), range(4, 5))
    ]


def test_too_large_an_image_is_cut_by_heads_and_heads_down_to_the_narrowest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "LARGEST_PART", 319)
    assert cuts(2, 64, plan_of(10, heads=2)) == [
        (range(image, image + 1), range(10), range(first, first + 16), 1)
        for image in (0, 1)
        for first in (0, 16, 32, 48)
    ]
    assert [part[2] for part in cuts(1, 16, plan_of(40, heads=2))] == [range(8), range(8, 16)]
    assert [part[2] for part in cuts(1, 16, plan_of(400, heads=1))] == [range(8), range(8, 16)]


def test_too_many_lines_are_cut_between_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST_PART", 50)
    cells = cut(2, 4, line_plan(5, 3))
    assert [(p.images.start, p.tokens.start, p.tokens.stop) for p in cells] == [
        (0, 0, 10),
        (0, 10, 15),
        (1, 0, 10),
        (1, 10, 15),
    ]
    assert [p.plan.tokens for p in cells] == [10, 5, 10, 5]
    monkeypatch.setattr(parts, "LARGEST_PART", 1)
    assert [part[1] for part in cuts(1, 4, line_plan(5, 2))] == [range(5), range(5, 10)]


def test_a_head_alone_scans_as_it_does_among_others() -> None:
    plan = plan_of(12, heads=3)
    torch.testing.assert_close(plan.alone(1).steps[:, :, 0], plan.steps[:, :, 1])
    assert plan.alone(1) is plan.alone(1)
    assert line_plan(5).alone(0) is line_plan(5)


@pytest.mark.parametrize("largest", [1, 30 * 32, 2 * 30 * 64])
@pytest.mark.parametrize("plan", [plan_of(30, heads=2), line_plan(5, 6)], ids=["heads", "lines"])
def test_cutting_does_not_change_values_or_gradients(
    plan: ScanPlan, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(64, generator=generator) for _ in range(2)]
    inputs += [torch.randn(3, 30, 64, generator=generator) for _ in range(2)]
    whole = gradients(inputs, plan)
    monkeypatch.setattr(parts, "LARGEST_PART", largest)
    for ours, expected in zip(gradients(inputs, plan), whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_keys_and_values_may_be_views_of_one_tensor() -> None:
    both = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(0))
    key, value = both.chunk(2, dim=-1)
    rest = torch.full((8,), 0.1), torch.zeros(8)
    ours = bi_wkv(*rest, key, value, plan_of(10, heads=2))
    theirs = bi_wkv(*rest, key.contiguous(), value.contiguous(), plan_of(10, heads=2))
    torch.testing.assert_close(ours, theirs)


def test_a_part_is_a_view() -> None:
    grid = torch.zeros(2, 3, 8)
    Part(slice(1, 2), slice(None), slice(4, 8), line_plan(3)).of(grid)[:] = 1
    assert grid.sum() == grid[1, :, 4:].sum() == 12


def test_results_are_not_overwritten_by_the_next_call() -> None:
    plan, ones = plan_of(10, heads=1), torch.ones(4)
    first = bi_wkv(ones, ones, torch.zeros(1, 10, 4), torch.full((1, 10, 4), 3.0), plan)
    bi_wkv(ones, ones, torch.zeros(1, 10, 4), torch.full((1, 10, 4), 5.0), plan)
    assert first.flatten().tolist() == pytest.approx([3.0] * 40)


def test_memory_is_used_again_if_it_suffices() -> None:
    memory, like = WorkingMemory(), torch.zeros(1)
    first = memory.empty("a", like, (4, 5))
    assert memory.empty("a", like, (2, 3)).data_ptr() == first.data_ptr()
    assert memory.empty("b", like, (2, 3)).data_ptr() != first.data_ptr()
    assert memory.empty("a", like.double(), (2, 3)).dtype == torch.float64
    assert memory.empty("a", like, (7, 7)).shape == (7, 7)


def test_huge_memory_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST_PART", 10)
    memory, like = WorkingMemory(), torch.zeros(1)
    kept, huge = memory.empty("a", like, (30,)), memory.empty("a", like, (31,))
    assert kept.data_ptr() != huge.data_ptr()
    assert memory.empty("a", like, (30,)).data_ptr() == kept.data_ptr()


def test_threads_do_not_share_memory() -> None:
    memory, like = WorkingMemory(), torch.zeros(1)
    ours, theirs = memory.empty("a", like, (8,)), []
    thread = Thread(target=lambda: theirs.append(memory.empty("a", like, (8,))))
    thread.start()
    thread.join()
    assert theirs[0].data_ptr() != ours.data_ptr()


def test_memory_first_used_in_inference_mode_serves_training() -> None:
    memory = WorkingMemory()
    with torch.inference_mode():
        memory.empty("a", torch.zeros(1), (3,)).zero_()
    assert not memory.empty("a", torch.zeros(1), (3,)).is_inference()
