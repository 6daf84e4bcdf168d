"""All versions of the model, and the way back to any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, muted, small_button
from napari_rwkvseg.workflow.correct import Correcting

if TYPE_CHECKING:
    from napari_rwkvseg.store.library import Version

HEIGHT = 150  # px, about four versions
EMPTY = "Each retrain adds a version here; one click goes back to it."


class VersionList(QWidget):
    """The latest first; the one in use is marked."""

    def __init__(self, correcting: Correcting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._correcting = correcting

        self.list = QListWidget()
        self.list.setMaximumHeight(HEIGHT)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Versions of the model")
        self.empty = muted(EMPTY)
        self.use = small_button("Use version", "Bit for bit what it was; the mask follows")
        self.copy = small_button(
            "Copy methods", "Copy time spent and scores as text for a methods section"
        )

        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        row.setSpacing(GAP)
        row.addWidget(self.use, stretch=1)
        row.addWidget(self.copy, stretch=1)
        for widget in (self.list, self.empty):
            column.addWidget(widget)
        column.addLayout(row)

        self.list.currentRowChanged.connect(self._enable)
        self.list.itemActivated.connect(lambda _: self._use())
        self.use.clicked.connect(lambda: self._use())
        events = correcting.state.events
        listen(self, events.versions, self._show)
        listen(self, events.running, self._enable)
        listen(self, events.seconds, self._enable)
        self._show(correcting.state.versions)

    @property
    def chosen(self) -> Version | None:
        """The version the button acts on."""
        versions, row = self._correcting.state.versions, self.list.currentRow()
        return versions[row] if 0 <= row < len(versions) else None

    def _show(self, versions: tuple[Version, ...]) -> None:
        with signals_blocked(self.list):
            self.list.clear()
            for number, version in zip(range(len(versions), 0, -1), versions, strict=False):
                item = QListWidgetItem(version_text(number, version))
                item.setToolTip(version_tip(version))
                self.list.addItem(item)
                if version.active:
                    self.list.setCurrentItem(item)
        self.list.setVisible(len(versions) > 1)
        self.use.setVisible(len(versions) > 1)
        self.empty.setVisible(len(versions) <= 1)
        self._enable()

    def _enable(self, _: object = None) -> None:
        chosen, state = self.chosen, self._correcting.state
        self.use.setEnabled(chosen is not None and not chosen.active and not state.running)
        self.copy.setEnabled(bool(state.seconds))

    def _use(self) -> None:
        chosen = self.chosen
        if chosen is not None and not chosen.active:
            self._correcting.models.activate(chosen.name, chosen.sha256)


def version_text(number: int, version: Version) -> str:
    """Return like "3 · 2025-02-01 · in use", and a second line with "Dice 0.853 → 0.912"."""
    metrics, parts = version.card.metrics, [str(number)]
    parts.append("as delivered" if version.bundled else version.card.created)
    parts += ["in use"] * version.active
    text = " · ".join(filter(None, parts))
    if "held_out_dice" not in metrics:
        return text
    return f"{text}\nDice {metrics['held_out_dice_before']:.3f} → {metrics['held_out_dice']:.3f}"


def version_tip(version: Version) -> str:
    """Return checksum, parent and what the scores were measured on."""
    metrics = version.card.metrics
    lines = [f"Version {version.sha256[:8]}{' (in use)' if version.active else ''}"]
    if version.card.parent:
        lines.append(f"Made from {version.card.parent[:8]}")
    if "blocks" in metrics:
        blocks = f"{metrics['blocks']:.0f} held-out blocks of corrections"
        lines.append(f"Dice on {blocks}, before and after")
    return "\n".join(lines)
