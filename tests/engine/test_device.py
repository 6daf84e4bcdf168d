from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from napari_rwkvseg.engine import device
from napari_rwkvseg.engine.device import (
    choose_device,
    cuda_fault,
    half_precision,
    limit_threads,
)

Trial = Callable[..., Any]


@pytest.fixture(autouse=True)
def _forget_the_trial() -> Iterator[None]:
    cuda_fault.cache_clear()
    yield
    cuda_fault.cache_clear()


def machine(
    monkeypatch: pytest.MonkeyPatch,
    *,
    cuda: bool = False,
    mps: bool = False,
    trial: Trial | None = None,
) -> list[Any]:
    """Pretend a machine; return the list of trials that were started."""
    trials: list[Any] = []

    def run(command: list[str], **options: Any) -> None:
        trials.append((command, options))
        if trial is not None:
            trial()

    monkeypatch.setattr(torch.version, "cuda", "13.0" if cuda else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(device.subprocess, "run", run)
    return trials


def fail(stderr: bytes) -> Trial:
    def trial() -> None:
        raise subprocess.CalledProcessError(-11, "python", stderr=stderr)

    return trial


def hang() -> None:
    raise subprocess.TimeoutExpired("python", 20)


def missing() -> None:
    raise FileNotFoundError("no python")


class TestChooseDevice:
    def test_without_a_card_it_is_the_processor_and_nothing_is_tried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trials = machine(monkeypatch)
        assert choose_device() == (torch.device("cpu"), "")
        assert trials == []

    def test_a_working_card_is_taken_and_tried_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trials = machine(monkeypatch, cuda=True)
        assert choose_device("auto") == (torch.device("cuda:0"), "")
        assert choose_device("cuda") == (torch.device("cuda:0"), "")
        assert len(trials) == 1
        assert trials[0][1]["timeout"] == 20

    def test_the_processor_is_taken_when_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trials = machine(monkeypatch, cuda=True)
        assert choose_device("cpu") == (torch.device("cpu"), "")
        assert trials == []

    @pytest.mark.parametrize(
        ("trial", "reason"),
        [
            (fail(b"Traceback\nRuntimeError: no kernel image\n"), "RuntimeError: no kernel image"),
            (fail(b""), "the trial ended with code -11"),
            (hang, "no answer in 20 s"),
            (missing, "no trial possible: no python"),
        ],
    )
    def test_a_broken_card_falls_back_with_a_note(
        self, monkeypatch: pytest.MonkeyPatch, trial: Trial, reason: str
    ) -> None:
        machine(monkeypatch, cuda=True, trial=trial)
        chosen, note = choose_device("auto")
        assert chosen == torch.device("cpu")
        assert note == f"cuda:0 cannot be used ({reason}): running on the processor."

    def test_a_wanted_card_that_is_not_there_is_mentioned(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine(monkeypatch)
        assert "no CUDA device" in choose_device("cuda")[1]
        assert choose_device("mps") == (
            torch.device("cpu"),
            "mps cannot be used (no Metal device): running on the processor.",
        )

    def test_metal_is_taken_when_wanted_and_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, mps=True)
        assert choose_device("mps") == (torch.device("mps"), "")
        assert choose_device("auto") == (torch.device("cpu"), "")

    def test_an_unknown_choice_is_refused(self) -> None:
        with pytest.raises(ValueError, match='auto, cpu, cuda, mps, got "tpu"'):
            choose_device("tpu")


class TestLimitThreads:
    @pytest.fixture(autouse=True)
    def _restore(self) -> Iterator[None]:
        before = torch.get_num_threads()
        yield
        torch.set_num_threads(before)

    @pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 7)])
    def test_leaves_one_core_to_the_window(
        self, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
    ) -> None:
        monkeypatch.setattr(device, "_DEFAULT_THREADS", cores)
        limit_threads()
        assert torch.get_num_threads() == threads

    def test_takes_what_is_wanted_and_returns_what_was(self) -> None:
        torch.set_num_threads(2)
        assert limit_threads(3) == 2
        assert torch.get_num_threads() == 3
        assert limit_threads(0) == 3
        assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("kind", "halved"), [("cpu", False), ("cuda", True), ("mps", False)])
def test_only_cuda_multiplies_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, kind: str, halved: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch, "autocast", lambda *how, **more: asked.append((*how, more)))
    half_precision(torch.device(kind))
    assert asked == [(kind, torch.bfloat16, {"enabled": halved})]
