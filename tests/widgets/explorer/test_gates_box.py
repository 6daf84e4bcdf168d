"""The plot of the gates shows their values; comparing shows the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFileDialog

from napari_rwkvseg.engine.gates import GateTable
from napari_rwkvseg.network.layer_trace import LayerPlace
from napari_rwkvseg.widgets.explorer.gate_plot import BAR, GLOBAL, LOCAL, OTHER, ROW, GatePlot
from tests.widgets.docking import WAIT
from tests.widgets.explorer.exploring import NOISE, ExplorerDesk


def table(*weights: float) -> GateTable:
    place = LayerPlace("encoder", 0, 0)
    return GateTable("x", (place,), (np.array(weights),), ((True, False),))


def plot(qtbot: QtBot, *tables: GateTable) -> GatePlot:
    widget = GatePlot()
    qtbot.addWidget(widget)
    widget.show_tables(tables[0], tables[1] if len(tables) > 1 else None)
    widget.resize(260, widget.sizeHint().height())
    return widget


def color_at(widget: GatePlot, x: float, y: float) -> QColor:
    return QColor(widget.grab().toImage().pixel(int(x), int(y)))


def test_a_bar_is_as_high_as_its_weight(qtbot: QtBot) -> None:
    widget = plot(qtbot, table(1.5, 0.5))
    assert widget.sizeHint().height() == ROW
    assert [widget.bar(0, h, w).height() for h, w in ((0, 1.5), (1, 0.5))] == [
        pytest.approx(BAR * 0.75),
        pytest.approx(BAR * 0.25),
    ]
    left, right = (widget.bar(0, head, 0.4) for head in (0, 1))
    assert color_at(widget, left.center().x(), left.center().y()) == QColor(LOCAL)
    assert color_at(widget, right.center().x(), right.center().y()) == QColor(GLOBAL)
    above = widget.bar(0, 1, 0.9)
    assert color_at(widget, above.center().x(), above.top() + 1) != QColor(GLOBAL)


def test_the_other_image_is_marked_on_the_bars(qtbot: QtBot) -> None:
    widget = plot(qtbot, table(1.9, 0.1), table(0.6, 1.4))
    mark = widget.bar(0, 0, 0.6)
    assert color_at(widget, mark.center().x(), mark.top()) == QColor(OTHER)


def test_an_empty_plot_takes_no_room(qtbot: QtBot) -> None:
    widget = GatePlot()
    qtbot.addWidget(widget)
    assert widget.sizeHint().height() == 0
    widget.grab()


def test_another_image_can_be_compared(viewer: Any, qtbot: QtBot) -> None:
    viewer.add_image(NOISE[::-1] ** 3, name="other")
    desk = ExplorerDesk(viewer, qtbot).explore()
    box = desk.page.gates
    names = [box.others.itemText(i) for i in range(box.others.count())]
    assert names == ["Nothing", "other", "Mean of a folder…"]
    desk.pick(box.others, 1)
    qtbot.waitUntil(lambda: desk.seen.other is not None, timeout=WAIT)
    assert box.plot.other is desk.seen.other
    assert box.difference.text().startswith("The weights differ by")
    viewer.layers["other"].name = "renamed"
    assert box.others.currentText() == "renamed"  # what is compared stays in sight
    desk.pick(box.others, 0)
    assert box.plot.other is None


@pytest.fixture
def compared(viewer: Any, qtbot: QtBot) -> ExplorerDesk:
    """The gates compared with those of another image."""
    viewer.add_image(NOISE[::-1] ** 3, name="other")
    desk = ExplorerDesk(viewer, qtbot).explore()
    desk.pick(desk.page.gates.others, 1)
    qtbot.waitUntil(lambda: desk.seen.other is not None, timeout=WAIT)
    return desk


def test_a_comparison_goes_with_its_image(compared: ExplorerDesk) -> None:
    box = compared.page.gates
    compared.viewer.layers.remove("other")
    assert (box.others.currentText(), box.plot.other) == ("Nothing", None)
    assert not box.difference.isVisible()


def test_giving_up_a_folder_leaves_the_comparison(
    compared: ExplorerDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    box = compared.page.gates
    compared.bot.keyClick(box.others, Qt.Key.Key_Down)
    assert (box.others.currentText(), box.plot.other) == ("other", compared.seen.other)
    assert box.difference.text().startswith("The weights differ by")


def test_a_folder_without_images_leaves_nothing(
    compared: ExplorerDesk, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    box = compared.page.gates
    compared.pick(box.others, 2)
    qtbot.waitUntil(lambda: box.others.currentText() == "Nothing", timeout=WAIT)
    assert box.plot.other is None
    assert "no image that can be read" in box.difference.text()
