"""The one primary button, and how far the run is."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_rwkvseg.widgets.hand import DoubleClick
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, muted
from napari_rwkvseg.workflow import RunProgress, Workflow

STEPS = 1000


class RunBox(QWidget):
    """Segment, which is Cancel while a run is under way, above a progress bar."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow
        self._double = DoubleClick()

        self.button = QPushButton("Segment")
        self.button.setObjectName("primary")
        self.bar = QProgressBar()
        self.bar.setObjectName("bar")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.text = muted()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(GAP)
        for widget in (self.button, self.bar, self.text):
            column.addWidget(widget)

        self.button.clicked.connect(self._click)
        events = workflow.state.events
        listen(self, events.running, self._show_running)
        listen(self, events.progress, self._show_progress)
        listen(self, events.image, self._show_running)
        listen(self, events.card, self._show_running)
        self._show_running()

    def _click(self) -> None:
        if not self._workflow.state.running:
            self._double.begin()
            self._workflow.segment()
        elif self._double.over:
            self._workflow.cancel()

    def _show_running(self, _: object = None) -> None:
        state = self._workflow.state
        self.button.setText("Cancel" if state.running else "Segment")
        self.button.setToolTip(
            "Stop the run; layers stay as they are" if state.running else "Run the model"
        )
        self.button.setEnabled(
            state.running or (state.image is not None and state.card is not None)
        )
        self.button.setProperty("running", state.running)
        self.button.style().polish(self.button)
        self.bar.setVisible(state.running)
        self.text.setVisible(state.running)

    def _show_progress(self, progress: RunProgress) -> None:
        show_progress(self.bar, self.text, progress)


def show_progress(bar: QProgressBar, text: QLabel, progress: RunProgress) -> None:
    """Show how far a run is; the bar wanders while that is not known."""
    unknown = progress.fraction < 0
    bar.setRange(0, 0 if unknown else STEPS)
    bar.setValue(-1 if unknown else round(STEPS * progress.fraction))
    text.setText(progress.text)
