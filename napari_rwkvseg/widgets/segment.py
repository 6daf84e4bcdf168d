"""The Segment tab: from an image to a mask, top to bottom."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.image_box import ImageBox
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.model_box import ModelBox
from napari_rwkvseg.widgets.result_box import ResultBox
from napari_rwkvseg.widgets.run_box import RunBox
from napari_rwkvseg.widgets.style import GAP, MARGIN, combo, form, name_row, section
from napari_rwkvseg.widgets.table import ResultTable
from napari_rwkvseg.workflow import Region, Workflow


class SegmentTab(QWidget):
    """What to segment, how the result looks, the button, the table."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)

        self.image = ImageBox(workflow)
        self.model = ModelBox(workflow)
        self.region = RegionBox(workflow)
        self.result = ResultBox(workflow)
        self.run = RunBox(workflow)
        self.table = ResultTable(workflow)

        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        column.setSpacing(GAP)
        for widget in (self.image, self.model, self.region, section("Result"), self.result):
            column.addWidget(widget)
        column.addWidget(self.run)
        column.addWidget(self.table, stretch=1)
        column.addStretch()


class RegionBox(QWidget):
    """The row Region."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.regions = combo("Which part to segment. A part is added to the mask that is there.")
        self.regions.addItems([str(region) for region in Region])

        name_row(form(self), 0, "Region", self.regions)

        self.regions.activated.connect(self._choose)
        listen(self, workflow.state.events.region, self._show)
        self._show(workflow.state.region)

    def _show(self, region: Region) -> None:
        with signals_blocked(self.regions):
            self.regions.setCurrentText(str(region))

    def _choose(self, index: int) -> None:
        self._workflow.set_region(list(Region)[index])
