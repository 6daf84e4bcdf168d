"""The table of a result, without the rest of the dock."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_rwkvseg.widgets.table import ResultTable
from tests.workflow.builders import Bench, square


def test_the_order_of_rows_stays_with_its_column(qtbot: QtBot) -> None:
    bench = Bench(eager=True)
    table = ResultTable(bench.workflow)
    qtbot.addWidget(table)
    bench.add(square())
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    bench.run()
    header, last = table.view.horizontalHeader(), table.view.model().columnCount() - 1
    table.view.sortByColumn(last, Qt.SortOrder.DescendingOrder)
    bench.workflow.set_options(replace(bench.state.options, separate=False))
    assert table.view.model().columnCount() <= last  # classes have fewer columns
    assert header.sortIndicatorSection() == -1
    area = bench.state.measured.table.columns.index("area (pixels)")
    table.view.sortByColumn(area, Qt.SortOrder.DescendingOrder)
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    section = header.sortIndicatorSection()
    assert bench.state.measured.table.columns[section] == "area (pixels)"


def test_each_image_is_counted_in_what_its_own_mask_shows(qtbot: QtBot) -> None:
    bench = Bench(eager=True)
    table = ResultTable(bench.workflow)
    qtbot.addWidget(table)
    first = bench.add(square())
    bench.workflow.set_options(replace(bench.state.options, separate=True))
    bench.run()
    bench.add(square(), name="other")
    bench.workflow.set_options(replace(bench.state.options, separate=False))
    bench.run()
    assert table.count.text() == "1 class"
    bench.workflow.selection.choose(first)
    assert table.count.text() == "1 object"
