from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSlider, QApplication, QComboBox, QLabel, QWidget

from napari_rwkvseg.widgets.dock import PAGES, SegmentationDock, Tabs
from napari_rwkvseg.widgets.style import DOCK_WIDTH
from napari_rwkvseg.widgets.table import empty_text
from napari_rwkvseg.widgets.turns import Turns
from tests.fakes import fake_model
from tests.widgets.docking import WAIT, Desk, blobs
from tests.workflow.builders import FakeLibrary


@pytest.fixture
def desk(viewer: Any, qtbot: QtBot) -> Desk:
    return Desk(viewer, qtbot, fake_model(objects=True))


def test_an_empty_dock_says_what_to_do_and_offers_nothing_to_click(desk: Desk) -> None:
    assert "Open Sample" in desk.tab.image.reading.text()
    assert not desk.tab.run.button.isEnabled()
    assert desk.tab.image.images.currentText() == "No image"


def test_the_research_sentence_is_always_in_sight(desk: Desk) -> None:
    desk.dock.tabs.show_page("Models")
    assert desk.dock.footer.notice.text() == "For research use only. Not for diagnostic use."
    assert desk.dock.footer.notice.isVisible()


def test_a_click_makes_a_mask_and_a_table(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells", scale=(0.5, 0.5), units=("um", "um"))
    mask = desk.segment()
    assert mask.name == "cells · mask"
    assert np.array_equal(mask.data > 0, blobs() > 100)
    assert desk.tab.table.count.text() == "2 objects"
    assert desk.tab.table.view.model().rowCount() == 2
    assert desk.dock.footer.device.text() == "CPU"
    assert desk.tab.run.button.text() == "Segment"


@pytest.mark.usefixtures("double_clicks")
def test_a_double_click_on_segment_runs_once_to_the_end(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.click(desk.tab.run.button)
    desk.click(desk.tab.run.button)
    desk.wait_idle()
    assert [layer.name for layer in desk.viewer.layers] == ["cells", "cells · mask"]


def test_the_button_cancels_while_a_run_is_under_way(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.click(desk.tab.run.button)
    assert desk.tab.run.button.text() == "Cancel"
    assert desk.tab.run.bar.isVisible()
    desk.click(desk.tab.run.button)
    assert desk.tab.run.button.text() == "Segment"
    assert not desk.tab.run.bar.isVisible()
    assert "Stopped" in desk.dock.message.text()
    assert [layer.name for layer in desk.viewer.layers] == ["cells"]


def test_a_bad_image_gets_one_sentence_and_the_button_back(desk: Desk) -> None:
    desk.viewer.add_image(np.full((32, 32), np.nan), name="void", contrast_limits=(0, 1))
    desk.click(desk.tab.run.button)
    desk.wait_idle()
    assert desk.dock.message.text().startswith("void: no finite pixel")
    assert desk.dock.message.property("tone") == "error"
    assert desk.tab.run.button.isEnabled()


def test_the_axes_are_asked_only_when_unclear(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="flat")
    assert not desk.tab.image.axes.isVisible()
    desk.viewer.add_image(np.stack([blobs()] * 3), name="stack")
    assert desk.tab.image.axes.isVisible()
    desk.click(desk.tab.run.button)
    assert "Choose under Axes" in desk.dock.message.text()
    desk.pick(desk.tab.image.axes, desk.state.reading.choices.index("zyx"))
    assert desk.tab.image.reading.text() == "3 slices of 64×64"


def test_the_channel_is_asked_when_there_are_several(desk: Desk) -> None:
    desk.viewer.add_image(np.stack([blobs(), blobs()]), name="two", axis_labels=("c", "y", "x"))
    assert desk.tab.image.channel.isVisible()
    desk.pick(desk.tab.image.channel, 1)
    assert desk.state.reading.channel == 1


def test_the_image_combo_and_the_layer_list_follow_each_other(desk: Desk) -> None:
    first = desk.viewer.add_image(blobs(), name="a")
    desk.viewer.add_image(blobs(), name="b")
    desk.pick(desk.tab.image.images, 0)
    assert desk.state.image is not None
    assert desk.state.image.name == "a"
    first.name = "renamed"
    assert desk.tab.image.images.currentText() == "renamed"


def test_the_threshold_slider_changes_the_mask_without_a_run(desk: Desk) -> None:
    image = blobs()
    image[40:48, 40:48] = 90
    desk.viewer.add_image(image, name="cells")
    mask = desk.segment()
    assert len(np.unique(mask.data)) == 2
    desk.tab.result.threshold.setValue(0.05)
    desk.bot.waitUntil(lambda: len(np.unique(mask.data)) == 3, timeout=WAIT)
    desk.wait_idle()
    assert desk.tab.table.count.text() == "2 objects"


def test_the_smallest_object_is_the_models_until_another_is_chosen(desk: Desk) -> None:
    box = desk.tab.result
    assert box.smallest.text() == "Auto"
    assert not box.physical.isVisible()
    desk.viewer.add_image(blobs(), name="cells", scale=(2, 2), units="um")
    card = desk.state.card
    assert card is not None
    desk.state.card = replace(card, min_size=40)
    assert box.physical.text() == "40 px = 160 µm²"
    box.smallest.setValue(30)
    assert desk.state.options.min_size == 30
    assert box.physical.text() == "= 120 µm²"
    box.smallest.setValue(0)
    assert desk.state.options.min_size == 0
    assert not box.physical.isVisible()
    box.smallest.stepDown()
    assert desk.state.options.min_size is None
    assert box.physical.text() == "40 px = 160 µm²"


def test_doubtful_objects_are_offered_where_the_model_leaves_some_out(desk: Desk) -> None:
    box = desk.tab.result
    card = desk.state.card
    assert card is not None
    assert box.doubtful.isHidden()
    desk.state.card = replace(card, peak=0.98)
    assert not box.doubtful.isHidden()
    box.doubtful.click()
    assert desk.state.options.peak == 0
    box.doubtful.click()
    assert desk.state.options.peak is None


def test_where_nothing_is_found_the_dock_says_how_to_see_more(desk: Desk) -> None:
    desk.viewer.add_image(np.zeros_like(blobs()), name="dark")
    desk.segment()
    table = desk.tab.table
    assert table.count.text() == "No objects found"
    assert "Lower the threshold to see" in table.hint.text()
    assert table.hint.isVisible()
    assert not table.view.isVisible()
    desk.viewer.add_image(blobs(), name="cells")
    desk.segment()
    assert table.count.text() == "2 objects"
    assert not table.hint.isVisible()
    assert table.view.isVisible()


def test_a_click_on_a_row_goes_to_the_object(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells", scale=(2, 2), translate=(10, 20))
    mask = desk.segment()
    view = desk.tab.table.view
    desk.click_row(view, 1)
    label = int(view.model().index(1, 0).data())
    assert mask.selected_label == label
    centre = np.argwhere(mask.data == label).mean(axis=0)
    assert np.allclose(desk.viewer.scene.camera.center[-2:], centre * 2 + (10, 20))
    assert desk.viewer.scene.camera.zoom * 2 * 8 >= 40


def test_a_click_on_a_row_shows_the_slice(desk: Desk) -> None:
    stack = np.full((5, 64, 64), 10, np.uint8)
    stack[3] = blobs()
    desk.viewer.add_image(stack, name="stack", scale=(3, 1, 1), axis_labels=("z", "y", "x"))
    desk.segment()
    desk.viewer.dims.set_current_step(0, 0)
    desk.click_row(desk.tab.table.view, 0)
    assert desk.viewer.dims.current_step[0] == 3


def test_the_table_is_saved_with_units(desk: Desk, tmp_path: Any) -> None:
    desk.viewer.add_image(blobs(), name="cells", scale=(0.5, 0.5), units=("um", "um"))
    desk.segment()
    desk.tab.table.save(tmp_path / "t.csv")
    header = (tmp_path / "t.csv").read_text("utf-8-sig").splitlines()[0]
    assert "area (µm²)" in header
    assert desk.dock.message.text() == "Saved t.csv."
    desk.tab.table.save(tmp_path / "missing" / "t.csv")
    assert "could not be written" in desk.dock.message.text()


def test_closing_the_dock_stops_the_run(desk: Desk) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    desk.click(desk.tab.run.button)
    desk.viewer.window.remove_dock_widget(desk.dock)
    assert not desk.state.running
    with desk.bot.waitSignal(desk.dock.destroyed):
        desk.dock.deleteLater()


def test_a_closed_dock_is_freed_and_hears_no_more(viewer: Any, qtbot: QtBot) -> None:
    desk = Desk(viewer, qtbot)
    viewer.add_image(blobs(), name="cells")
    desk.segment()
    gone = weakref.ref(desk.dock)
    viewer.window.remove_dock_widget(desk.dock)
    del desk
    gc.collect()
    assert gone() is None
    viewer.add_image(blobs(), name="later")


def test_closing_the_window_stops_the_run(viewer: Any, qtbot: QtBot) -> None:
    desk = Desk(viewer, qtbot)
    viewer.add_image(blobs(), name="cells")
    desk.click(desk.tab.run.button)
    desk.dock.window().hide()
    assert not desk.state.running


def test_two_docks_keep_apart(viewer: Any, qtbot: QtBot) -> None:
    first, second = Desk(viewer, qtbot), Desk(viewer, qtbot)
    viewer.add_image(blobs(), name="cells")
    one, two = first.segment(), second.segment()
    assert [one.name, two.name] == ["cells · mask", "cells · mask [1]"]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_off_at_the_narrowest_width(desk: Desk, theme: str) -> None:
    desk.viewer.theme = theme
    desk.viewer.add_image(np.stack([np.stack([blobs()] * 2)] * 3), name="a long name " * 5)
    desk.pick(desk.tab.image.axes, 0)
    desk.state.card = replace(fake_model().card, min_size=123_456, peak=0.98)
    for title in PAGES:
        desk.dock.tabs.show_page(title)
        page = desk.dock.tabs.page(title)
        assert page.minimumSizeHint().width() <= DOCK_WIDTH
    labels = [w for w in desk.dock.findChildren(QLabel) if w.isVisible() and not w.wordWrap()]
    assert all(label.width() >= label.sizeHint().width() for label in labels)


def new_dock(viewer: Any) -> SegmentationDock:
    """Return one for which no turn of the event loop has come yet: there is one after fixtures."""
    return SegmentationDock(viewer, library=FakeLibrary(fake_model()))


def made(dock: SegmentationDock) -> list[str]:
    """Return the titles of the pages that are there."""
    return made_in(dock.tabs)


def made_in(tabs: Tabs) -> list[str]:
    """Return the titles of the pages that are there."""
    areas: list[Any] = [tabs.widget(index) for index in range(len(PAGES))]
    return [title for title, area in zip(PAGES, areas, strict=True) if area.widget()]


def test_the_other_pages_come_one_by_one_in_later_turns(
    viewer: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    make = Tabs._make_in_time

    def watched(tabs: Tabs, title: str) -> None:  # `Turns` gives each call a turn of its own
        make(tabs, title)
        counts.append(len(made_in(tabs)))

    monkeypatch.setattr(Tabs, "_make_in_time", watched)
    dock = new_dock(viewer)
    qtbot.addWidget(dock)
    assert made(dock) == ["Segment"]
    qtbot.waitUntil(lambda: len(made(dock)) == len(PAGES))
    assert counts == [2, 3, 4]


def test_a_page_that_is_asked_for_is_there_and_stays(viewer: Any, qtbot: QtBot) -> None:
    dock = new_dock(viewer)
    qtbot.addWidget(dock)
    page = dock.tabs.page("Models")
    assert made(dock) == ["Segment", "Models"]
    dock.tabs.show_page("Scan explorer")
    assert made(dock) == ["Segment", "Scan explorer", "Models"]
    qtbot.waitUntil(lambda: made(dock) == list(PAGES))
    assert dock.tabs.page("Models") is page


def test_a_dock_that_is_closed_at_once_makes_no_more_pages(viewer: Any, qtbot: QtBot) -> None:
    dock = new_dock(viewer)
    viewer.window.add_dock_widget(dock, name="RWKV Segmentation")
    viewer.window.remove_dock_widget(dock)
    there, turns = made(dock), Turns(dock)
    with qtbot.waitCallback() as last:
        for _ in PAGES:
            turns.later(lambda: None)
        turns.later(last)
    assert made(dock) == there
    assert len(there) < len(PAGES)
    with qtbot.waitSignal(dock.destroyed):
        dock.deleteLater()


def test_the_device_is_named_in_a_later_turn(viewer: Any, qtbot: QtBot) -> None:
    dock = new_dock(viewer)
    qtbot.addWidget(dock)
    assert dock.footer.device.text() == ""
    qtbot.waitUntil(lambda: dock.footer.device.text() == "Auto")


def test_making_the_dock_leaves_torch_alone() -> None:
    code = (
        "import sys, napari, napari_rwkvseg\n"
        "from napari_rwkvseg.widgets.dock import SegmentationDock\n"
        "viewer = napari.Viewer(show=False)\n"
        "dock = SegmentationDock(viewer)\n"
        "assert 'torch' not in sys.modules\n"
        "viewer.close()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)


def test_doubt_is_named_where_the_model_has_some() -> None:
    assert "or tick Keep doubtful" in empty_text(doubts=True)
    assert "doubtful" not in empty_text(doubts=False)


def wheel_over(widget: QWidget, turn: int = -120) -> None:
    """Turn the wheel by two clicks over a widget, downwards, as the window system says it."""
    place = QPointF(widget.rect().center())
    everywhere = QPointF(widget.mapToGlobal(widget.rect().center()))
    for _ in range(2):
        event = QWheelEvent(
            place, everywhere, QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, event)


def test_the_wheel_scrolls_the_page_and_changes_no_choice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.viewer.add_image(blobs(), name="cells")
    before = desk.state.options, desk.state.region
    box = desk.tab.result
    slider = box.threshold.findChild(QAbstractSlider)
    for widget in (box.smallest, box.threshold, slider, *desk.tab.findChildren(QComboBox)):
        wheel_over(widget)
    assert (desk.state.options, desk.state.region) == before
    monkeypatch.setattr(QApplication, "focusWidget", lambda: box.smallest)
    wheel_over(box.smallest, turn=120)
    assert desk.state.options != before[0]
