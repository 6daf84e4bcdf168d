"""Ranks, arrows and borders are those of the index tensors that the operator used."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.scan_path import Reach, ScanPath, round_figure
from tests.recording import OperatorCall, record_operator, scanning_model, visited

SIZES = [(50, 70), (33, 97), (64, 64)]


def explained(height: int, width: int, **changes: object) -> Explanation:
    image = interpret(np.random.default_rng(2).random((height, width)), name="noise")
    return finish(explain(scanning_model(**changes), image))


def recorded(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int, **changes: object
) -> tuple[Explanation, list[OperatorCall]]:
    calls = record_operator(monkeypatch)
    found = explained(height, width, **changes)
    return found, [call for call in calls if call.plan.heads == 4]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("pooled", [(2, 1, 1, 1), (3, 2, 1, 1)])
def test_every_cell_shown_has_the_step_at_which_the_operator_read_it(
    height: int, width: int, pooled: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, calls = recorded(monkeypatch, height, width, pooled_keys=pooled)
    for number, call in enumerate(calls):
        for head in range(4):
            path = found.path(number, head)
            step = {t: n for sequence in visited(call.plan, head) for n, t in enumerate(sequence)}
            rows, columns = path.rank.shape
            across = path.cells.grid[1]
            expected = [[step[r * across + c] for c in range(columns)] for r in range(rows)]
            assert path.rank.tolist() == expected


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_arrow_is_a_step_of_the_operator_and_none_is_missing(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, calls = recorded(monkeypatch, height, width)
    for number, call in enumerate(calls):
        for head in range(4):
            path = found.path(number, head)
            arrows = path.arrows()
            ends = arrows.start + arrows.way
            drawn = {
                (_token(path, a), _token(path, b)) for a, b in zip(arrows.start, ends, strict=True)
            }
            ran = {
                (a, b)
                for sequence in visited(call.plan, head)
                for a, b in pairwise(sequence)
                if _shown(path, a) and _shown(path, b)
            }
            assert (drawn, arrows.every) == (ran, 1)


def _token(path: ScanPath, place: np.ndarray) -> int:
    return int(place[0] * path.cells.grid[1] + place[1])


def _shown(path: ScanPath, token: int) -> bool:
    rows, columns = path.cells.shown
    return token // path.cells.grid[1] < rows and token % path.cells.grid[1] < columns


def test_too_many_arrows_are_thinned_evenly_and_it_is_said() -> None:
    path = explained(64, 64).path(0, 3)  # 8 × 8 cells, 63 steps
    arrows = path.arrows(most=20)
    assert arrows.every == 4
    assert arrows.step.tolist() == list(range(0, 63, 4))


def test_windows_have_borders_around_each_of_them() -> None:
    path = explained(50, 150).path(0, 0)  # 7 × 19 cells shown of 8 × 20, windows of 8
    lines = path.borders()
    across, down = lines[lines[:, 1, 0] == 0], lines[lines[:, 1, 1] == 0]
    assert across[:, 0].tolist() == [[-0.5, -0.5], [6.5, -0.5]]
    assert down[:, 0, 1].tolist() == [-0.5, 7.5, 15.5, 18.5]


def test_one_sequence_without_blocks_has_no_borders() -> None:
    assert explained(64, 64).path(1, 3).borders().shape == (0, 2, 2)  # Hilbert, global


def test_two_level_orders_show_their_blocks() -> None:
    assert len(explained(64, 64).path(0, 3).borders()) == 4


def test_steps_count_the_longest_sequence() -> None:
    found = explained(96, 96)
    assert (found.path(0, 0).steps, found.path(0, 3).steps) == (64, 144)


def test_a_reach_is_told_in_tokens_and_along_the_path() -> None:
    reach = Reach((2.91, 17.2, 90.0), 256)
    assert reach.describe(8) == ("half after 2.9 to 90 tokens, median 17 (140 px along the path)")
    assert reach.describe(8, 0.5, "µm").endswith("(69 µm along the path)")


def test_the_reach_of_a_head_is_that_of_its_decays() -> None:
    found = explained(64, 64)
    layer, path = found.trace.layers[0], found.path(0, 2)
    decay = layer.decay[layer.channels(2)]
    assert path.reach.tokens[0] == pytest.approx(math.log(2) / float(decay.max()))
    assert path.reach.tokens[2] == pytest.approx(math.log(2) / float(decay.min()))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0432, "0.043"), (3.44, "3.4"), (17.2, "17"), (137, "140"), (1249, "1200")],
)
def test_figures_are_rounded_to_two(value: float, text: str) -> None:
    assert round_figure(value) == text
