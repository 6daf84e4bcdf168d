"""The demo opens a sample and the dock, and nothing else is left to do but to click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import pytest

from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.widgets import demo


@pytest.fixture
def plugin_viewer(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Let the demo make its viewer through the fixture that also takes it down again."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(make_napari_viewer(strict_qt="raise", **options))
        return made[-1]

    monkeypatch.setattr(napari, "Viewer", make)
    return made


def test_the_demo_is_ready_to_click(plugin_viewer: list[Any], qtbot: Any) -> None:
    opened = demo.open_demo("nuclei")
    assert [opened.viewer] == plugin_viewer
    assert [layer.name for layer in opened.viewer.layers] == ["nuclei", "nuclei · truth"]
    assert opened.dock.workflow.state.image is opened.viewer.layers["nuclei"]
    qtbot.waitUntil(opened.button.isVisible)
    assert opened.button.isEnabled()
    assert opened.button.text() == "Segment"


def test_an_unknown_sample_is_refused_before_a_window_opens(plugin_viewer: list[Any]) -> None:
    with pytest.raises(RwkvSegError, match="Choose nuclei, tissue, ct"):
        demo.open_demo("brain")
    assert plugin_viewer == []


def test_show_demo_stays_until_the_window_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(demo, "open_demo", lambda sample: calls.append(sample))
    monkeypatch.setattr(napari, "run", lambda: calls.append("run"))
    demo.show_demo("ct")
    assert calls == ["ct", "run"]
