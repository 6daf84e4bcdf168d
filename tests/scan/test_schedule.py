"""Schedules: what each level scans, in words and as data that survives a file."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.scan.blocks import block_sequences, two_level_order
from napari_rwkvseg.scan.orders import ORDER_KINDS, scan_order
from napari_rwkvseg.scan.schedule import (
    HeadScan,
    LevelScan,
    Schedule,
    dynamic_schedule,
    global_schedule,
    uniform_schedule,
)

steady = settings(derandomize=True, database=None, deadline=None, max_examples=60)
kinds = st.sampled_from(ORDER_KINDS)
sizes = st.integers(1, 12)
heads = st.one_of(
    st.builds(HeadScan, kinds, st.just("window"), sizes),
    st.builds(HeadScan, kinds, st.just("global"), sizes, st.none() | kinds),
)
levels = st.builds(LevelScan, st.lists(heads, min_size=1, max_size=4).map(tuple))
schedules = st.builds(Schedule, st.lists(levels, min_size=1, max_size=4).map(tuple))


def words(schedule: Schedule) -> list[list[str]]:
    return [[head.describe() for head in level.heads] for level in schedule.levels]


def one_head(**changes: Any) -> dict[str, Any]:
    head = {"order": "row", "extent": "global"} | changes
    return {"levels": [{"heads": [head]}]}


class TestHeadScan:
    def test_a_global_head_has_one_sequence(self) -> None:
        (sequence,) = HeadScan("spiral", "global").sequences(5, 7)
        assert np.array_equal(sequence, scan_order("spiral", 5, 7))

    def test_a_window_head_has_one_sequence_per_window(self) -> None:
        assert HeadScan("row", "window", 4).sequences(5, 7) is block_sequences("row", 5, 7, 4)

    def test_a_two_level_head_has_one_sequence_block_by_block(self) -> None:
        (sequence,) = HeadScan("row", "global", 4, outer="spiral").sequences(9, 11)
        assert np.array_equal(sequence, two_level_order("spiral", "row", 9, 11, 4))

    def test_windows_are_eight_cells_wide_unless_told(self) -> None:
        assert len(HeadScan("row", "window").sequences(16, 17)) == 6

    @given(head=heads, height=st.integers(1, 25), width=st.integers(1, 25))
    @steady
    def test_visits_each_cell_once(self, head: HeadScan, height: int, width: int) -> None:
        visits = np.concatenate(head.sequences(height, width))
        assert sorted(visits.tolist()) == list(range(height * width))

    @pytest.mark.parametrize(
        ("head", "text"),
        [
            (HeadScan("row", "global"), "row snake, global"),
            (HeadScan("antidiagonal", "global"), "anti-diagonal snake, global"),
            (HeadScan("hilbert", "window"), "Hilbert in 8×8 windows"),
            (HeadScan("spiral", "window", 5), "spiral in 5×5 windows"),
            (
                HeadScan("row", "global", 4, outer="hilbert"),
                "row snake in 4×4 blocks, blocks by Hilbert, global",
            ),
        ],
    )
    def test_describes_itself(self, head: HeadScan, text: str) -> None:
        assert head.describe() == text

    def test_each_order_has_a_name_and_a_direction_of_its_own(self) -> None:
        every = [HeadScan(kind, "global") for kind in ORDER_KINDS]
        assert len({head.describe() for head in every}) == len(ORDER_KINDS)
        assert len({head.direction() for head in every}) == len(ORDER_KINDS)
        assert every[5].direction() == "clockwise from the border to the middle"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"order": "peano"}, "unknown scan order 'peano', choose one of row, column"),
            ({"extent": "local"}, "unknown extent 'local', choose one of global, window"),
            ({"size": 0}, "at least 1 cell, got 0"),
            ({"size": 8.0}, "whole number of cells, got 8.0"),
            ({"size": True}, "whole number of cells, got True"),
            ({"outer": "peano"}, "unknown scan order 'peano'"),
            ({"outer": "row", "extent": "window"}, "outer order 'row' has no use"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], message: str) -> None:
        values: dict[str, Any] = {"order": "row", "extent": "global"} | changes
        with pytest.raises(ValueError, match=message):
            HeadScan(**values)


class TestSchedule:
    def test_needs_a_level_and_a_level_needs_a_head(self) -> None:
        with pytest.raises(ValueError, match="at least one head"):
            LevelScan(())
        with pytest.raises(ValueError, match="at least one level"):
            Schedule(())

    def test_cannot_be_changed(self) -> None:
        schedule = uniform_schedule()
        level = schedule.levels[0]
        for frozen, name in ((schedule, "levels"), (level, "heads"), (level.heads[0], "order")):
            with pytest.raises(FrozenInstanceError):
                setattr(frozen, name, None)

    def test_becomes_plain_values(self) -> None:
        schedule = Schedule((LevelScan((HeadScan("row", "global", 4, "spiral"),)),))
        head = {"order": "row", "extent": "global", "size": 4, "outer": "spiral"}
        assert schedule.to_dict() == {"levels": [{"heads": [head]}]}

    @given(schedule=schedules)
    @steady
    def test_survives_json(self, schedule: Schedule) -> None:
        assert Schedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule

    def test_size_and_outer_order_may_be_left_out(self) -> None:
        expected = Schedule((LevelScan((HeadScan("row", "global", 8, None),)),))
        assert Schedule.from_dict(one_head()) == expected

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, "a schedule must have the one entry 'levels'"),
            ([], "a schedule must have the one entry 'levels'"),
            ({"levels": [], "more": 1}, "a schedule must have the one entry 'levels'"),
            ({"levels": "row"}, "'levels' of a schedule must be a list, got 'row'"),
            ({"levels": []}, "at least one level"),
            ({"levels": [{"head": []}]}, "a level must have the one entry 'heads'"),
            ({"levels": [{"heads": {}}]}, "'heads' of a level must be a list"),
            ({"levels": [{"heads": []}]}, "at least one head"),
            ({"levels": [{"heads": ["row"]}]}, "a head must be an object .* got 'row'"),
            ({"levels": [{"heads": [{"order": "row"}]}]}, "order and extent, .* got order$"),
            (one_head(flip=True), "got order, extent, flip"),
            (one_head(order="peano"), "unknown scan order 'peano'"),
            (one_head(order=["row"]), "unknown scan order"),
            (one_head(extent=None), "unknown extent None"),
            (one_head(size="8"), "whole number of cells, got '8'"),
        ],
    )
    def test_damaged_values_are_refused(self, values: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Schedule.from_dict(values)


class TestDynamicSchedule:
    def test_goes_from_windows_to_global_orders(self) -> None:
        assert words(dynamic_schedule()) == [
            [
                "row snake in 8×8 windows",
                "column snake in 8×8 windows",
                "diagonal snake in 8×8 windows",
                "row snake in 8×8 blocks, blocks by Hilbert, global",
            ],
            [
                "column snake in 8×8 windows",
                "row snake in 8×8 windows",
                "anti-diagonal snake in 8×8 windows",
                "Hilbert, global",
            ],
            [
                "row snake, global",
                "column snake, global",
                "Hilbert, global",
                "diagonal snake, global",
            ],
            [
                "row snake, global",
                "column snake, global",
                "diagonal snake, global",
                "anti-diagonal snake, global",
            ],
        ]

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8])
    def test_every_level_has_as_many_heads_as_asked_and_sees_the_whole_grid(
        self, count: int
    ) -> None:
        for level in dynamic_schedule(count).levels:
            assert len(level.heads) == count
            assert level.heads[-1].extent == "global"

    @pytest.mark.parametrize("level", range(4))
    def test_no_head_walks_the_path_of_another_backwards(self, level: int) -> None:
        paths = set()
        for head in dynamic_schedule().levels[level].heads:
            for sequence in head.sequences(32, 32)[:1]:
                path = tuple(sequence.tolist())
                paths.add(min(path, path[::-1]))
        assert len(paths) == 4

    @pytest.mark.parametrize("count", [0, -1])
    @pytest.mark.parametrize("make", [dynamic_schedule, global_schedule])
    def test_no_heads_are_refused(self, make: Any, count: int) -> None:
        with pytest.raises(ValueError, match=f"at least one head, got {count}"):
            make(count)


class TestAblations:
    @pytest.mark.parametrize("count", [4, 5])
    def test_global_schedule_differs_from_the_dynamic_one_in_extent_only(self, count: int) -> None:
        dynamic, everywhere = dynamic_schedule(count), global_schedule(count)
        for windows, whole in zip(dynamic.levels, everywhere.levels, strict=True):
            assert {head.extent for head in whole.heads} == {"global"}
            for a, b in zip(windows.heads, whole.heads, strict=True):
                assert (a.order, a.size, a.outer) == (b.order, b.size, b.outer)

    def test_all_schedules_have_four_levels_of_four_heads_unless_told(self) -> None:
        for make in (dynamic_schedule, global_schedule, uniform_schedule):
            assert [len(level.heads) for level in make().levels] == [4, 4, 4, 4]

    def test_uniform_schedule_has_rows_only(self) -> None:
        assert words(uniform_schedule()) == [["row snake, global"] * 4] * 4

    def test_uniform_schedule_takes_another_order_and_number_of_heads(self) -> None:
        assert words(uniform_schedule("raster", heads=2)) == [["raster, global"] * 2] * 4

    def test_uniform_schedule_refuses_what_is_unknown(self) -> None:
        with pytest.raises(ValueError, match="'peano'"):
            uniform_schedule("peano")
        with pytest.raises(ValueError, match="got 0"):
            uniform_schedule(heads=0)
