"""What the network chose for this image, alone or against others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.explorer.gate_plot import GatePlot
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, combo, form, muted, name_row
from napari_rwkvseg.workflow.explorer import Explorer

NOBODY, OPEN, FOLDER = "Nothing", "Mean of the other images", "Mean of a folder…"
LEGEND = (
    "Part, level.block; one bar per head. Teal heads stay in windows, and their share stands on "
    "the right; orange ones scan the whole grid."
)


class GatesBox(QWidget):
    """The row Compare, the plot, the difference in words."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer
        self._compared: Any = NOBODY  # the entry that is compared with, a layer or a text

        self.others = combo("Another open image, or the mean over the images of a folder")
        self.plot = GatePlot()
        self.difference = muted()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        top = QWidget()
        name_row(form(top), 0, "Compare with", self.others)
        for widget in (top, self.difference, self.plot, muted(LEGEND)):
            column.addWidget(widget)

        self.others.activated.connect(self._choose)
        state = explorer.state
        for event in (state.events.gates, state.events.other, state.events.comparing):
            listen(self, event, self._show)
        listen(self, state.events.difference, self._say)
        for event in (explorer.workflow.state.events.images, explorer.workflow.state.events.image):
            listen(self, event, self._fill)
        self._fill()
        self._show()
        self._say(state.difference)

    def _fill(self, _: object = None) -> None:
        """List the images anew; any change of the layers calls this, so the choice stays."""
        state = self._explorer.workflow.state
        with signals_blocked(self.others):
            self.others.clear()
            self.others.addItem(NOBODY)
            others = [layer for layer in state.images if layer is not state.image]
            for layer in others:
                self.others.addItem(layer.name, layer)
            self.others.addItems([OPEN, FOLDER] if len(others) > 1 else [FOLDER])
        if self._place(self._compared) is None:
            self._explorer.questions.compare_nothing()
            self._compared = NOBODY
        self._select()

    def _entry(self, index: int) -> Any:
        """Return what an entry stands for: a layer, or one of the texts."""
        return self.others.itemData(index) or self.others.itemText(index)

    def _place(self, entry: Any) -> int | None:
        """Return where an entry stands, None if it is not there."""
        return next((i for i in range(self.others.count()) if self._entry(i) == entry), None)

    def _select(self) -> None:
        """Show what the gates are compared with, whatever was chosen in vain."""
        self.others.setCurrentIndex(self._place(self._compared) or 0)

    def _choose(self, index: int) -> None:
        entry, questions = self._entry(index), self._explorer.questions
        if entry == FOLDER:
            folder = QFileDialog.getExistingDirectory(self, "Mean over the images of a folder")
            if not folder:
                self._select()
                return
            questions.compare_folder(Path(folder))
        elif entry == OPEN:
            questions.compare_open()
        elif entry == NOBODY:
            questions.compare_nothing()
        else:
            questions.compare(entry)
        self._compared = entry if self._explorer.state.comparing else NOBODY
        self._select()

    def _show(self, _: object = None) -> None:
        state = self._explorer.state
        self.plot.show_tables(state.gates, state.other)
        if not state.comparing:
            self._compared = NOBODY
            self._select()

    def _say(self, text: str) -> None:
        self.difference.setText(text)
        self.difference.setVisible(bool(text))
