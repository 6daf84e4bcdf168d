"""Two images side by side, and a model's overview, in windows of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QPushButton

from napari_rwkvseg.widgets.models import ModelsTab
from tests.widgets.docking import WAIT
from tests.widgets.explorer.exploring import NOISE, ExplorerDesk, answer


def test_another_image_is_shown_beside_and_saved(
    viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(NOISE[::-1] ** 3, name="other")
    desk = ExplorerDesk(viewer, qtbot).explore()
    grid, box = viewer.canvas.grid.enabled, desk.page.beside
    desk.pick(box.others, 1)
    desk.click(box.button)
    assert (box.button.text(), box.button.isEnabled()) == ("Drawing…", False)
    qtbot.waitUntil(box.picture.isVisible, timeout=WAIT)
    assert box.picture.windowTitle() == "Side by side: noise and other"
    assert box.picture.label.pixmap().width() > 300
    assert viewer.canvas.grid.enabled is grid
    answer(monkeypatch, tmp_path / "two.svg")
    desk.click(box.picture.save)
    qtbot.waitUntil(lambda: desk.state.message.text == "Saved two.svg.", timeout=WAIT)
    desk.click(desk.page.button)  # stop
    assert not box.picture.isVisible()


def test_the_window_closes_by_its_button_and_opens_again(viewer: Any, qtbot: QtBot) -> None:
    desk = ExplorerDesk(viewer, qtbot).explore()
    box = desk.page.beside
    for _ in range(2):
        desk.click(box.button)
        qtbot.waitUntil(box.picture.isVisible, timeout=WAIT)
        close: QPushButton = box.picture.close_button
        desk.click(close)
        assert not box.picture.isVisible()


def test_a_model_card_shows_how_the_model_reads_the_image(
    viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = ExplorerDesk(viewer, qtbot)
    desk.dock.tabs.show_page("Models")
    page = desk.dock.tabs.page("Models")
    assert isinstance(page, ModelsTab)
    button = page.reading_button
    desk.click(button)
    assert not button.isEnabled()
    qtbot.waitUntil(button.picture.isVisible, timeout=WAIT)
    assert button.isEnabled()
    assert button.picture.windowTitle() == "How Random reads noise"
    answer(monkeypatch, tmp_path / "overview.png")
    desk.click(button.picture.save)
    qtbot.waitUntil(lambda: desk.state.message.text == "Saved overview.png.", timeout=WAIT)
