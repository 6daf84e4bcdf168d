"""What the result looks like; applied at once to probabilities that are there already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_rwkvseg.adapters.from_layers import pixel_size
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import form, muted, name_row
from napari_rwkvseg.workflow import Extras, Workflow

MAX_SIZE = 1_000_000  # pixels
AUTO = -1  # in the box: what the model proposes


class ResultBox(QWidget):
    """Classes or objects, threshold, smallest object, holes, further layers."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.classes = _choice("Classes", "One label per class, for example liver and tumour")
        self.objects = _choice("Objects", "One label per object: touching nuclei are separated")
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.smallest = QSpinBox()
        self.physical = muted()
        self.doubtful = QCheckBox("Keep doubtful")
        self.holes = QCheckBox("Fill holes")
        self.probability = QCheckBox("Probability")
        self.uncertainty = QCheckBox("Uncertainty")
        self._set_up()

        self._lay_out()

        group = QButtonGroup(self)
        group.addButton(self.classes)
        group.addButton(self.objects)
        self.objects.toggled.connect(lambda on: self._change(separate=on))
        self.threshold.valueChanged.connect(lambda v: self._change(threshold=round(v, 2)))
        self.smallest.valueChanged.connect(
            lambda n: self._change(min_size=None if n == AUTO else n)
        )
        self.doubtful.toggled.connect(lambda on: self._change(peak=0.0 if on else None))
        self.holes.toggled.connect(lambda on: self._change(fill_holes=on))
        self.probability.toggled.connect(self._change_extras)
        self.uncertainty.toggled.connect(self._change_extras)
        listen(self, workflow.state.events.options, self._show)
        listen(self, workflow.state.events.reading, self._show_smallest)
        listen(self, workflow.state.events.card, self._show_card)
        self._show(workflow.state.options)

    def _set_up(self) -> None:
        self.threshold.setRange(0.01, 0.99)
        self.threshold.setSingleStep(0.01)  # type: ignore[arg-type]  # typed for whole steps
        self.threshold.setDecimals(2)
        self.threshold.setToolTip(
            "How sure the model must be. Lower finds more; works at once, without a new run."
        )
        self.smallest.setRange(AUTO, MAX_SIZE)
        self.smallest.setSpecialValueText("Auto")
        self.smallest.setSuffix(" px")
        self.smallest.setKeyboardTracking(False)
        self.smallest.setToolTip(
            "Smaller objects and islands are left out. Auto: below a quarter of the smallest "
            "objects that the model learnt from corrections. 0 keeps all."
        )
        self.doubtful.setToolTip(
            "Also show objects of which the model is nowhere as sure as of those it was taught"
        )
        self.holes.setToolTip("Fill background that is enclosed by an object")
        self.probability.setToolTip("Add a layer with the probability, 0 to 1, at the next run")
        self.uncertainty.setToolTip("Add a layer that is bright where the model is unsure")

    def _lay_out(self) -> None:
        grid = form(self)
        kind = QHBoxLayout()
        kind.setSpacing(2)
        kind.addWidget(self.classes)
        kind.addWidget(self.objects)
        grid.addWidget(QLabel("Show as"), 0, 0)
        grid.addLayout(kind, 0, 1)
        name_row(grid, 1, "Threshold", self.threshold)
        name_row(grid, 2, "Smallest", self.smallest)
        grid.addWidget(self.physical, 3, 1)
        grid.addWidget(self.doubtful, 4, 1)
        grid.addWidget(self.holes, 5, 1)
        grid.addWidget(QLabel("Also add"), 6, 0)
        grid.addWidget(self.probability, 6, 1)
        grid.addWidget(self.uncertainty, 7, 1)
        self.smallest.setAccessibleName("Smallest object in pixels")

    def _show(self, options: MaskOptions) -> None:
        widgets = (
            self.objects, self.classes, self.threshold, self.smallest, self.doubtful, self.holes
        )  # fmt: skip
        for widget in widgets:
            widget.blockSignals(True)
        (self.objects if options.separate else self.classes).setChecked(True)
        self.threshold.setValue(options.threshold)
        self.smallest.setValue(AUTO if options.min_size is None else options.min_size)
        self.doubtful.setChecked(options.peak == 0)
        self.holes.setChecked(options.fill_holes)
        for widget in widgets:
            widget.blockSignals(False)
        self._show_card()

    def _show_card(self, _: object = None) -> None:
        """Offer what the chosen model leaves out."""
        card = self._workflow.state.card
        self.doubtful.setVisible(bool(card and card.peak))
        self._show_smallest()

    def _show_smallest(self, _: object = None) -> None:
        """Say what the smallest size comes to: in pixels, and in the units of the image."""
        state = self._workflow.state
        chosen = state.options.min_size
        pixels = chosen if chosen is not None else state.card.min_size if state.card else 0
        parts = [f"{pixels} px"] if pixels and chosen is None else []
        if pixels and state.reading.image is not None:
            size, unit = pixel_size(state.reading.image)
            parts += [f"= {pixels * size:.3g} {unit}"] if unit != "px" else []
        self.physical.setText(" ".join(parts))
        self.physical.setVisible(bool(parts))

    def _change(self, **changes: Any) -> None:
        self._workflow.set_options(replace(self._workflow.state.options, **changes))

    def _change_extras(self) -> None:
        self._workflow.set_extras(
            Extras(self.probability.isChecked(), self.uncertainty.isChecked())
        )


def _choice(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName("choice")
    button.setCheckable(True)
    button.setToolTip(tooltip)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button
