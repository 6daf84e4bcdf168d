from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.axes import Clues, check_axes, check_sides, decide_axes
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError


def clues(*shape: int, **known: Any) -> Clues:
    return Clues("cells", shape, **known)


def asked(given_clues: Clues) -> tuple[str, ...]:
    with pytest.raises(AmbiguousAxesError) as question:
        decide_axes(given_clues)
    return question.value.choices


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "axes"),
        [
            (("z", "y", "x"), "zyx"),
            (("Time", "row", "column"), "tyx"),
            (("channel", "-2", "-1"), "cyx"),
            (("slice", "y", "-1"), "zyx"),
            (("y", "x", "c"), "yxc"),
            (("-3", "-2", "c"), "yxc"),
            (("position", "y", "x"), "nyx"),
        ],
    )
    def test_decide(self, labels: tuple[str, ...], axes: str) -> None:
        assert decide_axes(clues(40, 50, 60, labels=labels)) == axes

    def test_that_say_nothing_leave_the_question(self) -> None:
        assert asked(clues(40, 50, 60, labels=("-3", "-2", "-1")))[0] == "zyx"

    def test_of_another_length_are_ignored(self) -> None:
        assert "zyx" in asked(clues(40, 50, 60, labels=("y", "x")))

    def test_of_only_some_axes_leave_the_others_open(self) -> None:
        assert asked(clues(4, 5, 60, 70, labels=("-4", "z", "y", "x"))) == ("tzyx", "czyx", "nzyx")

    @pytest.mark.parametrize("labels", [("x", "y", "z"), ("z", "z", "y"), ("z", "x", "y")])
    def test_against_the_order_of_planes_are_asked_about(self, labels: tuple[str, ...]) -> None:
        message = f"labels {', '.join(labels)} do not end in y, x"
        with pytest.raises(AmbiguousAxesError, match=message) as error:
            decide_axes(clues(40, 50, 60, labels=labels))
        assert "zyx" in error.value.choices

    def test_work_beside_colours(self) -> None:
        assert decide_axes(clues(9, 50, 60, 3, rgb=True, labels=("t", "y", "x"))) == "tyxs"


class TestUnits:
    def test_a_physical_step_of_its_own_is_a_slice(self) -> None:
        known = {"spacing": (5.0, 1.0, 1.0), "units": ("mm",) * 3}
        assert decide_axes(clues(9, 50, 60, **known)) == "zyx"

    @pytest.mark.parametrize(("step", "unit"), [(1.0, "mm"), (5.0, "pixel"), (5.0, "furlong")])
    def test_anything_less_is_asked(self, step: float, unit: str) -> None:
        known = {"spacing": (step, 1.0, 1.0), "units": (unit, "mm", "mm")}
        assert asked(clues(9, 50, 60, **known))[0] == "zyx"

    def test_time_is_time(self) -> None:
        known = {"spacing": (1.0, 2.0, 1.0, 1.0), "units": ("s", "µm", "µm", "µm")}
        assert decide_axes(clues(9, 8, 50, 60, **known)) == "tzyx"

    def test_two_physical_steps_decide_nothing(self) -> None:
        known = {"spacing": (3.0, 2.0, 1.0, 1.0), "units": ("µm",) * 4}
        assert asked(clues(9, 8, 50, 60, **known))[0] == "tzyx"

    def test_labels_come_first(self) -> None:
        known = {"spacing": (5.0, 1.0, 1.0), "units": ("mm",) * 3, "labels": ("c", "y", "x")}
        assert decide_axes(clues(9, 50, 60, **known)) == "cyx"


class TestSinglePlanes:
    def test_change_nothing_and_are_not_asked_about(self) -> None:
        assert decide_axes(clues(1, 50, 60)) == "nyx"
        assert decide_axes(clues(1, 1, 50, 60, 3, rgb=True)) == "nzyxs"

    def test_leave_the_likely_letters_to_others(self) -> None:
        choices = asked(clues(1, 7, 50, 60))
        assert {choice[1] for choice in choices} == {"t", "z", "c", "n"}


class TestQuestions:
    def test_few_planes_are_channels_first_many_are_slices(self) -> None:
        assert asked(clues(4, 50, 60)) == ("cyx", "zyx", "tyx", "nyx")
        assert asked(clues(5, 50, 60)) == ("zyx", "tyx", "cyx", "nyx")

    def test_what_the_file_says_comes_first_but_is_asked(self) -> None:
        assert asked(clues(4, 50, 60, likely="tyx"))[:2] == ("tyx", "cyx")

    def test_what_does_not_fit_is_not_offered(self) -> None:
        assert "tzyx" not in asked(clues(4, 50, 60, likely="tzyx"))

    @pytest.mark.parametrize(
        ("entries", "choices"), [(2, ("yxc",)), (3, ("yxs", "yxc")), (4, ("yxs", "yxc"))]
    )
    def test_about_the_last_axis(self, entries: int, choices: tuple[str, ...]) -> None:
        assert asked(clues(50, 60, entries)) == choices

    def test_about_two_axes_offers_usual_orders_first(self) -> None:
        choices = asked(clues(6, 7, 50, 60))
        assert choices[:3] == ("tzyx", "tcyx", "zcyx")
        assert len(choices) == 12

    def test_of_too_small_planes_have_no_answer(self) -> None:
        with pytest.raises(BadImageError, match="side 8 below minimum 16") as error:
            decide_axes(clues(9, 8, 20))
        assert not isinstance(error.value, AmbiguousAxesError)

    @given(
        st.lists(st.integers(1, 40), min_size=3, max_size=6),
        st.booleans(),
    )
    def test_every_answer_offered_is_accepted(self, shape: list[int], rgb: bool) -> None:
        known = clues(*shape, *([3] if rgb else []), rgb=rgb)
        try:
            answers = (decide_axes(known),)
        except AmbiguousAxesError as question:
            answers = question.choices
        except BadImageError:
            answers = ()
        assert len(set(answers)) == len(answers)
        for answer in answers:
            assert check_axes(answer, known) == answer


class TestChosenAxes:
    def test_may_be_upper_case_and_leave_colours_out(self) -> None:
        assert check_axes(" ZYX ", clues(5, 50, 60)) == "zyx"
        assert check_axes("tyx", clues(5, 50, 60, 3, rgb=True)) == "tyxs"

    @pytest.mark.parametrize(
        ("axes", "shape", "reason"),
        [
            ("zyx", (50, 60), "name 3 axes, the array has 2"),
            ("qyx", (5, 50, 60), "hold a letter other than"),
            ("yyx", (5, 50, 60), "name an axis twice"),
            ("zxy", (5, 50, 60), "must end in y, x"),
            ("yxz", (50, 60, 5), "must end in y, x"),
            ("cyxs", (5, 50, 60, 3), "both channels and colours"),
            ("yxs", (50, 60, 2), "need 3 or 4 colours as last axis"),
            ("syx", (3, 50, 60), "need 3 or 4 colours as last axis"),
        ],
    )
    def test_that_do_not_fit_are_refused(
        self, axes: str, shape: tuple[int, ...], reason: str
    ) -> None:
        with pytest.raises(BadImageError, match=reason):
            check_axes(axes, clues(*shape))


def test_the_smallest_side_is_16() -> None:
    check_sides("cells", "zyx", (1, 16, 16))
    with pytest.raises(BadImageError, match="side 15 below minimum 16"):
        check_sides("cells", "zyx", (20, 16, 15))
