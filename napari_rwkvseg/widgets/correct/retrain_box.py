"""The primary button of the tab, how far the retrain is, and its curves."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.correct.curve_plot import CurvePlot
from napari_rwkvseg.widgets.hand import DoubleClick
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.run_box import show_progress
from napari_rwkvseg.widgets.style import GAP, combo, form, muted, name_row
from napari_rwkvseg.workflow import RunProgress
from napari_rwkvseg.workflow.correct import Correcting, Curves


class RetrainBox(QWidget):
    """Start from a model, Retrain, which is Cancel meanwhile, bar and curves."""

    def __init__(self, correcting: Correcting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._correcting = correcting
        self._double = DoubleClick()

        self.models = combo("The model that learns the corrections; it stays as it is")
        self.about = muted()
        self.button = QPushButton("Retrain")
        self.button.setObjectName("primary")
        self.bar = QProgressBar()
        self.bar.setObjectName("bar")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.text = muted()
        self.plot = CurvePlot()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        top = QWidget()
        name_row(form(top), 0, "Start from", self.models)
        for widget in (top, self.about, self.button, self.bar, self.text, self.plot):
            column.addWidget(widget)

        self.button.clicked.connect(self._click)
        self.models.activated.connect(self._choose)
        events, shared = correcting.state.events, correcting.workflow.state.events
        for event in (events.running, events.images, events.target, shared.models, shared.card):
            listen(self, event, self._show)
        listen(self, events.progress, self._show_progress)
        listen(self, events.curves, self._show_curves)
        self._show()
        self._show_curves(correcting.state.curves)

    def _click(self) -> None:
        if not self._correcting.state.running:
            self._double.begin()
            self._correcting.models.retraining.start()
        elif self._double.over:
            self._correcting.models.retraining.cancel()

    def _choose(self, index: int) -> None:
        models = self._correcting.workflow.state.models
        if 0 <= index < len(models):
            self._correcting.workflow.choose_model(models[index])

    def _show(self, _: object = None) -> None:
        state, shared = self._correcting.state, self._correcting.workflow.state
        with signals_blocked(self.models):
            self.models.clear()
            self.models.addItems([card.title or card.name for card in shared.models])
            if shared.card in shared.models:
                self.models.setCurrentIndex(shared.models.index(shared.card))
        self.models.setEnabled(bool(shared.models) and not state.running)
        self.about.setText(about(state.images, state.target))
        self.button.setText("Cancel" if state.running else "Retrain")
        self.button.setToolTip(
            "Stop; models and masks stay as they are"
            if state.running
            else "Learn from all corrections, about 45 s; only a better model comes into use"
        )
        self.button.setEnabled(state.running or (state.images > 0 and shared.card is not None))
        self.button.setProperty("running", state.running)
        self.button.style().polish(self.button)
        self.bar.setVisible(state.running)
        self.text.setVisible(state.running)

    def _show_progress(self, progress: RunProgress) -> None:
        show_progress(self.bar, self.text, progress)

    def _show_curves(self, curves: Curves) -> None:
        self.plot.show_curves(curves)
        self.plot.setVisible(bool(curves.loss))


def about(images: int, target: str) -> str:
    """Return what a retrain learns from, and under which name the result is kept."""
    if not images:
        return "Nothing to learn from yet: correct the mask, or accept what is right already."
    noun = "1 image" if images == 1 else f"{images} images"
    return f"Learns from {noun}; kept as a version of {target}."
