"""The table of a result, without the rest of the dock."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.qtbot import QtBot

from napari_rwkvseg.widgets.table import ResultTable
from tests.workflow.builders import Bench, square


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
