"""A figure in a window of its own, to be looked at and saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_rwkvseg.widgets.explorer.save_dialog import PICTURES, ask_path
from napari_rwkvseg.widgets.style import GAP, MARGIN

if TYPE_CHECKING:
    from napari_rwkvseg.workflow.explorer.state import Picture

SHARE = 0.85  # of the screen that the window takes at most
BAR = 24  # px kept for the scroll bar, so that the picture need not scroll sideways


class PictureWindow(QDialog):
    """Shows one figure as wide as the window; taller ones scroll.

    Parameters
    ----------
    save : callable
        Called with the picture and the path that the person chose.
    """

    def __init__(self, save: Callable[[Picture, Path], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._save = save
        self._picture: Picture | None = None
        self._pixmap = QPixmap()

        self.label = QLabel()
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._area = QScrollArea()
        self._area.setWidget(self.label)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        buttons = QDialogButtonBox()
        self.save = buttons.addButton("Save…", QDialogButtonBox.ButtonRole.ActionRole)
        self.save.setToolTip("Save the figure as PNG or SVG")
        self.close_button = buttons.addButton(QDialogButtonBox.StandardButton.Close)

        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(GAP)
        column.addWidget(self._area, stretch=1)
        column.addWidget(buttons)

        self.save.clicked.connect(self._ask)
        buttons.rejected.connect(self.hide)

    def show_picture(self, picture: Picture | None) -> None:
        """Show a figure, or close the window for None."""
        self._picture = picture
        if picture is None:
            self.hide()
            return
        self.setWindowTitle(picture.title)
        self._pixmap.loadFromData(picture.png)
        if not self.isVisible():
            self.resize(self._fitting())
        self.show()
        self._scale()
        self.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Let the picture follow the width of the window."""
        super().resizeEvent(event)
        self._scale()

    def _fitting(self) -> QSize:
        """Return the size of the picture, as far as the screen has room for it."""
        room = self.screen().availableSize() * SHARE
        frame = QSize(2 * MARGIN + BAR, 4 * MARGIN + BAR)
        return (self._pixmap.size() + frame).boundedTo(room)

    def _scale(self) -> None:
        if not self._pixmap.isNull():
            width = min(self._area.width() - BAR, self._pixmap.width())
            smooth = Qt.TransformationMode.SmoothTransformation
            self.label.setPixmap(self._pixmap.scaledToWidth(max(width, 1), smooth))

    def _ask(self) -> None:
        path = ask_path(self, "Save the figure", "figure.png", PICTURES)
        if path is not None and self._picture is not None:
            self._save(self._picture, path)
