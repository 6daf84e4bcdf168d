"""The Models tab: which models there are, and their files."""

from __future__ import annotations

from qtpy.QtWidgets import QListWidget, QVBoxLayout, QWidget

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.model_card import ModelCardView
from napari_rwkvseg.widgets.style import GAP, MARGIN
from napari_rwkvseg.workflow import Workflow


class ModelsTab(QWidget):
    """List with cards."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.list = QListWidget()
        self.card = ModelCardView()

        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        column.addWidget(self.list)
        column.addWidget(self.card)

        self.list.currentRowChanged.connect(self._select)
        listen(self, workflow.state.events.models, self._show)
        self._show()

    def _show(self, _: object = None) -> None:
        self.list.clear()
        for card in self._workflow.state.models:
            self.list.addItem(card.title or card.name)

    def _select(self, row: int) -> None:
        models = self._workflow.state.models
        self.card.show_card(models[row] if 0 <= row < len(models) else None)
