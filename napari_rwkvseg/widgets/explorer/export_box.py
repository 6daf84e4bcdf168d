"""Pictures and tables of what is shown, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_rwkvseg.widgets.explorer.save_dialog import PICTURES, TABLES, ask_path
from napari_rwkvseg.widgets.style import GAP
from napari_rwkvseg.workflow.explorer import Explorer

if TYPE_CHECKING:
    from napari_rwkvseg.engine.explain import Explanation


class ExportBox(QWidget):
    """A button per kind of file; each asks for a name."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer

        self.picture = _button("Head…", "The chosen head on the image, with colour bar")
        self.look = _button("Look…", "What the last pixel looked at, with colour bar")
        self.overview = _button("Overview…", "All levels and heads in one figure")
        self.order = _button("Order (CSV)…", "The chosen head's order, a line per token")

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        buttons = (self.picture, self.look, self.overview, self.order)
        for place, button in enumerate(buttons):
            grid.addWidget(button, place // 2, place % 2)

        self.picture.clicked.connect(self._save_picture)
        self.look.clicked.connect(self._save_look)
        self.overview.clicked.connect(self._save_overview)
        self.order.clicked.connect(self._save_order)

    def _save_picture(self) -> None:
        shown, path = self._explorer.state.shown, self._ask("head.png", PICTURES)
        if shown is None or path is None:
            return

        def write(explanation: Explanation) -> None:
            from napari_rwkvseg.store.figures import save_scan

            save_scan(path, explanation, shown.layer, shown.head)

        self._explorer.questions.export(write, path)

    def _save_look(self) -> None:
        state = self._explorer.state
        heat, title = state.heat, state.caption
        path = None if heat is None else self._ask("look.png", PICTURES)
        if heat is None or path is None:
            return

        def write(explanation: Explanation) -> None:
            from napari_rwkvseg.store.figures import save_heat

            save_heat(path, explanation, heat, title)

        self._explorer.questions.export(write, path)

    def _save_overview(self) -> None:
        path = self._ask("overview.png", PICTURES)
        if path is None:
            return

        def write(explanation: Explanation) -> None:
            from napari_rwkvseg.store.figures import save_overview

            save_overview(path, explanation)

        self._explorer.questions.export(write, path)

    def _save_order(self) -> None:
        shown, path = self._explorer.state.shown, self._ask("order.csv", TABLES)
        if shown is None or path is None:
            return

        def write(explanation: Explanation) -> None:
            from napari_rwkvseg.store.scan_report import save_order

            save_order(path, explanation, shown.layer, shown.head)

        self._explorer.questions.export(write, path)

    def _ask(self, name: str, kinds: str) -> Path | None:
        return ask_path(self, "Export", name, kinds)


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button
