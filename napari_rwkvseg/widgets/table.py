"""What was found, in numbers; a click goes there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_rwkvseg.engine.measure import Table
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.widgets.jump import jump_to
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP
from napari_rwkvseg.workflow import Message, Tone, Workflow
from napari_rwkvseg.workflow.jobs import Measured

NO_INDEX = QModelIndex()
ROW_HEIGHT = 22  # px
SAMPLED_ROWS = 50  # looked at to find the width of a column


class TableModel(QAbstractTableModel):
    """A `Table` for Qt: sortable numbers, few digits."""

    def __init__(self, table: Table, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = table
        self._rows = list(table.rows)  # in the order shown

    def rowCount(self, parent: QModelIndex = NO_INDEX) -> int:  # noqa: N802 - Qt's name
        """Return the number of classes or objects."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = NO_INDEX) -> int:  # noqa: N802 - Qt's name
        """Return the number of measurements."""
        return 0 if parent.isValid() else len(self.table.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell: text to read, the number itself to sort by."""
        value = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{value:.4g}" if isinstance(value, float) else str(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's name with its unit."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.table.columns[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            numeric = self.table.rows and not isinstance(self.table.rows[0][section], str)
            side = Qt.AlignmentFlag.AlignRight if numeric else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Order the rows by a column; by none if it is negative."""
        self.layoutAboutToBeChanged.emit()
        if column >= 0:
            downwards = order == Qt.SortOrder.DescendingOrder
            self._rows.sort(key=lambda row: row[column], reverse=downwards)
        self.layoutChanged.emit()

    def label(self, row: int) -> int:
        """Return the label shown in a row."""
        return int(self._rows[row][0])


class ResultTable(QWidget):
    """Count, table and export; hidden until there is a result."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.count = QLabel()
        self.count.setObjectName("section")
        self.export = QPushButton("Export CSV…")
        self.export.setToolTip("Save the table with units as comma-separated values")
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.view = QTableView()
        self.view.setObjectName("results")
        self._set_up()

        top = QHBoxLayout()
        top.addWidget(self.count, stretch=1)
        top.addWidget(self.export)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(top)
        column.addWidget(self.hint)
        column.addWidget(self.view)

        self.export.clicked.connect(self._export)
        self.view.clicked.connect(self._jump)
        self.view.activated.connect(self._jump)
        listen(self, workflow.state.events.measured, self._show)
        self._show(workflow.state.measured)

    def _set_up(self) -> None:
        self.view.setSortingEnabled(True)
        self.view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.view.setToolTip("Click a row to go there")
        self.view.setMinimumHeight(5 * ROW_HEIGHT)
        self.view.setShowGrid(False)
        self.view.setAlternatingRowColors(True)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setResizeContentsPrecision(SAMPLED_ROWS)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setHighlightSections(False)

    def _show(self, measured: Measured | None) -> None:
        self.setVisible(measured is not None)
        if measured is None:
            return
        old, model = self.view.model(), TableModel(measured.table, self)
        header = self.view.horizontalHeader()
        column = self._sorted_column(measured.table)
        with signals_blocked(header):  # the old table may have fewer columns
            header.setSortIndicator(column, header.sortIndicatorOrder())
        model.sort(column, header.sortIndicatorOrder())
        self.view.setModel(model)
        if old is not None:
            old.deleteLater()
        state, run = self._workflow.state, self._workflow.results.run
        objects = state.options.separate if run is None else run.link.objects
        self.count.setText(count_text(measured, objects))
        doubts = bool(state.card and state.card.peak and state.options.peak is None)
        self.hint.setText(empty_text(doubts))
        self.hint.setVisible(not measured.table.rows)
        self.view.setVisible(bool(measured.table.rows))
        self.view.resizeColumnsToContents()

    def _sorted_column(self, table: Table) -> int:
        """Return where the column is by which the rows were sorted; -1 if there is none now."""
        old, column = self.view.model(), self.view.horizontalHeader().sortIndicatorSection()
        if old is None or not 0 <= column < len(old.table.columns):
            return -1
        name = old.table.columns[column]
        return table.columns.index(name) if name in table.columns else -1

    def _jump(self, index: QModelIndex) -> None:
        measured, run = self._workflow.state.measured, self._workflow.results.run
        if measured is None or run is None:
            return
        label = self.view.model().label(index.row())
        layer = run.link.layer
        if layer is not None and label in measured.boxes:
            jump_to(self._workflow.viewer, layer, run.link, label, measured.boxes[label])

    def _export(self) -> None:
        measured, image = self._workflow.state.measured, self._workflow.state.image
        if measured is None:
            return
        name = "results" if image is None else image.name
        path, _ = QFileDialog.getSaveFileName(
            self, "Export table", f"{name}.csv", "Comma-separated values (*.csv)"
        )
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the table shown, and say so."""
        measured = self._workflow.state.measured
        if measured is None:
            return
        try:
            write_atomic(path, measured.table.to_csv())
        except OSError as error:
            text = f"{path.name} could not be written ({error.strerror}). Choose another folder."
            self._workflow.state.message = Message(text, Tone.ERROR)
        else:
            self._workflow.state.message = Message(f"Saved {path.name}.", Tone.DONE)


def count_text(measured: Measured, objects: bool) -> str:
    """Return like "312 objects" or "1 class"."""
    n = len(measured.table.rows)
    noun = ("object", "objects") if objects else ("class", "classes")
    return f"{n} {noun[n != 1]}" if n else f"No {noun[1]} found"


def empty_text(doubts: bool) -> str:
    """Return what people can do who see more than the model, or a model that doubts its finds."""
    more = " or tick Keep doubtful" if doubts else ""
    return f"Lower the threshold{more} to see what the model is unsure of."
