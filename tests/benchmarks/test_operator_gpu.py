"""The program for GPUs, tried out on a CPU: its arithmetic, and what is timed."""

from __future__ import annotations

import json
import math

import pytest
import torch

from benchmarks import operator, operator_gpu
from benchmarks.gpu import SETS, Card, Figures, Inputs

CPU = torch.device("cpu")


def test_the_share_is_what_moves_in_time_by_what_could() -> None:
    assert Figures(seconds=2.0, peak=0).share(moved=100, bandwidth=200.0) == 0.25


def test_each_call_is_warmed_up_and_finds_other_inputs_than_the_one_before() -> None:
    numbers = iter(range(100))
    seen: list[float] = []
    figures = Card(CPU, rounds=4).run(
        lambda: (torch.tensor(float(next(numbers))),), lambda inputs: seen.append(float(inputs[0]))
    )
    assert SETS == 3
    assert seen == [0, 1, 2, 0, 1, 2, 0]  # three to warm up
    assert figures.seconds > 0


def test_a_copy_reads_and_writes() -> None:
    class Clock(Card):
        def run(self, make: object, work: object) -> Figures:
            return Figures(seconds=0.5, peak=0)

    assert Clock(CPU, rounds=1).bandwidth(size=1000) == 4000


def test_backward_is_timed_without_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[str] = []
    forward = operator_gpu.forward
    monkeypatch.setattr(operator_gpu, "forward", lambda *a: (scans.append("scan"), forward(*a))[1])
    card, plan = Card(CPU, rounds=5), operator.four_orders(12)

    def make() -> Inputs:
        return operator_gpu.draw(card, (1, 12, 4), torch.float32, learning=True)

    operator_gpu.backward_only("slab", plan, make, card)
    assert len(scans) == SETS


def test_rows_name_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_gpu, "ATTENTION_TOKENS", 20)
    card, shapes = Card(CPU, rounds=1), [(2, 12, 8), (1, 24, 8)]
    rows = list(
        operator_gpu.measure(card, shapes, torch.float32, operator.four_orders, copied=4096)
    )
    assert [(row["path"], row["images"], row["tokens"]) for row in rows] == [
        ("slab", 2, 12),
        ("slab", 1, 24),
    ]
    assert rows[0]["forward / first"] == 1
    assert "attention / forward" in rows[0]
    assert "attention / forward" not in rows[1]
    figures = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)
    assert rows[0]["forward of copy"] == pytest.approx(
        5 * 2 * 12 * 8 * 4 / (rows[0]["forward ms"] / 1e3) / (rows[0]["copy GB/s"] * 1e9)
    )


def test_the_chosen_path_comes_before_the_slab_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_gpu, "path_for", lambda key: "reference")
    card = Card(CPU, rounds=1)
    rows = list(
        operator_gpu.measure(card, [(1, 12, 4)], torch.float32, operator.four_orders, copied=4096)
    )
    assert [row["path"] for row in rows] == ["reference", "slab"]


def test_another_device_gets_batches_of_the_size_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, object] = {}

    def measure(card: Card, shapes: object, dtype: torch.dtype, plan_of: object) -> list[object]:
        asked.update(device=card.device.type, shapes=shapes, dtype=dtype)
        return []

    monkeypatch.setattr(operator_gpu, "measure", measure)
    wanted = ["--device", "meta", "--dtype", "bfloat16", "--numbers", "1024", "--channels", "8"]
    operator.main([*wanted, "--tokens", "32", "512", "--json", "-"])
    assert asked == {
        "device": "meta",
        "shapes": [(4, 32, 8), (1, 512, 8)],
        "dtype": torch.bfloat16,
    }
    assert json.loads(capsys.readouterr().out)["conditions"]["clock"] == "events on meta, median"
