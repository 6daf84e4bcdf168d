"""The Triton path, held to the same reference as the slab scan, in Triton's interpreter.

Triton has wheels for Linux on x86-64 only, and there it belongs to the extra `test`: what runs
nowhere else is skipped nowhere else.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_rwkvseg.wkv as wkv
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.wkv import ScanPlan, bi_wkv, line_plan, use_path
from tests.wkv.paths import assert_equals_reference, inputs, run_with_gradients, shuffled_plan

pytestmark = [
    pytest.mark.skipif(
        (platform.system(), platform.machine()) != ("Linux", "x86_64"),
        reason="Triton has wheels for Linux on x86-64 only",
    ),
    pytest.mark.usefixtures("interpreter"),
]


@pytest.mark.parametrize("tokens", [1, 63, 257])
@pytest.mark.parametrize("reach", [-20.0, 0.0, 8.0, None])
def test_it_equals_the_reference_with_all_gradients(tokens: int, reach: float | None) -> None:
    per_step = 3.0 if reach is None else reach / tokens
    key, value = inputs(tokens, 8, spread=30)
    decay = torch.linspace(0.5, 1, 8) * per_step
    bonus = torch.linspace(-8, 8, 8) / tokens
    assert_equals_reference("triton", shuffled_plan(tokens, heads=2), decay, bonus, key, value)


def test_it_equals_the_reference_at_4096_tokens() -> None:
    key, value = inputs(4096, 1, spread=5, batch=1)
    decay, bonus = torch.tensor([8.0]) / 4096, torch.tensor([-1.0])
    assert_equals_reference("triton", shuffled_plan(4096, heads=1), decay, bonus, key, value)


@pytest.mark.parametrize("length", [1, 3, 5, 64])
def test_the_chunk_length_does_not_change_the_result(length: int) -> None:
    key, value = inputs(50, 6, spread=3)
    plan = shuffled_plan(50, heads=2, length=length)
    assert_equals_reference("triton", plan, torch.full((6,), 0.3), torch.zeros(6), key, value)


@pytest.mark.parametrize(("cuts", "length"), [((7, 1, 9, 3), 4), ((2, 8, 5), 3), ((4, 4, 4), 4)])
def test_heads_with_sequences_of_their_own_equal_the_reference(
    cuts: tuple[int, ...], length: int
) -> None:
    order = np.random.default_rng(3).permutation(sum(cuts))
    windows = tuple(np.split(order, np.cumsum(cuts)[:-1]))
    plan = ScanPlan([windows, (order[::-1].copy(),)], length=length)
    key, value = inputs(sum(cuts), 4, spread=4)
    decay = torch.tensor([0.0, -0.2, 0.5, 2.0])
    assert_equals_reference("triton", plan, decay, torch.ones(4), key, value)


def test_growth_does_not_leave_the_window_it_belongs_to() -> None:
    plan = ScanPlan([(np.array([5]), np.arange(5)), (np.arange(6),)], length=4)
    key, value = inputs(6, 4, spread=1)
    decay = torch.tensor([-20.0, -20.0, -4.0, -4.0])
    assert_equals_reference("triton", plan, decay, torch.zeros(4), key, value)


def test_short_sequences_need_one_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_rwkvseg.wkv import triton_scan

    for kernel in ("sum_weights", "sum_pulls", "carry"):
        monkeypatch.delattr(triton_scan, kernel)
    key, value = inputs(5 * 13, 3, spread=20)
    plan = line_plan(5, 13)
    assert_equals_reference("triton", plan, torch.full((3,), 0.4), torch.ones(3), key, value)


def test_chunks_beyond_one_tile_of_the_carry_equal_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_rwkvseg.wkv import triton_scan

    monkeypatch.setattr(triton_scan, "CARRIED_CHUNKS", 4)
    monkeypatch.setattr(triton_scan, "TILE", 16)
    monkeypatch.setattr(triton_scan, "WIDEST", 2)
    key, value = inputs(45, 6, spread=30, batch=1)
    plan = shuffled_plan(45, heads=2, length=4)
    assert_equals_reference("triton", plan, torch.full((6,), 0.05), torch.zeros(6), key, value)


@pytest.mark.parametrize("spread", [80.0, 1000.0])
@pytest.mark.parametrize("per_step", [0.0, 3.0])
def test_extreme_keys_give_finite_values_and_gradients(spread: float, per_step: float) -> None:
    key, value = inputs(90, 4, spread=spread)
    plan = shuffled_plan(90, heads=2)
    results = run_with_gradients(
        "triton", plan, torch.full((4,), per_step), torch.zeros(4), key, value
    )
    assert all(torch.isfinite(result).all() for result in results)


@pytest.mark.parametrize(("dtype", "precision"), [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)])
def test_half_precision_is_lost_at_the_doors_only(dtype: torch.dtype, precision: float) -> None:
    key, value = (grid.to(dtype) for grid in inputs(70, 4, spread=5))
    decay, bonus = torch.full((4,), 0.1), torch.ones(4)
    plan = shuffled_plan(70, heads=2)
    ours = run_with_gradients("triton", plan, decay, bonus, key, value)
    exact = run_with_gradients("reference", plan, decay, bonus, key, value, double=True)
    assert [t.dtype for t in ours] == [dtype, torch.float32, torch.float32, dtype, dtype]
    for mine, truth in zip(ours, exact, strict=True):
        assert (mine.double() - truth).abs().max() <= precision * max(1.0, float(truth.abs().max()))


def test_keys_and_values_may_be_parts_of_a_wider_grid() -> None:
    both = torch.randn(2, 10, 12, generator=torch.Generator().manual_seed(0)).requires_grad_()
    plan, rest = shuffled_plan(10, heads=2, length=4), (torch.full((4,), 0.1), torch.zeros(4))
    for part in ((0, 1), (1, 2)):
        grids = [both.chunk(3, dim=-1)[i] for i in part]
        apart = [grid.detach().contiguous() for grid in grids]
        with use_path("triton"):
            assert torch.equal(bi_wkv(*rest, *grids, plan), bi_wkv(*rest, *apart, plan))
    crossed = both.detach().transpose(0, 1)[:, :, :4]  # (10, 2, 4): images lie between tokens
    with use_path("triton"):
        ours = bi_wkv(*rest, crossed, crossed, shuffled_plan(2, heads=2))
    theirs = bi_wkv(*rest, crossed, crossed, shuffled_plan(2, heads=2))
    torch.testing.assert_close(ours, theirs)


def test_results_and_gradients_are_the_same_bits_every_time() -> None:
    key, value = inputs(40, 4, spread=3)
    tensors = torch.full((4,), 0.3), torch.zeros(4), key, value
    once, again = (
        run_with_gradients("triton", shuffled_plan(40, heads=2), *tensors) for _ in range(2)
    )
    assert all(torch.equal(*pair) for pair in zip(once, again, strict=True))


def network_gradients(path: str) -> list[Tensor]:
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1, 1), "stem_width": 8}
    network = build_network(NetworkConfig(**sizes, detail_width=4)).eval()  # the decoder scans, too
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with use_path(path):
        logits = network(image)
        (logits * torch.cos(torch.arange(logits.numel()).view(logits.shape) * 0.3)).sum().backward()
    return [logits.detach(), *[p.grad for p in network.parameters() if p.grad is not None]]


def test_a_network_learns_the_same_by_either_path() -> None:
    ours, theirs = network_gradients("triton"), network_gradients("slab")
    assert len(ours) == len(theirs) > 50
    for mine, other in zip(ours, theirs, strict=True):
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(mine / scale, other / scale, rtol=0, atol=2e-5)


def test_without_the_interpreter_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    grid = torch.zeros(1, 3, 2)
    with use_path("triton"), pytest.raises(ValueError, match="runs on a GPU, key lies on cpu"):
        bi_wkv(torch.zeros(2), torch.zeros(2), grid, grid, line_plan(3))


def test_a_key_that_is_not_a_number_shows_in_its_channel_as_with_the_slab_scan() -> None:
    key, value = torch.zeros(1, 40, 4), torch.ones(1, 40, 4)
    key[0, 17, 2] = torch.nan
    decay, bonus = torch.full((4,), 0.1), torch.zeros(4)
    for path in ("slab", "triton"):
        with use_path(path):
            found = bi_wkv(decay, bonus, key, value, line_plan(40))
        assert found.isnan().any(dim=1).tolist() == [[False, False, True, False]], path


class TestTheChoice:
    """Which path is taken, and when Triton is looked at."""

    class Grid:
        is_cuda, dtype, device = True, torch.float32, torch.device("cpu")

    @pytest.fixture(autouse=True)
    def forget(self) -> None:
        wkv._triton_works.cache_clear()

    def test_a_gpu_on_which_the_trial_succeeds_takes_triton(self) -> None:
        assert wkv.path_for(self.Grid()) == "triton"  # type: ignore[arg-type]

    def test_a_first_scan_that_predicts_tries_the_gradients_too(self) -> None:
        with torch.inference_mode():
            assert wkv.path_for(self.Grid()) == "triton"  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", [RuntimeError, AttributeError, OSError, AssertionError])
    def test_a_trial_that_goes_wrong_leaves_the_slab_scan(
        self,
        kind: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from napari_rwkvseg.wkv import triton_scan

        def no_compiler(*_: object) -> Tensor:
            raise kind("Failed to find C compiler")

        monkeypatch.setattr(triton_scan, "bi_wkv", no_compiler)
        with caplog.at_level("INFO"):
            assert wkv.path_for(self.Grid()) == "slab"  # type: ignore[arg-type]
        assert "Failed to find C compiler" in caplog.text

    def test_a_trial_with_another_result_leaves_the_slab_scan(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from napari_rwkvseg.wkv import slab, triton_scan

        monkeypatch.setattr(triton_scan, "bi_wkv", lambda *i: 1.01 * slab.bi_wkv(*i))
        assert wkv.path_for(self.Grid()) == "slab"  # type: ignore[arg-type]

    def test_without_triton_a_gpu_takes_the_slab_scan(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(wkv, "triton_scan", raising=False)
        monkeypatch.setitem(sys.modules, "napari_rwkvseg.wkv.triton_scan", None)
        assert wkv.path_for(self.Grid()) == "slab"  # type: ignore[arg-type]

    def test_the_trial_takes_place_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from napari_rwkvseg.wkv import triton_scan

        trials: list[torch.device] = []
        monkeypatch.setattr(triton_scan, "works_on", lambda device: trials.append(device) or True)
        for _ in range(3):
            wkv.path_for(self.Grid())  # type: ignore[arg-type]
        assert len(trials) == 1

    def test_double_precision_and_cpus_take_the_slab_scan(self) -> None:
        double = self.Grid()
        double.dtype = torch.float64
        assert wkv.path_for(double) == "slab"  # type: ignore[arg-type]
        assert wkv.path_for(torch.zeros(1)) == "slab"

    def test_the_package_scans_without_importing_triton(self) -> None:
        code = (
            "import sys, torch; from napari_rwkvseg.wkv import bi_wkv, line_plan; "
            "x = torch.zeros(1, 3, 2); bi_wkv(x[0, 0], x[0, 0], x, x, line_plan(3)); "
            "print('napari_rwkvseg.wkv.triton_scan' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "False", done.stderr


def test_all_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.wkv.compile_kernels"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
    )
    kernels = ["sum_weights", "carry", "mix", "sum_pulls", "differentiate"]
    built = [f"{kernel} {width}" for width in (8, 32) for kernel in kernels]
    assert done.stdout.splitlines() == built, done.stderr[-2000:]
