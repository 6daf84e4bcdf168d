"""The line that talks to the person."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, MARGIN
from napari_rwkvseg.workflow import Message, Workflow


class MessageLine(QLabel):
    """Shows `state.message` with a coloured edge: red for errors, amber for notes."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)  # layer names are anybody's text
        self.setContentsMargins(0, GAP, MARGIN, GAP)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)

        listen(self, workflow.state.events.message, self._show)
        self._show(workflow.state.message)

    def _show(self, message: Message) -> None:
        self.setProperty("tone", str(message.tone))
        self.style().unpolish(self)
        self.style().polish(self)
        self.setText(message.text)
        self.setVisible(bool(message.text))
