"""The bar that offers what a crash left behind."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_rwkvseg.store.recovery import Recovery
from napari_rwkvseg.widgets.hand import DoubleClick
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, MARGIN
from napari_rwkvseg.workflow.safekeeping import Safekeeping


class RecoveryBar(QWidget):
    """One sentence and three buttons; shown while there is an offer."""

    def __init__(self, safekeeping: Safekeeping, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._safekeeping = safekeeping
        self._double = DoubleClick()

        self.text = QLabel()
        self.text.setObjectName("message")
        self.text.setProperty("tone", "note")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.restore = button("Restore", "Show them in a new layer; nothing else is changed")
        self.later = button("Later", "Keep them and ask again when this image is chosen")
        self.discard = button("", "Delete them for ever")

        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, MARGIN, 0)
        column.setSpacing(GAP)
        column.addWidget(self.text)
        row = QHBoxLayout()
        row.setContentsMargins(MARGIN, 0, 0, 0)
        for one in (self.restore, self.later, self.discard):
            row.addWidget(one)
        column.addLayout(row)

        self.restore.clicked.connect(safekeeping.restore)
        self.later.clicked.connect(safekeeping.later)
        self.discard.clicked.connect(self._discard)
        listen(self, safekeeping.state.events.offer, self._show)
        self._show(safekeeping.state.offer)

    def _show(self, offer: Recovery | None) -> None:
        self.setVisible(offer is not None)
        self._asked = False
        self.discard.setText("Discard")
        if offer is not None:
            self.text.setText(sentence(offer, datetime.now().astimezone()))

    def _discard(self) -> None:
        """Delete at a second click: the first may have been meant for Later."""
        if not self._asked:
            self._asked = True
            self._double.begin()
            self.discard.setText("Really?")
        elif self._double.over:
            self._safekeeping.discard()


def button(text: str, tooltip: str) -> QPushButton:
    """Return a button with an explanation."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    return made


def sentence(offer: Recovery, now: datetime) -> str:
    """Return what is offered, in the local time of `now`."""
    time = offer.time.astimezone(now.tzinfo)
    text = f"{time:%H:%M}" if time.date() == now.date() else f"{time:%d %b %Y, %H:%M}".lstrip("0")
    strokes = "1 stroke" if offer.strokes == 1 else f"{offer.strokes} strokes"
    return f"Unsaved corrections from {text}, {strokes}."
