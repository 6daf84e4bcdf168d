"""Questions about what was read that take a while: compare, explain a mistake, write a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.engine.said import Change, Stored
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.explorer import jobs, pictures
from napari_rwkvseg.workflow.explorer.jobs import Read, Reading
from napari_rwkvseg.workflow.explorer.state import ExplorerState, Look, Pixel, Shown
from napari_rwkvseg.workflow.results import Run
from napari_rwkvseg.workflow.runner import JobResult, Runner, ignore_progress
from napari_rwkvseg.workflow.workflow import Workflow

if TYPE_CHECKING:
    from napari_rwkvseg.engine.card import Model, ModelCard
    from napari_rwkvseg.engine.explain import Explanation
    from napari_rwkvseg.engine.heat import Heat
    from napari_rwkvseg.engine.why import Why

NO_PIXEL = "Click a pixel first: switch on Ask, then click on the image."
NO_MASK = "There is no mask of this image yet. Segment it first."
AS_WRITTEN = (
    "The label here is as the model wrote it. Correct the mask with the brush, then click a "
    "corrected pixel."
)
OTHER_MODEL = "The mask is by {}. Choose that model under Segment, then ask again."


class Reader(Protocol):
    """What questions need of the explorer."""

    workflow: Workflow
    state: ExplorerState

    @property
    def read(self) -> Read | None:
        """What was read last."""

    def reading_of(self, layer: LayerLike) -> Reading | None:
        """Return what to read of an image layer."""

    def load(self, name: str) -> Model:
        """Return a model."""

    def show_heat(self, heat: Heat, caption: str) -> None:
        """Show what a pixel looked at."""


class Questions:
    """One question at a time; a new one replaces the last.

    Parameters
    ----------
    explorer : Reader
        Knows what was read; its state takes the answers.
    runner : Runner
        Where the work runs.
    """

    def __init__(self, explorer: Reader, runner: Runner) -> None:
        self._explorer = explorer
        self._state = explorer.state
        self._runner = runner
        self._comparing = self._writing = False  # whether that is what runs

    def forget(self) -> None:
        """Drop what was asked of what was read; a file is written to its end."""
        if not self._writing:
            self._runner.cancel()
        self._state.drawing = False
        self.compare_nothing()

    # ---------------------------------------------------------------- comparing
    def compare(self, layer: LayerLike) -> None:
        """Compare the gates with those for another image, in its present slice."""
        try:
            reading = self._explorer.reading_of(layer)
        except RwkvSegError as error:
            self.compare_nothing()
            self._state.difference = str(error)
            return
        if reading is not None:
            self._compare([lambda: reading], layer.name)

    def compare_folder(self, folder: Path) -> None:
        """Compare the gates with their mean over the images of a folder."""
        workflow = self._explorer.workflow
        card = workflow.state.card
        if card is None:
            return
        load, tile = partial(self._explorer.load, card.name), workflow.compute().tile
        self._compare(*jobs.folder_sources(folder, load, tile))

    def compare_open(self) -> None:
        """Compare the gates with their mean over all other images in the viewer."""
        state = self._explorer.workflow.state
        others = [layer for layer in state.images if layer is not state.image]
        readings = [found for layer in others if (found := self._try_reading(layer)) is not None]
        sources = [lambda reading=reading: reading for reading in readings]
        self._compare(sources, f"mean of the {len(sources)} other open images")

    def _try_reading(self, layer: LayerLike) -> Reading | None:
        try:
            return self._explorer.reading_of(layer)
        except RwkvSegError:  # an image that cannot be read has no part in a mean
            return None

    def compare_nothing(self) -> None:
        """Show the gates of this image alone, and read no other one any further."""
        if self._comparing:
            self._runner.cancel()
            self._comparing = False
        self._state.other, self._state.comparing = None, ""
        self.say_difference()

    def say_difference(self) -> None:
        """Tell how the gates differ, or if they are all the same; nothing before they are there."""
        ours, other = self._state.gates, self._state.other
        if ours is None:
            return
        from napari_rwkvseg.engine.gates import compare, evenness

        self._state.difference = evenness(ours) if other is None else compare(ours, other)

    def beside(self, layer: LayerLike | None) -> None:
        """Draw what is shown beside the same head on another image; None: beside the head before.

        The figure becomes `ExplorerState.picture`.
        """
        state, read = self._state, self._explorer.read
        if read is None or state.shown is None:
            return
        count = len(read.explanation.trace.layers[state.shown.layer].heads)
        before = state.previous or Shown(state.shown.layer, (state.shown.head + 1) % count)
        try:
            other = None if layer is None else self._explorer.reading_of(layer)
        except RwkvSegError as error:
            state.problem = Message(str(error), Tone.ERROR)
            return
        heads = (before, state.shown) if layer is None else (state.shown, state.shown)
        look = None if state.pixel is None or state.heat is None else (state.look, state.pixel)
        token = CancelToken()
        job = pictures.beside(read, other, heads, look, token)
        self._start(job, token, self._was_drawn, drawing=True)

    def _was_drawn(self, result: JobResult) -> None:
        self._state.drawing = False
        if result.error:
            self._state.problem = Message(result.error, Tone.ERROR)
        self._state.picture = result.value

    def _compare(self, sources: Sequence[Callable[[], Reading]], name: str) -> None:
        token = CancelToken()
        job = jobs.compare_with(sources, name, token)
        self._start(job, token, self._was_compared, comparing=name)

    def _was_compared(self, result: JobResult) -> None:
        self._comparing = False
        self._state.other = result.value
        if result.error:
            self._state.comparing, self._state.difference = "", result.error
        else:
            self.say_difference()

    # --------------------------------------------------------------------- why
    def ask_why(self) -> None:
        """Explain the pixel asked about last, where its label was corrected."""
        pixel, read = self._state.pixel, self._explorer.read
        if pixel is None or read is None:
            self._state.reason = (NO_PIXEL,)
            return
        run = self._explorer.workflow.results.run
        change = None if run is None else _change(run, read.reading.index, pixel)
        if run is None or change is None:
            self._state.reason = (NO_MASK,)
        elif change.before[pixel] == change.after[pixel]:
            self._state.reason = (AS_WRITTEN,)
        elif (maker := _maker(run)) is not None and maker.name != read.explanation.card.name:
            self._state.reason = (OTHER_MODEL.format(maker.title or maker.name),)
        else:
            token = CancelToken()
            job = jobs.ask_why(read, change, _stored(run), token)
            self._start(job, token, partial(self._was_asked, read.explanation, pixel))

    def _was_asked(self, explanation: Explanation, pixel: Pixel, result: JobResult) -> None:
        if explanation is not self._state.explanation or pixel != self._state.pixel:
            return  # another plane or pixel is in question by now
        if result.value is None:
            self._state.reason = (result.error,) if result.error else ()
            return
        found: Why = result.value
        row, column = pixel
        self._state.look = Look.NETWORK  # what the picture now shows
        self._state.answer = f"Row {row}, column {column}: {found.heat.text}."
        self._state.reason = found.sentences
        self._explorer.show_heat(found.heat, f"{Look.NETWORK}, pixel {pixel}")

    # ------------------------------------------------------------------- export
    def export(self, write: Callable[[Explanation], object], path: Path) -> None:
        """Write a picture or a table of what was read."""
        read = self._explorer.read
        if read is not None:
            job = jobs.export(write, read, path)
            self._start(job, CancelToken(), self._was_exported, writing=True)

    def _was_exported(self, result: JobResult) -> None:
        self._writing = False
        done = Message(f"Saved {result.value.name}.", Tone.DONE) if result.value else None
        self._explorer.workflow.state.message = done or Message(result.error, Tone.ERROR)

    def _start(
        self,
        job: Job[Any],
        token: CancelToken,
        on_done: Callable[[JobResult], None],
        drawing: bool = False,
        comparing: str = "",
        writing: bool = False,
    ) -> None:
        """Run a job in place of the one before; a comparison that this cuts short is off."""
        self._state.drawing = drawing
        if comparing:
            self._state.comparing, self._state.difference = comparing, f"Reading {comparing}…"
        elif self._comparing:
            self.compare_nothing()
        self._comparing, self._writing = bool(comparing), writing
        self._runner.start(job, token, ignore_progress, on_done)


def _change(run: Run, index: tuple[int, ...], pixel: Pixel) -> Change | None:
    """Return what became of a pixel of the mask of a run; None where that is not to be seen."""
    before, after, objects = run.link.written(), run.link.current(), run.link.objects
    if before is None or after is None:
        return None
    most = None if objects else len(run.class_names)
    old, new = (labels[index].astype(np.int64).clip(0, most) for labels in (before, after))
    return Change(pixel, old, new, run.class_names, objects)


def _maker(run: Run) -> ModelCard | None:
    """Return the card of the model that made the mask of a run, if one did."""
    return run.outcome.prediction.card if run.outcome.predicted else None


def _stored(run: Run) -> Stored | None:
    """Return what a model predicted in a run, if one did."""
    outcome = run.outcome
    return Stored(outcome.prediction, run.image, run.options) if outcome.predicted else None
