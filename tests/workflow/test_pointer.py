"""A press and a release at one place ask; anything that moved the camera does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from napari_rwkvseg.workflow.explorer.pointer import STILL, Pointer

PLACE = (3.0, 4.0)  # in the world, where the mouse was pressed


class Mouse:
    """Presses, moves and releases as napari hands them on: one event that changes."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.viewer = SimpleNamespace(mouse_drag_callbacks=[], mouse_move_callbacks=[])
        self.pointer = Pointer(self.viewer, self.asked.append)

    def drag(self, *canvas: tuple[float, float]) -> list[Any]:
        """Press at the first canvas position, move along, release at the last one."""
        start, *moves, end = canvas
        event = SimpleNamespace(type="mouse_press", pos=start, position=PLACE)
        for callback in list(self.viewer.mouse_drag_callbacks):
            waiting = callback(self.viewer, event)
            next(waiting)
            for place in moves:
                event.type, event.pos, event.position = "mouse_move", place, (9.0, 9.0)
                next(waiting)
            event.type, event.pos, event.position = "mouse_release", end, (9.0, 9.0)
            with pytest.raises(StopIteration):
                next(waiting)
        return self.asked


@pytest.fixture
def mouse() -> Mouse:
    mouse = Mouse()
    mouse.pointer.listen(True)
    return mouse


def test_a_click_asks_about_where_it_was_pressed(mouse: Mouse) -> None:
    assert mouse.drag((10, 10), (10 + STILL, 10 - STILL), (10, 10)) == [PLACE]


@pytest.mark.parametrize("away", [(10 + STILL + 1, 10), (10, 10 - STILL - 1)])
def test_a_drag_asks_nothing_though_it_comes_back(mouse: Mouse, away: tuple[float, float]) -> None:
    assert mouse.drag((10, 10), away, (10, 10)) == []


@pytest.mark.parametrize("away", [(10 + STILL + 1, 10), (10, 10 - STILL - 1)])
def test_a_release_elsewhere_is_a_drag_though_no_move_was_seen(
    mouse: Mouse, away: tuple[float, float]
) -> None:
    assert mouse.drag((10, 10), away) == []


def test_who_stopped_listening_hears_nothing(mouse: Mouse) -> None:
    mouse.pointer.listen(False)
    assert mouse.drag((10, 10), (10, 10)) == []
    assert mouse.viewer.mouse_move_callbacks == []


def test_listening_twice_asks_once(mouse: Mouse) -> None:
    mouse.pointer.listen(True)
    assert mouse.drag((10, 10), (10, 10)) == [PLACE]


@pytest.mark.parametrize(("held", "asked"), [(("Shift",), [PLACE]), (("Control",), []), ((), [])])
def test_moves_ask_while_shift_is_held(
    mouse: Mouse, held: tuple[str, ...], asked: list[Any]
) -> None:
    event = SimpleNamespace(modifiers=held, position=PLACE)
    for callback in mouse.viewer.mouse_move_callbacks:
        callback(mouse.viewer, event)
    assert mouse.asked == asked
