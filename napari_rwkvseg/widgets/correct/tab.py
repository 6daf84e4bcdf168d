"""The Correct tab: from a mask that is nearly right to a model that is better."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_rwkvseg.engine.suggest import suggest
from napari_rwkvseg.widgets.correct.accept_box import AcceptBox
from napari_rwkvseg.widgets.correct.card_view import CardView
from napari_rwkvseg.widgets.correct.class_box import ClassBox
from napari_rwkvseg.widgets.correct.keys import ViewerKeys
from napari_rwkvseg.widgets.correct.retrain_box import RetrainBox
from napari_rwkvseg.widgets.correct.version_list import VersionList
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, MARGIN, muted, section
from napari_rwkvseg.widgets.turns import Turns
from napari_rwkvseg.widgets.workers import JobRunner
from napari_rwkvseg.workflow import Message, Tone, Workflow
from napari_rwkvseg.workflow.correct import Correcting, CorrectRunners, Part, Report
from napari_rwkvseg.workflow.correct.effort import short_before

HOW = (
    "Paint, fill and erase with napari's tools on {name}. Then accept what is right, changed or "
    "not: both teach the model."
)


class CorrectTab(QWidget):
    """Evidence, retrain, verdict, versions, top to bottom."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._turns = Turns(self)
        runners = CorrectRunners(*(JobRunner(self) for _ in range(4)))
        self.correcting = Correcting(workflow, runners, self._turns.later, suggest)
        self.keys = ViewerKeys(workflow.viewer, self._actions())

        self.text = muted()
        self.empty = QPushButton("Start an empty mask")
        self.empty.setToolTip(
            "Draw the first examples by hand and teach the model a kind it does not know"
        )
        self.classes = ClassBox(self.correcting)
        self.accept = AcceptBox(self.correcting)
        self.retrain = RetrainBox(self.correcting)
        self.card = CardView(self.correcting)
        self.before = muted()
        self.versions = VersionList(self.correcting)
        self._review = QWidget()

        self._lay_out()

        self.empty.clicked.connect(lambda: self.correcting.start_empty())
        self.versions.copy.clicked.connect(self._copy)
        workflow.closing.connect(self.keys.release)
        events = self.correcting.state.events
        for event in (events.hint, events.subject, events.images, events.before):
            listen(self, event, self._show)
        listen(self, workflow.state.events.image, self._show)
        listen(self, events.report, self._reveal)
        self._show()

    def _lay_out(self) -> None:
        review = QVBoxLayout(self._review)
        review.setContentsMargins(0, 0, 0, 0)
        review.setSpacing(GAP)
        for widget in (self.classes, section("What is right"), self.accept, self.before):
            review.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        column.setSpacing(GAP)
        for widget in (self.text, self.empty, self._review, section("Retrain"), self.retrain):
            column.addWidget(widget)
        for widget in (self.card, section("Versions"), self.versions):
            column.addWidget(widget)
        column.addStretch()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Take the keys, and look at the versions: another program may have added some."""
        super().showEvent(event)
        self.keys.bind()
        self.correcting.models.versions.read()

    def _actions(self) -> dict[str, Callable[[], object]]:
        seen = partial(self.correcting.accept, Part.VISIBLE)  # never what nobody looked at
        keys: dict[str, Callable[[], object]] = {"A": seen}
        if self.correcting.suggest is not None:
            keys["N"] = self.correcting.next_place
        return keys

    def _show(self, _: object = None) -> None:
        state = self.correcting.state
        name = state.subject
        self.text.setText(state.hint or HOW.format(name=name))
        has_image = self.correcting.workflow.state.image is not None
        self.empty.setVisible(not name and has_image)
        self._review.setVisible(bool(name))
        self.before.setText("" if state.before is None else short_before(state.before))
        self.before.setVisible(state.before is not None)

    def _reveal(self, report: Report | None) -> None:
        """Bring a new verdict into sight, once it has its place."""
        area = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if report is not None and area is not None:
            self._turns.later(lambda: area.ensureWidgetVisible(self.card.status))

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.correcting.methods_text())
        self.correcting.workflow.state.message = Message("Copied.", Tone.DONE)
