"""Dice and IoU of each class, old and new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

if TYPE_CHECKING:
    from napari_rwkvseg.engine.judge import Verdict

HEAD = ("Class", "Dice", "IoU")


class ScoreTable(QWidget):
    """A row per class: "0.85 → 0.93" for both scores, the gain's interval as tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)

    def show_verdict(self, verdict: Verdict) -> None:
        """Show the scores on the corrections that were new."""
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        for column, name in enumerate(HEAD):
            self._put(0, column, name, "muted")
        for row, score in enumerate(verdict.fresh.classes, start=1):
            tip = (
                f"{score.name}: Dice {score.gain:+.3f}, "
                f"95 % interval {score.low:+.3f} to {score.high:+.3f}"
            )
            texts = (
                score.name,
                change(score.old.dice, score.new.dice),
                change(score.old.iou, score.new.iou),
            )
            for column, text in enumerate(texts):
                self._put(row, column, text, "value", tip)

    def texts(self) -> list[str]:
        """Return all that is shown, row by row."""
        items = [self._grid.itemAt(i).widget() for i in range(self._grid.count())]
        return [widget.text() for widget in items]

    def _put(self, row: int, column: int, text: str, style: str, tip: str = "") -> None:
        label = QLabel(text)
        label.setObjectName(style)
        label.setTextFormat(Qt.TextFormat.PlainText)  # class names are anybody's text
        label.setToolTip(tip)
        if column == 0:
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
        self._grid.addWidget(label, row, column) if not column else self._grid.addWidget(
            label, row, column, side
        )


def change(old: float, new: float) -> str:
    """Return like "0.853 → 0.912"."""
    return f"{old:.3f} → {new:.3f}"
