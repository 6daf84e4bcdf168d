"""The workflow of the Segment tab: what a person can ask for, and what happens then."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from psygnal import Signal

from napari_rwkvseg.adapters.from_layers import LayerLike, full_resolution
from napari_rwkvseg.adapters.to_layers import Geometry, geometry_of
from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.progress import CancelToken, Progress, TimeLeft
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.workflow.choices import Compute, Extras, Message, Region, RunProgress, Tone
from napari_rwkvseg.workflow.jobs import Outcome, Request, nothing, segment
from napari_rwkvseg.workflow.masks import find_layer
from napari_rwkvseg.workflow.placing import Defer
from napari_rwkvseg.workflow.region import region_of
from napari_rwkvseg.workflow.results import Results
from napari_rwkvseg.workflow.runner import JobResult, Lanes
from napari_rwkvseg.workflow.selection import Selection
from napari_rwkvseg.workflow.shelf import ModelSource, Shelf
from napari_rwkvseg.workflow.state import State

FIRST_MODEL = "nuclei"  # chosen where nobody has chosen yet, if it is there


@dataclass(frozen=True, eq=False)
class Ticket:
    """What a run is bound to: the layer and its array when Segment was clicked, no names."""

    uid: Hashable
    array: Any
    shape: tuple[int, ...]
    image: ImageData
    read: ImageData
    geometry: Geometry

    def fits(self, layer: LayerLike) -> bool:
        """Whether `layer` still holds the array the run started from."""
        array = full_resolution(layer)
        return array is self.array and tuple(array.shape) == self.shape


class Workflow:
    """State and actions; call it from one thread only.

    Parameters
    ----------
    viewer : napari viewer
        Shows images and results.
    library : ModelSource
        The models.
    lanes : Lanes
        What runs the long work.
    compute : callable
        Returns the present preferences.
    defer : callable
        Runs a function in a later turn of the event loop; by default at once.
    prepare : callable
        Called in the thread of each run: what the window needs to show its result.

    Attributes
    ----------
    prepare : callable
        As above.
    closing : Signal
        Emitted before all work stops, for those that have work of their own.
    noted : Signal
        Emitted with a `Mark` and the unique id of a mask layer, or None for all, when something
        happened that a journal of strokes should know: its corrections were accepted or exported.
    """

    closing = Signal()
    noted = Signal(Mark, object)

    def __init__(
        self,
        viewer: Any,
        library: ModelSource,
        lanes: Lanes,
        compute: Callable[[], Compute] = Compute,
        defer: Defer = lambda function: function(),
        prepare: Callable[[], None] = nothing,
    ) -> None:
        self.viewer = viewer
        self.library = library
        self.state = State()
        self.selection = Selection(viewer, self.state)
        self.results = Results(viewer, self.state, lanes, defer)
        self.shelf = Shelf(library, self.state, lanes.store, self.reload_models)
        self._lanes = lanes
        self._compute = compute
        self.prepare = prepare
        self._ticket: Ticket | None = None
        self._model: Model | None = None
        self._problems: list[str] = []  # with model files, as last told
        self._clock = TimeLeft()
        viewer.layers.events.removed.connect(self._removed)
        self.reload_models()

    # ------------------------------------------------------------------ choices
    def reload_models(self, choose: str = "") -> None:
        """Read the library again; choose a model by name, else keep the choice."""
        state = self.state
        self._model = None  # another version may be active by now
        state.models = self._cards()
        wanted = (choose or (state.card.name if state.card else ""), FIRST_MODEL)
        matching = [card for name in wanted for card in state.models if card.name == name]
        self.choose_model(next(iter([*matching, *state.models]), None))

    def keep_up(self) -> None:
        """Read the library again if the chosen model is another one there by now."""
        card = self.state.card
        if card is None:
            return
        try:
            same = self.library.card(card.name) == card
        except RwkvSegError:  # gone or damaged: told while all are read
            same = False
        if not same:
            self.reload_models()

    def _cards(self) -> tuple[ModelCard, ...]:
        """Return the cards that can be read; of damaged files people are told, each time once."""
        cards, problems = [], []
        for name in self.library.names():
            try:
                cards.append(self.library.card(name))
            except RwkvSegError as error:
                problems.append(str(error))
        if problems and problems != self._problems:
            self.state.message = Message(f"Left out of the models: {' '.join(problems)}", Tone.NOTE)
        self._problems = problems
        return tuple(cards)

    def choose_model(self, card: ModelCard | None) -> None:
        """Use this model; a model of objects proposes separate objects."""
        state = self.state
        if card is not None and (state.card is None or card.objects != state.card.objects):
            self.set_options(replace(state.options, separate=card.objects))
        state.card = card

    def set_options(self, options: MaskOptions) -> None:
        """Change how probabilities become labels; shown at once where there are some."""
        if options != self.state.options:
            self.state.options = options
            self.results.refine()

    def set_region(self, region: Region) -> None:
        """Change which part the next run covers."""
        self.state.region = region

    def set_extras(self, extras: Extras) -> None:
        """Change which layers the next run adds besides the mask."""
        self.state.extras = extras

    # ---------------------------------------------------------------------- run
    def obstacle(self) -> str:
        """Return why there is nothing to run, as a sentence; empty if all is ready."""
        if self.state.reading.problem:
            return self.state.reading.problem
        if self.state.card is None:
            return "There is no model yet. Import one under Models."
        return ""

    def segment(self) -> None:
        """Start a run; does nothing while one is under way."""
        state = self.state
        if state.running:
            return
        if sentence := self.obstacle():
            state.message = Message(sentence, Tone.ERROR)
            return
        request = self._request()
        token = CancelToken()
        self._clock = TimeLeft()
        self.results.pause()
        state.message = Message()
        state.progress = RunProgress(text="Preparing")
        state.running = True
        self._lanes.segment.start(segment(request, token), token, self._progressed, self._done)

    def cancel(self) -> None:
        """Stop the run; layers stay as they are."""
        if self.state.running:
            self._stop("Stopped. No layer was changed.")

    def compute(self) -> Compute:
        """Return the present preferences."""
        return self._compute()

    def close(self) -> None:
        """Stop all work, for example because the window closes."""
        self.closing.emit()
        self._lanes.cancel()
        self.results.pause()
        self._ticket = None
        self.state.running = False

    def _request(self) -> Request:
        """Freeze the state into what a run needs, and remember what it is bound to."""
        state = self.state
        layer, image, card = state.image, state.reading.image, state.card
        if layer is None or image is None or card is None:  # obstacle() was asked before
            raise RwkvSegError(self.obstacle())
        array = full_resolution(layer)
        region = region_of(state.region, layer, image, self.viewer)
        channel = state.reading.channel
        read = image if channel is None else image.select_channel(channel)
        self._ticket = Ticket(
            uid=layer.unique_id,
            array=array,
            shape=tuple(array.shape),
            image=image,
            read=read,
            geometry=geometry_of(layer, image),
        )
        return Request(
            image=read,
            load=partial(self.load, card.name),
            region=region,
            options=state.options,
            extras=state.extras,
            compute=self._compute(),
            prepare=self.prepare,
            base=None if region is None else self.results.base(layer.unique_id),
        )

    def load(self, name: str) -> Model:
        """Return a model, from memory if it was the last one used (called in jobs)."""
        model = self._model  # the window's thread may let go of it meanwhile
        if model is None or model.card != self.library.card(name):
            self._model = model = self.library.load(name)
        return model

    def _progressed(self, event: Progress) -> None:
        self.state.progress = RunProgress(
            event.fraction if event.total else -1.0,
            progress_text(event, self._clock.seconds(event.fraction)),
        )

    def _done(self, result: JobResult) -> None:
        ticket, self._ticket = self._ticket, None
        self.state.running = False
        if ticket is None:
            return
        if result.cancelled:
            self._stop("Stopped. No layer was changed.")
        elif result.error:
            self.state.message = Message(result.error, Tone.ERROR)
            self.results.catch_up()
        else:
            self._show(ticket, result.value)

    def _show(self, ticket: Ticket, outcome: Outcome) -> None:
        layer = find_layer(self.viewer, ticket.uid)
        if layer is None:
            return
        self.state.device = outcome.prediction.device
        changed = not ticket.fits(layer)
        image, read = ticket.image, ticket.read
        geometry = ticket.geometry if changed else geometry_of(layer, image)  # it may have moved
        self.results.show(layer, image, geometry, outcome, detached=changed, read=read)
        self.results.follow()
        self.noted.emit(Mark.PREDICT, None)
        self.results.catch_up()

    def _removed(self, event: Any) -> None:
        """Stop a run whose image is gone, and forget what belongs to it."""
        uid = getattr(event.value, "unique_id", None)
        self.results.forget(uid)
        if self._ticket is not None and self._ticket.uid == uid:
            name = event.value.name
            self._stop(f"Stopped, because {name} was removed. No layer was changed.")

    def _stop(self, sentence: str) -> None:
        self._lanes.segment.cancel()
        self._ticket = None
        self.state.running = False
        self.state.message = Message(sentence)
        self.results.catch_up()


def progress_text(event: Progress, seconds: float | None) -> str:
    """Return a line like "Tile 3 of 12 · 8 s left"."""
    text = event.message or f"Tile {event.done} of {event.total}"
    if seconds is None or event.done == event.total:
        return text
    return f"{text} · {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a short duration: "8 s", "2 min 05 s", "1 h 10 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
