"""Which model, with the one line of its card that matters most."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.model_card import ModelCardView, score
from napari_rwkvseg.widgets.style import MARGIN, combo, form, muted, name_row
from napari_rwkvseg.workflow import Workflow

NO_MODEL = "No model yet. Import one under Models."
CARD_WIDTH = 400  # pixels


class ModelBox(QWidget):
    """The row Model, a summary of its card, and a link to all of it."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.models = combo(
            "The network that segments. Its card says what it was trained for. "
            "None for your images? Correct and retrain Retinal vessels: it learns new kinds best."
        )
        self.reads = muted()
        self.score = muted()
        self.details = QPushButton("Card")
        self.details.setObjectName("link")
        self.details.setToolTip("Show data, licence, scores and lineage of this model")

        grid = form(self)
        name_row(grid, 0, "Model", self.models)
        row = QHBoxLayout()
        row.addWidget(self.score, stretch=1)
        row.addWidget(self.details)
        grid.addWidget(self.reads, 1, 1)
        grid.addLayout(row, 2, 1)

        self.models.activated.connect(self._choose)
        self.details.clicked.connect(self._show_card)
        listen(self, workflow.state.events.models, self._show)
        listen(self, workflow.state.events.card, self._show)
        self._show()

    def _show(self, _: object = None) -> None:
        state = self._workflow.state
        with signals_blocked(self.models):
            self.models.clear()
            for card in state.models:
                self.models.addItem(card.title or card.name)
            if state.card in state.models:
                self.models.setCurrentIndex(state.models.index(state.card))
            if not state.models:
                self.models.addItem("No model")
        self.models.setEnabled(bool(state.models))
        self.details.setVisible(state.card is not None)
        self.reads.setText(NO_MODEL if state.card is None else state.card.modality)
        self.score.setText("" if state.card is None else score(state.card))

    def _choose(self, index: int) -> None:
        models = self._workflow.state.models
        if 0 <= index < len(models):
            self._workflow.choose_model(models[index])

    def _show_card(self) -> None:
        card = self._workflow.state.card
        if card is not None:
            CardDialog(card, self).open()


class CardDialog(QDialog):
    """The whole card in a window of its own."""

    def __init__(self, card: ModelCard, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(card.title or card.name)
        self.view = ModelCardView(card)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)

        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.addWidget(self.view)
        column.addWidget(buttons)

        buttons.rejected.connect(self.reject)
        self.finished.connect(self.deleteLater)
        # By itself a layout takes the height that the text would need in the narrowest of columns.
        column.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self.ensurePolished()  # fonts first
        self.setMinimumSize(CARD_WIDTH, column.totalHeightForWidth(CARD_WIDTH))
        self.resize(self.minimumSize())
