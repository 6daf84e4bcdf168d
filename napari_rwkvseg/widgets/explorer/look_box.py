"""What a pixel looked at, and why it is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, combo, form, muted, name_row
from napari_rwkvseg.workflow.explorer import Explorer, Look

if TYPE_CHECKING:
    from napari_rwkvseg.engine.explain import Explanation

HINT = "Switch on Ask, then click on the image, or hold Shift and move."


class LookBox(QWidget):
    """Through what, the switch, the answer; the reason for a corrected pixel."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer

        self.looks = combo(
            "Whose weights are shown for the pixel that you click: of the chosen head; of all "
            "heads of its block, by their weight; of the whole network, by its gradient; of the "
            "decoder's words inside their cell, if it has any"
        )
        self.looks.addItems([str(look) for look in Look])
        self.ask = QPushButton("Ask")
        self.ask.setCheckable(True)
        self.ask.setObjectName("choice")
        self.ask.setMinimumWidth(52)
        self.ask.setToolTip("Clicks on the image ask what the pixel looked at")
        self.why = QPushButton("Why is this wrong?")
        self.why.setToolTip(
            "For a pixel whose label you corrected: what the model knew of the structure"
        )
        self.answer = muted(HINT)
        self.reason = muted()

        self._lay_out()

        self.looks.activated.connect(self._choose)
        self.ask.toggled.connect(explorer.set_asking)
        self.why.clicked.connect(explorer.questions.ask_why)
        events = explorer.state.events
        listen(self, events.explanation, self._offer)
        listen(self, events.look, self._show)
        listen(self, events.asking, self._show)
        listen(self, events.answer, self._show)
        listen(self, events.reason, self._show)
        self._offer(explorer.state.explanation)
        self._show()

    def _lay_out(self) -> None:
        top, row = QWidget(), QHBoxLayout()
        name_row(form(top), 0, "Through", self.looks)
        row.setSpacing(GAP)
        row.addWidget(self.ask)
        row.addWidget(self.why, stretch=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(top)
        column.addLayout(row)
        column.addWidget(self.answer)
        column.addWidget(self.reason)

    def _choose(self, index: int) -> None:
        self._explorer.set_look(list(Look)[index])

    def _offer(self, explanation: Explanation | None) -> None:
        """Offer the words of the decoder where it has some."""
        entries = self.looks.model()
        assert isinstance(entries, QStandardItemModel)  # what a combo box has by itself
        words = entries.item(list(Look).index(Look.WORDS))
        words.setEnabled(explanation is None or bool(explanation.trace.words))

    def _show(self, _: object = None) -> None:
        state = self._explorer.state
        with signals_blocked(self.looks), signals_blocked(self.ask):
            self.looks.setCurrentText(str(state.look))
            self.ask.setChecked(state.asking)
        self.answer.setText(state.answer or HINT)
        self.reason.setText("\n".join(state.reason))
        self.reason.setVisible(bool(state.reason))
