"""Accept, take back, reset, go on: what a person says about the mask besides painting."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, LABEL_WIDTH, muted, small_button
from napari_rwkvseg.workflow.correct import Correcting, Part

TIPS = {
    Part.SLICE: "The slice in sight is right, changed or not",
    Part.VISIBLE: "The part of the slice that can be seen is right, changed or not (key A)",
    Part.IMAGE: "All of the image is right, changed or not",
}


class AcceptBox(QWidget):
    """Counts of the three levels, and the buttons that change them."""

    def __init__(self, correcting: Correcting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._correcting = correcting

        self.count = muted()
        self.parts = {part: small_button(str(part), TIPS[part]) for part in Part}
        self.back = small_button("Take back", "Undo the last Accept")
        self.reset = small_button(
            "Reset", "Back to the prediction, and nothing accepted; Ctrl-Z brings it back"
        )
        self.next = small_button("Next", "Go where correcting helps most (key N)")
        self.overlay = QCheckBox("Show corrections")
        self.overlay.setToolTip("Pink: changed by hand. Blue: accepted. Never part of a result.")

        self._lay_out()

        for part, button in self.parts.items():
            button.clicked.connect(lambda _=False, part=part: correcting.accept(part))
        self.back.clicked.connect(lambda: correcting.take_back())
        self.reset.clicked.connect(lambda: correcting.reset())
        self.next.clicked.connect(lambda: correcting.next_place())
        self.overlay.toggled.connect(correcting.set_overlay)
        events = correcting.state.events
        for event in (events.count, events.accepted, events.flat, events.subject, events.overlay):
            listen(self, event, self._show)
        self._show()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        parts, others = QHBoxLayout(), QHBoxLayout()
        for row, buttons in ((parts, self.parts.values()), (others, (self.back, self.reset))):
            row.setSpacing(GAP)
            for button in buttons:
                row.addWidget(button, stretch=1)
        others.addWidget(self.next, stretch=1)
        grid.addWidget(self.count, 0, 0, 1, 2)
        grid.addWidget(QLabel("Accept"), 1, 0)
        grid.addLayout(parts, 1, 1)
        grid.addLayout(others, 2, 0, 1, 2)
        grid.addWidget(self.overlay, 3, 0, 1, 2)

    def _show(self, _: object = None) -> None:
        state = self._correcting.state
        self.count.setText(count_text(state.count))
        self.parts[Part.SLICE].setVisible(not state.flat)
        self.back.setEnabled(state.accepted > 0)
        self.next.setVisible(self._correcting.suggest is not None)
        with signals_blocked(self.overlay):
            self.overlay.setChecked(state.overlay)


def count_text(count: EvidenceCount) -> str:
    """Return like "1,204 px changed · 64,332 px accepted · 0 px not looked at"."""
    return (
        f"{count.changed:,} px changed · {count.reviewed:,} px accepted · "
        f"{count.unseen:,} px not looked at"
    )
