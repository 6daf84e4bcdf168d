"""What must always be in sight: the intended use, and where the work is done."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_rwkvseg.engine.card import RESEARCH_ONLY
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.preferences import compute_settings
from napari_rwkvseg.widgets.style import GAP, MARGIN, muted
from napari_rwkvseg.workflow import Workflow

WANTED = {"auto": "Auto", "cpu": "CPU", "cuda": "CUDA"}


class Footer(QWidget):
    """The research-use sentence and the device.

    Parameters
    ----------
    workflow : Workflow
        Says on which device the last run was computed.
    later : callable
        Runs a function in a later turn of the event loop: napari reads the manifests of all
        plugins for the settings of one.
    """

    def __init__(
        self,
        workflow: Workflow,
        later: Callable[[Callable[[], None]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.notice = muted(RESEARCH_ONLY)
        self.device = QLabel()
        self.device.setObjectName("device")

        row = QHBoxLayout(self)
        row.setContentsMargins(MARGIN, GAP, MARGIN, GAP)
        row.addWidget(self.notice, stretch=1)
        row.addWidget(self.device)

        listen(self, workflow.state.events.device, self._show)
        later(self._show)

    def _show(self, _: object = None) -> None:
        device = self._workflow.state.device
        wanted = compute_settings().device
        self.device.setText(device.split(":")[0].upper() if device else WANTED.get(wanted, wanted))
        self.device.setToolTip(
            f"The last run was computed on {device}."
            if device
            else "The device is found at the first run. Choose one under Preferences > "
            "RWKV Segmentation."
        )
