"""Play the visit of the cells, step by step."""

from __future__ import annotations

from time import monotonic

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSlider, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, combo, muted
from napari_rwkvseg.workflow.explorer import Explorer

FRAME_MS = 33  # 30 frames a second
SECONDS = {"Slow": 30.0, "Normal": 10.0, "Fast": 3.0}  # for a whole visit


class Player(QWidget):
    """Play or pause, one step back or on, a slider, the speed."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MS)
        self._began, self._from = 0.0, 0

        self.play = QPushButton("Play")
        self.play.setToolTip(
            "Show the cells in the order in which they are visited; the arrows are back at a pause"
        )
        self.back = _small("−1", "One step back")
        self.forward = _small("+1", "One step on")
        self.speed = combo("A whole visit takes 30 s, 10 s or 3 s")
        self.speed.addItems(SECONDS)
        self.speed.setCurrentIndex(1)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Step of the visit")
        self.text = muted()

        self._lay_out()

        self.play.clicked.connect(self._toggle)
        self.back.clicked.connect(self._step_back)
        self.forward.clicked.connect(self._step_on)
        self.speed.activated.connect(self._restart)
        self.slider.valueChanged.connect(self._slide)
        self._timer.timeout.connect(self._tick)
        events = explorer.state.events
        listen(self, events.steps, self._show)
        listen(self, events.step, self._show)
        listen(self, events.shown, self._pause)
        listen(self, events.explanation, self._pause)
        self._show()

    def _lay_out(self) -> None:
        row, below = QHBoxLayout(), QHBoxLayout()
        for widget in (self.play, self.back, self.forward):
            row.addWidget(widget)
        row.addWidget(self.slider, stretch=1)
        below.addWidget(self.text, stretch=1)
        below.addWidget(self.speed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for layout in (row, below):
            layout.setSpacing(GAP)
            column.addLayout(layout)
        column.setSpacing(GAP)

    @property
    def playing(self) -> bool:
        """Whether the visit is running."""
        return bool(self._timer.isActive())

    def _toggle(self) -> None:
        if self.playing:
            self._pause()
            return
        state = self._explorer.state
        self._from = 0 if state.step >= state.steps - 1 else state.step
        self._began = monotonic()
        self._explorer.hide_arrows(True)
        self._timer.start()
        self.play.setText("Pause")

    def _pause(self, _: object = None) -> None:
        if self.playing:
            self._timer.stop()
            self._explorer.hide_arrows(False)
        self.play.setText("Play")

    def _restart(self, _: int = 0) -> None:
        """Go on from here at another speed."""
        self._from, self._began = self._explorer.state.step, monotonic()

    def _tick(self) -> None:
        """Show the step that the clock says: a slow screen drops frames, it does not lag."""
        steps = self._explorer.state.steps
        seconds = list(SECONDS.values())[self.speed.currentIndex()]
        step = self._from + int((monotonic() - self._began) / seconds * steps)
        self._explorer.show_step(step)
        if step >= steps - 1:
            self._pause()

    def _step_back(self) -> None:
        self._step(-1)

    def _step_on(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        self._pause()
        self._explorer.show_step(self._explorer.state.step + by)

    def _slide(self, step: int) -> None:
        self._pause()
        self._explorer.show_step(step)

    def _show(self, _: object = None) -> None:
        state = self._explorer.state
        with signals_blocked(self.slider):
            self.slider.setRange(0, max(state.steps - 1, 0))
            self.slider.setValue(state.step)
        self.text.setText(f"Step {state.step + 1} of {state.steps}" if state.steps else "")


def _small(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setFixedWidth(36)
    return button
