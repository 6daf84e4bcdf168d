"""Bars of the gates: one row per layer, one bar per head, a mark for the other image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_rwkvseg.store.colors import GLOBAL, LOCAL, OTHER

if TYPE_CHECKING:
    from napari_rwkvseg.engine.gates import GateTable
    from napari_rwkvseg.network.layer_trace import LayerPlace

ROW, BAR, INSET = 30, 22, 4  # px: height of a row, of its tallest bar, between bars
NAME_WIDTH, SHARE_WIDTH = 62, 40  # px of the name of a layer, of the share on its right


class GatePlot(QWidget):
    """Windowed heads in one colour, global ones in another; the line is an even share."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table: GateTable | None = None
        self.other: GateTable | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Height: weight of a head for this image; the thin line is an even share. "
            "Teal heads stay in windows, orange ones scan the whole grid. Pink: the other image."
        )

    def show_tables(self, table: GateTable | None, other: GateTable | None) -> None:
        """Draw the gates of one image and, if given, mark those of another."""
        self.table, self.other = table, other
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a row per layer."""
        return QSize(200, ROW * (len(self.table.places) if self.table else 0))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw all rows."""
        if self.table is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row, place in enumerate(self.table.places):
            self._draw_name(painter, row, place)
            for head in range(len(self.table.weights[row])):
                self._draw_bar(painter, row, head)
        painter.end()

    def bar(self, row: int, head: int, weight: float) -> QRectF:
        """Return where the bar of a head is drawn; full height is all of the layer's weight."""
        heads = len(self.table.weights[row]) if self.table else 1
        width = (self.width() - NAME_WIDTH - SHARE_WIDTH) / heads
        height = BAR * min(weight / heads, 1)
        left, floor = NAME_WIDTH + head * width, (row + 1) * ROW - INSET
        return QRectF(left + INSET / 2, floor - height, width - INSET, height)

    def _draw_name(self, painter: QPainter, row: int, place: LayerPlace) -> None:
        """Write the layer on the left and, once per level, the local share on the right."""
        painter.setPen(self.palette().color(self.foregroundRole()))
        middle, right = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight
        name = f"{place.part[:3].capitalize()}. {place.level + 1}.{place.block + 1}"
        painter.drawText(QRectF(0, row * ROW, NAME_WIDTH, ROW), middle, name)
        if self.table is not None and place.block == 0:
            area = QRectF(self.width() - SHARE_WIDTH, row * ROW, SHARE_WIDTH, ROW)
            share = self.table.local_share(place.part, place.level)
            painter.drawText(area, middle | right, f"{100 * share:.0f} %")

    def _draw_bar(self, painter: QPainter, row: int, head: int) -> None:
        table = self.table
        if table is None:
            return
        color = QColor(LOCAL if table.local[row][head] else GLOBAL)
        full = self.bar(row, head, len(table.weights[row]))
        faint = QColor(color)
        faint.setAlpha(40)
        painter.fillRect(full, faint)
        painter.fillRect(self.bar(row, head, float(table.weights[row][head])), color)
        even = self.bar(row, head, 1.0).top()
        painter.setPen(QPen(self.palette().color(self.foregroundRole()), 0.6))
        painter.drawLine(QPointF(full.left(), even), QPointF(full.right(), even))
        if self.other is not None and self.other.places == table.places:
            top = self.bar(row, head, float(self.other.weights[row][head])).top()
            painter.setPen(QPen(QColor(OTHER), 2.5))
            painter.drawLine(QPointF(full.left(), top), QPointF(full.right(), top))
