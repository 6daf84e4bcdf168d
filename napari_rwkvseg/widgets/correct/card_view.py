"""The before/after card: what the judge found, in words, in figures and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.correct.score_table import ScoreTable
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, muted, section, small_button
from napari_rwkvseg.workflow.correct import Correcting, Difference, Report, Standing

if TYPE_CHECKING:
    from napari_rwkvseg.engine.judge import Verdict

HEADS = {
    "better": ("Better", "In use now."),
    "cannot tell": ("Cannot tell yet", "Kept aside; the old model stays in use."),
    "worse": ("Worse", "Kept aside; the old model stays in use."),
}
CHOSEN = "In use, because you chose so."
WENT_BACK = "You went back to the old one."
ELSEWHERE = "Kept under a name of its own; another model is chosen."
GONE = "Not in the library any more."
EARLIER = "Kept aside before, and proven on what was corrected since. In use now."
TONES = {"better": "done", "cannot tell": "note", "worse": "error"}
PICTURE_HEIGHT = 260  # px, at most
ANYWAY = "Use this model although the comparison does not say that it is better. You can go back."


class CardView(QWidget):
    """Hidden until there is a verdict."""

    def __init__(self, correcting: Correcting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._correcting = correcting

        self.verdict = QLabel()
        self.verdict.setObjectName("verdict")
        self.status = muted()
        self.scores = ScoreTable()
        self.reason = muted()
        self.picture = QLabel()
        self.legend = muted()
        self.compare = QCheckBox("Show the difference as a layer")
        self.compare.setToolTip("Orange: only the old model. Teal: only the new one.")
        self.back = small_button("Go back", "Use the old model again, bit for bit what it was")
        self.trial = small_button("Try it", "Show what the new model finds, in a layer of its own")
        self.anyway = small_button("Use it anyway", ANYWAY)

        self._lay_out()

        models = correcting.models
        self.compare.toggled.connect(models.set_comparing)
        self.back.clicked.connect(lambda: models.go_back())
        self.trial.clicked.connect(lambda: models.try_it())
        self.anyway.clicked.connect(lambda: models.use_anyway())
        events = correcting.state.events
        for event in (events.report, events.standing, events.versions, events.running):
            listen(self, event, self._show)
        listen(self, events.difference, self._show_difference)
        listen(self, events.comparing, self._show_comparing)
        self._show()
        self._show_difference(correcting.state.difference)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(section("Before and after"))
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        for button in (self.back, self.trial, self.anyway):
            buttons.addWidget(button, stretch=1)
        for widget in (self.verdict, self.status, self.scores, self.reason):
            column.addWidget(widget)
        column.addLayout(buttons)
        for widget in (self.picture, self.legend, self.compare):
            column.addWidget(widget)

    def _show(self, _: object = None) -> None:
        report = self._correcting.state.report
        self.setVisible(report is not None)
        if report is None:
            return
        verdict, active = report.verdict, self._is_active(report)
        gone = self._correcting.state.standing is Standing.GONE
        self.verdict.setText(HEADS[verdict.answer][0])
        self.verdict.setProperty("tone", TONES[verdict.answer])
        self.verdict.style().polish(self.verdict)
        self.status.setText(GONE if gone else status_text(report, active))
        self.scores.show_verdict(verdict)
        self.reason.setText(f"{explanation(verdict)} {report.left_out}".rstrip())
        self.back.setVisible(active)
        self.trial.setVisible(not active and not gone)
        self.anyway.setVisible(not active and not gone)
        for button in (self.back, self.trial, self.anyway):
            button.setEnabled(not self._correcting.state.running)

    def _is_active(self, report: Report) -> bool:
        """Whether the new model is in use; what was meant until the library was asked.

        The first of its name leaves the old model its own: then what is chosen is in use.
        """
        standing = self._correcting.state.standing
        if standing is None:
            return report.verdict.answer == "better"
        chosen = self._correcting.models.versions.name == report.name
        return standing is Standing.ACTIVE and (chosen or report.base == report.name)

    def _show_difference(self, difference: Difference | None) -> None:
        for widget in (self.picture, self.legend, self.compare):
            widget.setVisible(difference is not None)
        if difference is None:
            return
        rows, columns, _ = difference.picture.shape
        data = difference.picture.tobytes()
        image = QImage(data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
        width = max(self.width(), 240)
        self.picture.setPixmap(
            QPixmap.fromImage(image).scaled(
                width,
                PICTURE_HEIGHT,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
        share = 100 * difference.changed / max(difference.compared, 1)
        self.legend.setText(
            f"{difference.changed:,} px differ ({share:.1f} %). Orange: only the old model. "
            "Teal: only the new one."
        )

    def _show_comparing(self, on: bool) -> None:
        with signals_blocked(self.compare):
            self.compare.setChecked(on)


def status_text(report: Report, active: bool) -> str:
    """Return what became of a model that is in the library, in use or not."""
    better = report.verdict.answer == "better"
    if active == better:
        return EARLIER if report.earlier else HEADS[report.verdict.answer][1]
    if active:
        return CHOSEN
    return WENT_BACK if report.base == report.name else ELSEWHERE


def explanation(verdict: Verdict) -> str:
    """Return how the verdict was reached, with what it is worth."""
    fresh, replay = verdict.fresh, verdict.replay
    text = (
        f"On {fresh.n} blocks ({fresh.pixels:,} px) of your corrections that neither model learnt "
        f"from. Gain {fresh.gain:+.3f}, {fresh.interval}."
    )
    if fresh.empty:
        text += (
            f" Dice is the mean of {fresh.images + fresh.empty} images, in {fresh.empty} of which "
            "there is nothing to find."
        )
    if verdict.answer == "cannot tell":
        text += " Accept more, on other places or images, to be able to tell."
    if replay is not None:
        text += (
            f" On corrections learnt before: Dice {replay.old_dice:.3f} → {replay.new_dice:.3f} "
            f"({replay.n} blocks)."
        )
    return text
