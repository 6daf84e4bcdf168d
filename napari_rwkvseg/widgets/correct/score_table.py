"""Dice and IoU of each class, old and new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

if TYPE_CHECKING:
    from napari_rwkvseg.engine.judge import Verdict

NAME_WIDTH = 48  # px of "Dice" and "IoU"


class ScoreTable(QWidget):
    """For each class its name, then "0.85 → 0.93" for both scores; intervals as tooltips."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnMinimumWidth(0, NAME_WIDTH)
        self._grid.setColumnStretch(1, 1)

    def show_verdict(self, verdict: Verdict) -> None:
        """Show the scores on the corrections that were new."""
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        for number, score in enumerate(verdict.fresh.classes):
            tip = f"{score.name}: Dice {score.gain:+.3f}, {score.interval}"
            name = self._label(score.name, "value", tip)
            name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            self._grid.addWidget(name, 3 * number, 0, 1, 2)
            changes = (
                ("Dice", change(score.old.dice, score.new.dice)),
                ("IoU", change(score.old.iou, score.new.iou)),
            )
            for row, (measure, text) in enumerate(changes, start=3 * number + 1):
                self._grid.addWidget(self._label(measure, "muted", tip), row, 0)
                self._grid.addWidget(self._label(text, "value", tip), row, 1)

    def texts(self) -> list[str]:
        """Return all that is shown, row by row."""
        items = [self._grid.itemAt(i).widget() for i in range(self._grid.count())]
        return [widget.text() for widget in items]

    @staticmethod
    def _label(text: str, style: str, tip: str) -> QLabel:
        label = QLabel(text)
        label.setObjectName(style)
        label.setTextFormat(Qt.TextFormat.PlainText)  # class names are anybody's text
        label.setToolTip(tip)
        return label


def change(old: float, new: float) -> str:
    """Return like "0.853 → 0.912"."""
    return f"{old:.3f} → {new:.3f}"
