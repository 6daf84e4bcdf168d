"""The classes of the mask: paint with one, rename one, add one."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLineEdit, QPushButton, QWidget

from napari_rwkvseg.adapters.to_layers import CLASS_COLORS, UNNAMED_COLOR
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP
from napari_rwkvseg.workflow.correct import BACKGROUND, Correcting

ROWS_AT_ONCE = 6  # more classes than this are listed, but cannot be renamed here
SWATCH = 24  # px


class ClassBox(QWidget):
    """A swatch and a name per class, and an empty line for a new one."""

    def __init__(self, correcting: Correcting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._correcting = correcting
        self._rows: list[tuple[QPushButton, QLineEdit]] = []

        self.added = QLineEdit()
        self.added.setPlaceholderText("New class…")
        self.added.setAccessibleName("Name of a new class")
        self.added.setToolTip("Name a class the model does not know yet, then paint examples of it")
        self.add = QPushButton("Add")
        self.add.setToolTip("Add the class and take up the brush with its label")
        self.background = QPushButton("Paint background")
        self.background.setToolTip(
            "Mark what is none of the classes: where nothing is painted, nothing is known"
        )

        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self._grid.setColumnStretch(1, 1)

        self.add.clicked.connect(self._add)
        self.added.returnPressed.connect(self._add)
        self.background.clicked.connect(lambda: correcting.classes.paint_with(BACKGROUND))
        events = correcting.state.events
        for event in (events.class_names, events.editable, events.blank):
            listen(self, event, self._show)
        self._show()

    @property
    def rows(self) -> tuple[tuple[QPushButton, QLineEdit], ...]:
        """Swatch and name of each class."""
        return tuple(self._rows)

    def _show(self, _: object = None) -> None:
        state = self._correcting.state
        while len(self._rows) > len(state.class_names):
            for widget in self._rows.pop():
                self._grid.removeWidget(widget)
                widget.deleteLater()
        while len(self._rows) < len(state.class_names):
            self._append()
        for (_, line), name in zip(self._rows, state.class_names, strict=True):
            if line.text() != name:
                line.setText(name)
        end = len(self._rows)
        self._grid.addWidget(self.added, end, 0, 1, 2)
        self._grid.addWidget(self.add, end, 2)
        self._grid.addWidget(self.background, end + 1, 0, 1, 3)
        self.background.setVisible(state.blank)
        self.setVisible(state.editable)

    def _append(self) -> None:
        label = len(self._rows) + 1
        color = CLASS_COLORS[(label - 1) % len(CLASS_COLORS)] or UNNAMED_COLOR
        swatch, line = QPushButton(), QLineEdit()
        swatch.setFixedSize(SWATCH, SWATCH)
        swatch.setStyleSheet(f"background: {color}; border: none; border-radius: 4px;")
        swatch.setToolTip(f"Paint with label {label}")
        swatch.setAccessibleName(f"Paint with label {label}")
        line.setToolTip("Another name makes it another class")
        line.setAccessibleName(f"Name of label {label}")
        line.setAlignment(Qt.AlignmentFlag.AlignLeft)
        swatch.clicked.connect(lambda: self._correcting.classes.paint_with(label))
        line.editingFinished.connect(lambda: self._rename(label, line))
        self._grid.addWidget(swatch, label - 1, 0)
        self._grid.addWidget(line, label - 1, 1, 1, 2)
        self._rows.append((swatch, line))

    def _rename(self, label: int, line: QLineEdit) -> None:
        names = self._correcting.state.class_names
        if label <= len(names):
            self._correcting.classes.rename(label, line.text())
            line.setText(self._correcting.state.class_names[label - 1])

    def _add(self) -> None:
        before = self._correcting.state.class_names
        self._correcting.classes.add(self.added.text())
        if self._correcting.state.class_names != before:
            self.added.clear()
