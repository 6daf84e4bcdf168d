"""The Correct tab in a real window, with a real pointer."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_rwkvseg.workflow.correct import Part
from tests.corrected import discs, unproven
from tests.widgets.correct.correcting_desk import CorrectDesk
from tests.widgets.docking import WAIT

BAR = 16  # px of a vertical scroll bar


def test_an_empty_tab_says_what_to_do_and_offers_nothing_to_click(desk: CorrectDesk) -> None:
    desk.dock.tabs.show_page("Correct")
    assert desk.page.text.text() == "Open an image first, and segment it."
    assert not desk.page.retrain.button.isEnabled()
    assert not desk.page.accept.isVisible()
    assert not desk.page.card.isVisible()
    desk.viewer.add_image(discs()[0], name="discs")
    assert desk.page.empty.isVisible()


def test_segment_paint_accept_retrain_and_roll_back(desk: CorrectDesk) -> None:
    image, truth = discs()
    mask = desk.open(image)
    desk.viewer.layers.selection.active = mask
    mask.mode, mask.selected_label = "paint", 1
    before = mask.data.copy()
    desk.stroke(QPoint(-60, -60), QPoint(60, 40))
    assert np.count_nonzero(mask.data != before) > 5
    desk.bot.waitUntil(lambda: desk.seen.count.changed > 5, timeout=WAIT)
    assert f"{desk.seen.count.changed:,} px changed" in desk.page.accept.count.text()
    mask.undo()
    desk.paint_truth(mask, truth)
    desk.click(desk.page.accept.parts[Part.IMAGE])
    assert "Accepted" in desk.dock.message.text()
    desk.retrain()
    card = desk.page.card
    assert card.verdict.text() == "Better"
    assert card.isVisible()
    assert desk.page.retrain.plot.isVisible()
    assert card.scores.texts()[0] == "disc"
    desk.bot.waitUntil(lambda: desk.page.versions.list.count() == 2, timeout=WAIT)
    assert "in use" in desk.page.versions.list.item(0).text()
    desk.click(card.back)
    desk.bot.waitUntil(lambda: desk.page.versions.list.item(1).text().endswith("use"), timeout=WAIT)
    desk.bot.waitUntil(lambda: not desk.seen.running, timeout=WAIT)
    assert desk.library.load("small").sha256 == desk.start.sha256
    assert card.trial.isVisible()
    np.testing.assert_array_equal(mask.data, truth)


def test_the_card_says_that_a_model_was_kept_aside_before(desk: CorrectDesk) -> None:
    image, truth = discs()
    aside = desk.library.install(unproven(desk.start.sha256), activate=False)
    mask = desk.open(image)
    desk.paint_truth(mask, truth)
    desk.click(desk.page.accept.parts[Part.IMAGE])
    desk.retrain()
    card = desk.page.card
    assert card.verdict.text() == "Better"
    assert card.status.text().startswith("Kept aside before, and proven")
    assert desk.library.load("small").sha256 == aside.sha256
    assert card.back.isVisible()


def test_the_key_a_accepts_while_the_dock_lives(desk: CorrectDesk) -> None:
    mask = desk.open(discs()[0])
    desk.viewer.layers.selection.active = mask
    desk.bot.keyClick(desk.canvas, Qt.Key.Key_A)
    desk.bot.waitUntil(lambda: desk.seen.accepted == 1, timeout=WAIT)
    desk.viewer.window.remove_dock_widget(desk.dock)
    desk.viewer.bind_key("A", lambda viewer: None)  # free again: nothing to overwrite
    desk.viewer.bind_key("A", None)
    with desk.bot.waitSignal(desk.dock.destroyed):
        desk.dock.deleteLater()


def test_the_key_a_accepts_no_more_than_can_be_seen(desk: CorrectDesk) -> None:
    mask = desk.open(discs()[0])
    desk.viewer.layers.selection.active = mask
    layer = desk.viewer.layers["discs"]
    desk.viewer.scene.camera.zoom *= 4
    desk.bot.waitUntil(lambda: 0 < np.ptp(layer.corner_pixels, axis=0).max() < 40, timeout=WAIT)
    desk.bot.keyClick(desk.canvas, Qt.Key.Key_A)
    desk.bot.waitUntil(lambda: desk.seen.count.reviewed > 0, timeout=WAIT)
    seen = np.ptp(layer.corner_pixels, axis=0) + 1
    assert desk.seen.count.reviewed == seen.prod() < 64 * 64


def test_a_key_of_the_person_is_left_alone(desk: CorrectDesk) -> None:
    pressed = []
    desk.viewer.bind_key("A", pressed.append)
    desk.open(discs()[0])
    desk.bot.keyClick(desk.canvas, Qt.Key.Key_A)
    assert len(pressed) == 1
    assert desk.seen.accepted == 0
    desk.viewer.bind_key("A", None)


def test_a_double_click_starts_one_retrain_and_a_later_click_cancels_it(
    desk: CorrectDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = discs()
    mask = desk.open(image)
    desk.paint_truth(mask, truth)
    desk.click(desk.page.accept.parts[Part.IMAGE])
    button = desk.page.retrain.button
    monkeypatch.setattr(QApplication, "doubleClickInterval", lambda: 10**9)
    desk.click(button)
    desk.click(button)
    assert desk.seen.running
    monkeypatch.setattr(QApplication, "doubleClickInterval", lambda: -1)
    desk.click(button)
    assert not desk.seen.running
    assert button.text() == "Retrain"
    assert desk.dock.message.text() == "Stopped. The model is as it was."
    assert len(desk.library.versions("small")) == 1


def test_classes_are_added_and_renamed_with_the_keyboard(desk: CorrectDesk) -> None:
    mask = desk.open(discs()[0])
    box = desk.page.classes
    desk.bot.keyClicks(box.added, "debris")
    desk.click(box.add)
    assert desk.seen.class_names == ("disc", "debris")
    assert len(box.rows) == 2
    assert (mask.selected_label, mask.mode) == (2, "paint")
    desk.click(box.rows[0][0])
    assert mask.selected_label == 1
    box.rows[1][1].selectAll()
    desk.bot.keyClicks(box.rows[1][1], "dirt")
    desk.bot.keyClick(box.rows[1][1], Qt.Key.Key_Return)
    assert desk.seen.class_names == ("disc", "dirt")
    box.rows[1][1].selectAll()
    desk.bot.keyClicks(box.rows[1][1], "disc")
    desk.bot.keyClick(box.rows[1][1], Qt.Key.Key_Return)
    assert box.rows[1][1].text() == "dirt"


def test_an_empty_mask_is_started_with_a_click(desk: CorrectDesk) -> None:
    desk.viewer.add_image(discs()[0], name="discs")
    desk.dock.tabs.show_page("Correct")
    desk.click(desk.page.empty)
    desk.bot.waitUntil(lambda: desk.seen.subject == "discs · mask", timeout=WAIT)
    assert desk.page.classes.background.isVisible()
    assert not desk.page.empty.isVisible()


def test_effort_is_copied_as_text(desk: CorrectDesk) -> None:
    desk.open(discs()[0])
    assert not desk.page.versions.copy.isEnabled()
    desk.click(desk.page.accept.parts[Part.IMAGE])
    desk.click(desk.page.versions.copy)
    assert QApplication.clipboard().text().startswith("1 image was corrected")


def test_closing_the_dock_stops_the_retrain_and_frees_the_dock(desk: CorrectDesk) -> None:
    image, truth = discs()
    mask = desk.open(image)
    desk.paint_truth(mask, truth)
    desk.click(desk.page.accept.parts[Part.IMAGE])
    desk.click(desk.page.accept.overlay)
    desk.click(desk.page.retrain.button)
    gone = weakref.ref(desk.dock)
    viewer, bot, library = desk.viewer, desk.bot, desk.library
    viewer.window.remove_dock_widget(desk.dock)
    assert not desk.seen.running
    bot.waitUntil(lambda: "Corrections" not in viewer.layers, timeout=WAIT)
    desk.__dict__.clear()
    bot.waitUntil(lambda: gc.collect() >= 0 and gone() is None, timeout=WAIT)
    assert len(library.versions("small")) == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_wider_than_the_narrowest_dock(desk: CorrectDesk, theme: str) -> None:
    desk.viewer.theme = theme
    image, truth = discs()
    mask = desk.open(image)
    desk.page.correcting.classes.add("a class with quite a long name " * 2)
    desk.paint_truth(mask, truth)
    desk.click(desk.page.accept.parts[Part.IMAGE])
    desk.retrain()
    assert desk.page.card.isVisible()
    assert desk.page.minimumSizeHint().width() <= 280 - BAR
