"""The Scan explorer tab: in which order the model reads the image, and what its pixels look at."""

from __future__ import annotations

import numpy as np
from napari.layers import Vectors
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_rwkvseg.widgets.explorer.beside_box import BesideBox
from napari_rwkvseg.widgets.explorer.export_box import ExportBox
from napari_rwkvseg.widgets.explorer.gates_box import GatesBox
from napari_rwkvseg.widgets.explorer.look_box import LookBox
from napari_rwkvseg.widgets.explorer.player import Player
from napari_rwkvseg.widgets.explorer.tree import ScanTree
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, MARGIN, muted, section
from napari_rwkvseg.widgets.turns import Turns
from napari_rwkvseg.widgets.workers import JobRunner
from napari_rwkvseg.workflow import Message, Workflow
from napari_rwkvseg.workflow.explorer import Explorer, ExplorerRunners


def prepare_layers() -> None:
    """Load what napari needs for its first vectors: pandas, 0.5 s, so in the thread of a job."""
    Vectors(np.zeros((1, 2, 2)), features={"step": [0.0]})


class ExplorerTab(QWidget):
    """The tree of heads, the player, the gates, the looks, the files."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        runners = ExplorerRunners(*(JobRunner(self) for _ in range(4)))
        self.explorer = Explorer(workflow, runners, Turns(self).later, prepare_layers)

        self.button = QPushButton("Explore")
        self.button.setObjectName("primary")
        self.text = muted()
        self.tree = ScanTree(self.explorer)
        self.player = Player(self.explorer)
        self.gates = GatesBox(self.explorer)
        self.look = LookBox(self.explorer)
        self.beside = BesideBox(self.explorer)
        self.export = ExportBox(self.explorer)
        self._results = QWidget()

        self._lay_out()

        self.button.clicked.connect(self._click)
        events = self.explorer.state.events
        listen(self, events.problem, self._show_message)
        listen(self, events.explanation, self._show)
        listen(self, events.busy, self._show)
        self._show_message(self.explorer.state.problem)
        self._show()

    def _lay_out(self) -> None:
        inner = QVBoxLayout(self._results)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(GAP)
        inner.addWidget(section("Scan order"))
        inner.addWidget(self.tree)
        inner.addWidget(self.player)
        inner.addWidget(section("What did this pixel look at?"))
        inner.addWidget(self.look)
        inner.addWidget(section("What the network chose"))
        inner.addWidget(self.gates)
        inner.addWidget(section("Compare"))
        inner.addWidget(self.beside)
        inner.addWidget(section("Export"))
        inner.addWidget(self.export)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        column.setSpacing(GAP)
        column.addWidget(self.button)
        column.addWidget(self.text)
        column.addWidget(self._results)
        column.addStretch()

    def _click(self) -> None:
        if self.explorer.active:
            self.explorer.close()
        else:
            self.explorer.start()
        self._show()

    def _show(self, _: object = None) -> None:
        state = self.explorer.state
        active = self.explorer.active
        self.button.setText("Stop exploring" if active else "Explore")
        self.button.setToolTip(
            "Take the explorer's layers away"
            if active
            else "Run the chosen model over the image in sight and show how it reads it"
        )
        self.button.setProperty("running", active)
        self.button.style().polish(self.button)
        self._results.setVisible(state.explanation is not None)

    def _show_message(self, message: Message) -> None:
        self.text.setText(message.text)
        self._show()
