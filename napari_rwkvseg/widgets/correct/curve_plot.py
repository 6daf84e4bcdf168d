"""Loss and Dice while the network learns."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_rwkvseg.workflow.correct.state import Curves, Points

HEIGHT, TOP, BOTTOM = 120, 20, 16  # px: of the widget, of the legend, of the axis
LEFT, RIGHT = 30, 30  # px of the figures beside the curves
LOSS, DICE = "#ff9f1c", "#2ec4b6"
SMOOTH = 0.8  # share of the past in the drawn loss: single steps jump


class CurvePlot(QWidget):
    """Orange: loss, on the left, from 0. Teal: Dice on views of the corrections, on the right."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves = Curves()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Learning curves")
        self.setToolTip(
            "Orange: how far the network is from the corrections, step by step (loss). Teal: how "
            "well it agrees with views of them (Dice). Whether it is better is judged afterwards, "
            "on corrections it has not seen."
        )

    def show_curves(self, curves: Curves) -> None:
        """Draw other curves."""
        self.curves = curves
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a fixed height."""
        return QSize(200, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw axes, legend and curves."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        loss = smoothed(self.curves.loss)
        top = max((value for _, value in loss), default=1.0) or 1.0
        self._draw_frame(painter, top)
        for points, color, highest in ((loss, LOSS, top), (self.curves.dice, DICE, 1.0)):
            painter.setPen(QPen(QColor(color), 1.8))
            painter.drawPolyline(QPolygonF([self.place(p, highest) for p in points]))
            if points:
                painter.setBrush(QColor(color))
                painter.drawEllipse(self.place(points[-1], highest), 2.2, 2.2)
                painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.end()

    @property
    def area(self) -> QRectF:
        """Where curves are drawn."""
        return QRectF(LEFT, TOP, self.width() - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)

    def place(self, point: tuple[int, float], highest: float) -> QPointF:
        """Return where a step and its value are drawn; `highest` lies at the top."""
        area, steps = self.area, max(self.curves.planned, 1)
        across = area.left() + area.width() * min(point[0] / steps, 1.0)
        return QPointF(across, area.bottom() - area.height() * min(max(point[1] / highest, 0), 1))

    def _draw_frame(self, painter: QPainter, top: float) -> None:
        area, text = self.area, self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlpha(60)
        painter.setPen(QPen(faint, 1))
        for share in (0.0, 0.5, 1.0):
            height = area.bottom() - share * area.height()
            painter.drawLine(QPointF(area.left(), height), QPointF(area.right(), height))
        font = painter.font()
        font.setPointSizeF(max(7.0, 0.85 * font.pointSizeF()))
        painter.setFont(font)
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        for corner, side, name, color in (
            (area.left() - LEFT, left, "Loss", LOSS),
            (area.right() + RIGHT - 100, right, "Dice", DICE),
        ):
            painter.setPen(QColor(color))
            last = self.curves.loss if name == "Loss" else self.curves.dice
            words = f"{name} {last[-1][1]:.3f}" if last else name
            painter.drawText(QRectF(corner, 0, 100, TOP - 3), side, words)
        painter.setPen(text)
        for share in (0.0, 1.0):
            height = area.bottom() - share * area.height() - 6
            painter.drawText(QRectF(0, height, LEFT - 4, 12), right, f"{share * top:.2g}")
            painter.drawText(
                QRectF(self.width() - RIGHT + 4, height, RIGHT, 12), left, f"{share:g}"
            )
        if self.curves.planned:
            below = QRectF(area.left(), area.bottom() + 2, area.width(), BOTTOM - 2)
            painter.drawText(below, right, f"{self.curves.planned} steps")


def smoothed(points: Points) -> Points:
    """Return a running mean of the values, which starts at the first one."""
    found: list[tuple[int, float]] = []
    for step, value in points:
        before = found[-1][1] if found else value
        found.append((step, SMOOTH * before + (1 - SMOOTH) * value))
    return tuple(found)
