"""How a model reads an image, drawn from its card."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QPushButton, QWidget

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.widgets.explorer.picture_window import PictureWindow
from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.workers import JobRunner
from napari_rwkvseg.workflow import Message, Tone, Workflow
from napari_rwkvseg.workflow.choices import Region
from napari_rwkvseg.workflow.explorer import pictures
from napari_rwkvseg.workflow.explorer.state import Picture
from napari_rwkvseg.workflow.region import region_of
from napari_rwkvseg.workflow.runner import JobResult, ignore_progress

TEXT, BUSY = "How it reads an image…", "Drawing…"


class ReadingButton(QPushButton):
    """Draws the scan orders of all levels and heads of the chosen model.

    On the plane in sight; on a sample where no image is open.

    Parameters
    ----------
    workflow : Workflow
        Knows image and library.
    chosen : callable
        Returns the card of the model.
    """

    def __init__(
        self,
        workflow: Workflow,
        chosen: Callable[[], ModelCard | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(TEXT, parent)
        self._workflow, self._chosen = workflow, chosen
        self._runner = JobRunner(self)
        self.picture = PictureWindow(self._save, self)
        self.setToolTip("The scan order of every level and head, drawn on the image in sight")
        self.clicked.connect(self._draw)
        listen(self, workflow.closing, self._stop)

    def _draw(self) -> None:
        card = self._chosen()
        if card is None:
            return
        load, token = partial(self._workflow.library.load, card.name), CancelToken()
        self._set_busy(True)
        job = pictures.overview(load, self._plane(), token)
        self._runner.start(job, token, ignore_progress, self._drawn)

    def _plane(self) -> pictures.Plane | None:
        """Return the plane in sight; None where nothing can be read."""
        workflow, state = self._workflow, self._workflow.state
        image, layer = state.reading.image, state.image
        if image is None or layer is None:
            return None
        where = region_of(Region.SLICE, layer, image, workflow.viewer) or ()
        index = tuple(part.start for part in where[:-2])
        return pictures.Plane(image, index, state.reading.channel)

    def _drawn(self, result: JobResult) -> None:
        self._set_busy(False)
        if result.error:
            self._workflow.state.message = Message(result.error, Tone.ERROR)
        elif result.value is not None:
            self.picture.show_picture(result.value)

    def _save(self, picture: Picture, path: Path) -> None:
        def done(result: JobResult) -> None:
            text = result.error or f"Saved {path.name}."
            tone = Tone.ERROR if result.error else Tone.DONE
            self._workflow.state.message = Message(text, tone)

        self._runner.start(pictures.write(picture, path), CancelToken(), ignore_progress, done)

    def _set_busy(self, busy: bool) -> None:
        self.setText(BUSY if busy else TEXT)
        self.setEnabled(not busy)

    def _stop(self) -> None:
        self._runner.cancel()
        self.picture.hide()
        self._set_busy(False)
