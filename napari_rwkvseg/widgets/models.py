"""The Models tab: which models there are, their cards, and their files."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.widgets.explorer.reading_button import ReadingButton
from napari_rwkvseg.widgets.hand import DoubleClick
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.model_card import ModelCardView, score
from napari_rwkvseg.widgets.style import GAP, MARGIN, muted, section
from napari_rwkvseg.workflow import Workflow

LIST_HEIGHT = 130  # px, about five models
FILES = "RWKV models (*.safetensors)"
EMPTY = "No model yet. Import a model file (.safetensors), or train one on the command line."


class ModelsTab(QWidget):
    """A list, the card of the chosen model, and what can be done with its file."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow
        self._double = DoubleClick()

        self.list = QListWidget()
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.empty = muted(EMPTY)
        self.card = ModelCardView()
        self.import_button = _button("Import…", "Add a model file to your library, after checks")
        self.export_button = _button("Export…", "Save a copy of the model file with its card")
        self.folder_button = _button("Show folder", "Open the folder that holds the model file")
        self.delete_button = _button("Delete", "Move the model to the trash; can be undone")
        self.reading_button = ReadingButton(workflow, lambda: self.chosen)
        self.undo_button = _button("Undo delete", "Bring the deleted model back")

        self._lay_out()

        self.list.currentRowChanged.connect(self._select)
        self.import_button.clicked.connect(self._import)
        self.export_button.clicked.connect(self._export)
        self.folder_button.clicked.connect(self._show_folder)
        self.delete_button.clicked.connect(self._delete)
        self.undo_button.clicked.connect(self._undo)
        listen(self, workflow.state.events.models, self._show)
        listen(self, workflow.state.events.card, self._show)
        self._show()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        column.setSpacing(GAP)
        buttons = QGridLayout()
        buttons.setSpacing(GAP)
        rows = (self.import_button, self.export_button, self.folder_button, self.delete_button)
        for place, button in enumerate(rows):
            buttons.addWidget(button, place // 2, place % 2)
        self.list.setMaximumHeight(LIST_HEIGHT)
        column.addWidget(self.list)
        column.addWidget(self.empty)
        column.addLayout(buttons)
        column.addWidget(self.undo_button)
        column.addWidget(section("Card"))
        column.addWidget(self.card)
        column.addWidget(self.reading_button)
        column.addStretch()

    def _show(self, _: object = None) -> None:
        state = self._workflow.state
        with signals_blocked(self.list):
            self.list.clear()
            for card in state.models:
                item = QListWidgetItem(card.title or card.name)
                item.setToolTip(f"{card.name} · {score(card)}".rstrip(" ·"))
                self.list.addItem(item)
            if state.card in state.models:
                self.list.setCurrentRow(state.models.index(state.card))
        self.empty.setVisible(not state.models)
        self.list.setVisible(bool(state.models))
        self.undo_button.setVisible(self._workflow.shelf.can_undo)
        self._select(self.list.currentRow())

    @property
    def chosen(self) -> ModelCard | None:
        """The model the buttons act on."""
        models, row = self._workflow.state.models, self.list.currentRow()
        return models[row] if 0 <= row < len(models) else None

    def _select(self, row: int) -> None:
        card = self.chosen
        self.card.show_card(card)
        self.reading_button.setVisible(card is not None)
        for button in (self.export_button, self.folder_button, self.delete_button):
            button.setEnabled(card is not None)

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a model", "", FILES)
        if path:
            self._workflow.shelf.import_file(Path(path))

    def _export(self) -> None:
        card = self.chosen
        if card is None:
            return
        name = f"{card.name}.safetensors"
        path, _ = QFileDialog.getSaveFileName(self, "Export the model", name, FILES)
        if path:
            self._workflow.shelf.export(card, Path(path))

    def _show_folder(self) -> None:
        card = self.chosen
        if card is not None:
            folder = self._workflow.shelf.library.path(card.name).parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _delete(self) -> None:
        card = self.chosen
        if card is not None and self._double.over:
            self._double.begin()
            self._workflow.shelf.delete(card)
            self._show()  # no card changes where only versions were deleted that are not in use

    def _undo(self) -> None:
        self._workflow.shelf.undo()
        self._show()


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button
