from __future__ import annotations

import pytest
import torch

from napari_rwkvseg.engine.effort import (
    Effort,
    enough_to_retrain,
    is_out_of_memory,
    or_on_processor,
)
from napari_rwkvseg.errors import RwkvSegError

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


def ladder(start: Effort, full_tile: int) -> list[tuple[int, int, str]]:
    steps = []
    effort: Effort | None = start
    while (effort := effort.less(full_tile)) is not None:
        steps.append((effort.batch, effort.tile, effort.device.type))
    return steps


def test_batch_then_tile_then_processor() -> None:
    assert ladder(Effort(4, 512, CUDA), 512) == [
        (2, 512, "cuda"), (1, 512, "cuda"), (1, 256, "cuda"), (1, 128, "cuda"),
        (1, 512, "cpu"), (1, 256, "cpu"), (1, 128, "cpu"),
    ]  # fmt: skip


def test_the_smallest_tile_is_128() -> None:
    assert ladder(Effort(1, 200, CPU), 200) == [(1, 128, "cpu")]
    assert ladder(Effort(1, 100, CPU), 100) == []


def test_the_note_names_what_became_smaller() -> None:
    start = Effort(2, 512, CUDA)
    assert Effort(1, 512, CUDA).describe(start).endswith("went on with one tile at a time.")
    assert Effort(2, 512, CUDA).describe(Effort(4, 512, CUDA)).endswith("with 2 tiles at a time.")
    assert Effort(2, 256, CUDA).describe(start).endswith("went on with tiles of 256 pixels.")
    assert Effort(1, 512, CPU).describe(start).endswith("went on with the processor.")


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("DefaultCPUAllocator"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_what_counts_as_out_of_memory(error: BaseException, memory: bool) -> None:
    assert is_out_of_memory(error) is memory


def test_what_does_not_fit_on_a_device_is_done_on_the_processor() -> None:
    where: list[str] = []

    def work(device: torch.device) -> str:
        where.append(device.type)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert or_on_processor(work, CUDA) == "done"
    assert where == ["cuda", "cpu"]


@pytest.mark.parametrize(
    ("device", "error"), [(CPU, MemoryError()), (CUDA, RuntimeError("size mismatch"))]
)
def test_other_errors_and_those_of_the_processor_are_told(
    device: torch.device, error: Exception
) -> None:
    def work(device: torch.device) -> None:
        raise error

    with pytest.raises(type(error)) as told:
        or_on_processor(work, device)
    assert told.value is error


def test_too_little_memory_to_retrain_is_a_sentence_with_a_remedy_that_exists() -> None:
    with (
        pytest.raises(RwkvSegError, match=r"^small: not enough memory to retrain.*in -tiny\.$"),
        enough_to_retrain("small"),
    ):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
    with pytest.raises(RuntimeError, match="size mismatch"), enough_to_retrain("small"):
        raise RuntimeError("size mismatch")
