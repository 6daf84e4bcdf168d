"""Two heads, or two images, side by side in a window of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.explorer.picture_window import PictureWindow
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, combo, form, name_row
from napari_rwkvseg.workflow.explorer import Explorer

if TYPE_CHECKING:
    from napari_rwkvseg.workflow.explorer.state import Picture

BEFORE = "The head chosen before"
SHOW, DRAWING = "Side by side…", "Drawing…"


class BesideBox(QWidget):
    """What to put beside the chosen head, and the button that draws it."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer

        self.others = combo(
            "What to show beside the chosen head: the head chosen before, or the same head on "
            "another open image"
        )
        self.button = QPushButton(SHOW)
        self.button.setToolTip(
            "Scan, weights of all heads and, if you asked about a pixel, what it looked at: two "
            "columns in a window of its own"
        )
        self.picture = PictureWindow(self._save, self)

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        top = QWidget()
        name_row(form(top), 0, "Beside it", self.others)
        column.addWidget(top)
        column.addWidget(self.button)

        self.button.clicked.connect(self._draw)
        state, images = explorer.state.events, explorer.workflow.state.events
        listen(self, state.picture, self.picture.show_picture)
        listen(self, state.drawing, self._show)
        listen(self, images.images, self._fill)
        listen(self, images.image, self._fill)
        self._fill()

    def _fill(self, _: object = None) -> None:
        state, before = self._explorer.workflow.state, self.others.currentData()
        with signals_blocked(self.others):
            self.others.clear()
            self.others.addItem(BEFORE)
            for layer in state.images:
                if layer is not state.image:
                    self.others.addItem(layer.name, layer)
            self.others.setCurrentIndex(max(0, self.others.findData(before)))

    def _draw(self) -> None:
        self._explorer.questions.beside(self.others.currentData())

    def _show(self, drawing: bool) -> None:
        self.button.setText(DRAWING if drawing else SHOW)
        self.button.setEnabled(not drawing)

    def _save(self, picture: Picture, path: Path) -> None:
        self._explorer.questions.export(lambda _: picture.save(path), path)
