"""The benchmark programs on tiny sizes: their figures are not tested, only that they are there."""

from __future__ import annotations

import json
import math
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import explorer, foundation, latency, operator, peers, timing


@pytest.fixture(autouse=True)
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "CACHE_BYTES", 64)


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def without(*packages: str) -> Any:
    def load(name: str) -> Any:
        if name.split(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return import_module(name)

    return load


def test_operator_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    operator.main(["--tokens", "12", "64", "--channels", "8", "--rounds", "2", "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    assert [row["tokens"] for row in result["rows"]] == [12, 64]
    for row in result["rows"]:
        assert all(math.isfinite(value) and value > 0 for value in row.values())
        assert {"forward / copy", "forward / linear", "attention / forward"} <= set(row)
    assert result["conditions"]["threads"] == 1


def test_attention_is_left_out_where_it_would_take_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operator, "ATTENTION_TOKENS", 15)
    assert "attention" not in operator.competitors(16, 8)


def test_the_four_heads_scan_in_four_orders() -> None:
    plan = operator.four_orders(24)
    first_steps = plan.steps[0, :, :].T.tolist()
    assert plan.tokens == 24
    assert len(set(map(tuple, first_steps))) == 4


def test_a_copy_has_its_own_memory() -> None:
    grid = torch.randn(1, 5, 3)
    copy = operator.copy_to_new_memory(grid)
    assert torch.equal(copy, grid)
    assert copy.data_ptr() != grid.data_ptr()


def test_latency_writes_a_table_and_a_file_and_names_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "import_module", without("transformers"))
    monkeypatch.setattr(latency, "COUNTED_SIZE", 32)
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    target = tmp_path / "figures.json"
    names = ["UNeXt-like", "SegFormer-B0 (transformers)"]
    sizes = ["--sizes", "32", "--training", "2", "3", "32", "32", "--rounds", "1"]
    latency.main([*sizes, "--json", str(target), "--only", *names])

    result = json.loads(target.read_text("utf-8"))
    rows = {(row["what"], row["network"]): row for row in result["rows"]}
    assert {network for _, network in rows} == {"base", "UNeXt-like"}
    assert rows["forward 32x32", "base"]["base / this"] == 1
    assert rows["training step 2x3x32x32", "UNeXt-like"]["ms"] > 0
    assert rows["budget", "base"]["parameters"] <= 1_450_000

    printed = capsys.readouterr()
    assert "skipped: SegFormer-B0 (transformers): No module named 'transformers" in printed.err
    assert "network UNeXt-like" in printed.out
    assert len(result["skipped"]) == 1


def test_no_package_of_the_extra_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = without("transformers", "torchvision")
    monkeypatch.setattr(peers, "import_module", absent)
    networks, skipped = latency.build([])
    own = set(peers.PEERS) - {"SegFormer-B0 (transformers)", "LR-ASPP MobileNetV3 (torchvision)"}
    assert set(networks) == {"tiny", "base", *own}
    assert len(skipped) == 2


@pytest.mark.parametrize(
    ("network", "millions"),
    [
        (peers.PlainUNet, 31.0),
        (peers.ResNetUNet, 14.328),
        (peers.CellposeLike, 6.4),
        (peers.UNeXtLike, 1.4),
        (peers.FcnLike, 1.9),
        (peers.ZigRiRLike, 24.1),
    ],
)
def test_our_own_peers_have_the_size_of_their_models(network: Any, millions: float) -> None:
    peer = network().eval()
    assert timing.parameters(peer) / 1e6 == pytest.approx(millions, abs=0.05)
    with torch.inference_mode():
        assert peer(torch.zeros(1, 3, 64, 32)).shape == (1, 2, 64, 32)


def test_logits_of_a_peer_are_brought_to_the_size_of_the_image() -> None:
    peer = peers.Resized(torch.nn.MaxPool2d(4), lambda output: output[:, :2])
    assert peer(torch.zeros(1, 3, 16, 8)).shape == (1, 2, 16, 8)


def test_competitors_take_turns_and_the_first_turn_is_not_counted() -> None:
    turns: list[str] = []
    race = timing.Race({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert [len(times) for times in race.seconds.values()] == [3, 3]


def test_short_calls_take_more_turns() -> None:
    race = timing.Race({"sum": lambda: sum(range(1000))}, rounds=2, at_least=0.01)
    assert len(race.seconds["sum"]) > 2


def test_ratios_are_taken_round_by_round() -> None:
    race = timing.Race({}, rounds=0)
    race.seconds = {"ours": [1.0, 20.0, 3.0], "theirs": [2.0, 10.0, 6.0]}
    assert race.median("ours") == 3
    assert race.ratio("ours", "theirs") == 0.5


def test_multiply_adds_of_a_convolution() -> None:
    convolution = torch.nn.Conv2d(3, 10, 3, padding=1)
    assert timing.gmac(convolution, torch.zeros(1, 3, 10, 20)) == pytest.approx(54000 / 1e9)


def test_peak_memory_sees_what_a_call_takes() -> None:
    peak = timing.peak_megabytes(lambda: np.ones(32 << 17))
    assert peak is None or peak == pytest.approx(32, abs=4)


def test_explorer_times_answers_and_compares_gates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer, "SIDE", 32)
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        for image in range(2):
            values = np.random.default_rng(image).random((32, 32)) ** (1 + number)
            np.save(tmp_path / folder / f"{image}.npy", values.astype(np.float32))
    folders = [str(tmp_path / name) for name in ("one", "two")]
    only = ["--only", "answers", "gates", "--images", *folders]
    explorer.main([*only, "--rounds", "1", "--json", "-"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    names = ["a head", "heads of a block", "receptive field", "gates within", "gates between"]
    assert [row["what"] for row in rows] == names
    assert all(row["CPU ms"] > 0 for row in rows[:3])
    assert [row["pairs"] for row in rows[3:]] == [1, 4]


def test_an_encoder_is_timed_beside_ours_and_one_that_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foundation, "import_module", without("transformers"))
    small = partial(torch.nn.Conv2d, 3, 5, 1)
    encoders = {"small": (small, 32), "SAM ViT-B": foundation.ENCODERS["SAM ViT-B"]}
    monkeypatch.setattr(foundation, "ENCODERS", encoders)
    foundation.main(["--rounds", "1", "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    (row,) = result["rows"]
    assert (row["encoder"], row["side"], row["parameters M"]) == ("small", 32, 2e-5)
    assert row["theirs / ours"] == pytest.approx(row["CPU s"] / row["ours, CPU s"])
    assert row["theirs / ours"] < 1  # one convolution takes less than a network
    assert result["skipped"] == [
        "SAM ViT-B: No module named 'transformers'; it comes with the extra bench"
    ]
