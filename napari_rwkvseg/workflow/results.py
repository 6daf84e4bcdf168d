"""The masks of this window: shown, refined, measured, and handed over once edited."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.adapters.to_layers import (
    Geometry,
    class_features,
    geometry_of,
    object_features,
)
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.jobs import (
    Mask,
    Measured,
    Outcome,
    measure_mask,
    refine,
    unpredicted,
)
from napari_rwkvseg.workflow.masks import MaskLink, find_layer
from napari_rwkvseg.workflow.placing import Defer, Placer
from napari_rwkvseg.workflow.runner import JobResult, Lanes, Latest
from napari_rwkvseg.workflow.state import State


@dataclass(eq=False)
class Run:
    """The last run on one image: its probabilities and the mask layer made from them.

    `read` is the image as the model read it, one channel of several; `class_names` are those of
    the labels, which may be more than the model knows; `restored` says that a crash left them, so
    that nobody knows what of them the model had found.
    """

    uid: Hashable
    image: ImageData
    read: ImageData
    geometry: Geometry
    outcome: Outcome
    link: MaskLink
    options: MaskOptions
    class_names: tuple[str, ...]
    restored: bool = False
    measured: Measured | None = None


class Results:
    """Everything that happens after a run.

    Parameters
    ----------
    viewer : napari viewer
        Shows the layers.
    state : State
        `measured` and `message` are written here.
    lanes : Lanes
        Two of them, for refining and measuring, are used here.
    defer : callable
        Runs a function in a later turn of the event loop.

    Attributes
    ----------
    placed : Signal
        Emitted with a run whose mask was put into the viewer or exchanged.
    """

    placed = Signal(object)

    def __init__(self, viewer: Any, state: State, lanes: Lanes, defer: Defer) -> None:
        self._viewer = viewer
        self._state = state
        self._placer = Placer(viewer, defer)
        self._runs: dict[Hashable, Run] = {}
        self._refining = Latest(lanes.refine, self._refine_job, self._refined)
        self._measuring = Latest(lanes.measure, self._measure_job, self._measured)
        state.events.image.connect(self._image_changed)
        state.events.reading.connect(self.follow)

    @property
    def run(self) -> Run | None:
        """The last run on the chosen image."""
        image = self._state.image
        return None if image is None else self._runs.get(image.unique_id)

    def knows(self, uid: Hashable) -> bool:
        """Whether there is a run on an image."""
        return uid in self._runs

    @property
    def busy(self) -> bool:
        """Whether a mask or a table is being made."""
        return self._placer.busy or self._refining.busy or self._measuring.busy

    def base(self, uid: Hashable) -> NDArray[Any] | None:
        """Return a copy of the mask that a run on part of the image extends, if there is one."""
        run = self._runs.get(uid)
        current = None if run is None else run.link.current()
        if run is None or current is None or run.link.objects != self._state.options.separate:
            return None
        return current.copy()

    def refine(self) -> None:
        """Make the mask of the chosen image anew, with the present options; if a model made it."""
        run = self.run
        if run is not None and run.outcome.predicted and not self._state.running:
            self._refining.request()

    def catch_up(self) -> None:
        """Refine if options were changed while a run kept the mask from following."""
        if self.run is not None and self.run.options != self._state.options:
            self.refine()

    def pause(self) -> None:
        """Drop the small work under way."""
        self._refining.cancel()
        self._measuring.cancel()

    def forget(self, uid: Hashable) -> None:
        """Drop what belongs to a removed image, whose mask layer stays, or to a removed mask."""
        self._runs.pop(uid, None)
        self._placer.forget(uid)
        if not self._placer.busy:  # else another mask is about to take the place of one
            for run in self._runs.values():
                run.measured = None if run.link.layer is None else run.measured
            self._image_changed(self._state.image)

    def follow(self, _: object = None) -> None:
        """Let the results of the chosen image lie where it lies now, and measure in its units."""
        layer, image, run = self._state.image, self._state.reading.image, self.run
        if layer is None or image is None or run is None or not _same_pixels(image, run.image):
            return
        geometry = geometry_of(layer, image)
        if geometry.agrees(run.geometry) and _same_steps(image, run.image):
            return
        run.geometry, run.image = geometry, image
        run.read = replace(run.read, spacing=image.spacing, units=image.units)
        self._placer.move_maps(run.uid, geometry)
        run.link.move(geometry)
        self._measuring.request()

    def show(
        self,
        layer: LayerLike,
        image: ImageData,
        geometry: Geometry,
        outcome: Outcome,
        detached: bool,
        read: ImageData | None = None,
    ) -> None:
        """Put the result of a run into the viewer.

        Parameters
        ----------
        layer : LayerLike
            The image layer.
        image : ImageData
            As it was when the run started.
        geometry : Geometry
            Likewise.
        outcome : Outcome
            What the run returned.
        detached : bool
            Whether the layer holds another array by now.
        read : ImageData, optional
            What of the image the model read, if not all.
        """
        uid, old = layer.unique_id, self._runs.get(layer.unique_id)
        card = outcome.prediction.card
        for kind, values, colormap in outcome.maps:
            name = f"{layer.name} · {kind}"
            self._placer.show_map(uid, kind, values, colormap, name, geometry, card)
        link = None if old is None or detached else old.link
        notes = list(outcome.prediction.notes)
        if detached:
            notes.append(f"{layer.name} changed during the run: the mask shows what it was")
        link = self._place(layer, geometry, outcome, link, notes)
        options, names = outcome.mask.options, card.class_names
        run = Run(uid, image, read or image, geometry, outcome, link, options, names)
        self._runs[uid] = run
        self.placed.emit(run)
        self._announce(notes)

    def restore(
        self,
        layer: LayerLike,
        image: ImageData,
        read: ImageData,
        outcome: Outcome,
        accepted: tuple[tuple[slice, ...], ...],
        then: Callable[[MaskLink], None],
    ) -> None:
        """Put what a crash left into a layer of its own; nothing writes into that but people.

        Parameters
        ----------
        layer, image, read
            As for `show`.
        outcome : Outcome
            Its mask is what was restored.
        accepted : tuple of tuple of slice
            What of it was accepted, along (*lead, y, x).
        then : callable
            Called once the layer shows the mask.
        """
        geometry, card = geometry_of(layer, image), outcome.prediction.card
        options, names = outcome.mask.options, card.class_names

        def filled(link: MaskLink) -> None:
            link.keep_all()
            link.reviewed = accepted
            run = Run(
                layer.unique_id, image, read, geometry, outcome, link, options, names, restored=True
            )
            self._runs[run.uid] = run
            self.placed.emit(run)
            then(link)
            self._measuring.request()

        self._placer.add_mask(
            outcome.mask.labels,
            f"{layer.name} · restored mask",
            geometry,
            card,
            options.separate,
            on_edit=self._measuring.request,
            on_filled=filled,
            owner=layer.unique_id,
        )

    def take_over(
        self, mask: LayerLike, layer: LayerLike, image: ImageData, read: ImageData, card: ModelCard
    ) -> None:
        """Watch a mask that is in the viewer already, as if it had been restored.

        Parameters
        ----------
        mask : LayerLike
            A Labels layer of the shape of the image.
        layer, image, read
            As for `show`.
        card : ModelCard
            Names the classes; its `objects` says what the labels are.
        """
        geometry = geometry_of(layer, image)
        link = MaskLink(self._viewer, mask, geometry, card.objects, self._measuring.request)
        link.adopt()
        options = replace(self._state.options, separate=card.objects)
        outcome = unpredicted(geometry.strip(np.asarray(mask.data)), card, options)
        uid, names = layer.unique_id, card.class_names
        run = Run(uid, image, read, geometry, outcome, link, options, names, restored=True)
        self._runs[uid] = run
        self.placed.emit(run)
        self._measuring.request()

    def adopt(self, run: Run, outcome: Outcome) -> None:
        """Take note of a newer result that others wrote into the mask of a run."""
        run.outcome, run.options = outcome, outcome.mask.options
        self._measuring.request()

    def move(self, run: Run, labels: NDArray[Any], base: NDArray[Any]) -> None:
        """Show the mask of a run in a new layer, because its own cannot take so many changes.

        Parameters
        ----------
        run : Run
            Its layer stays as it is and is hidden.
        labels, base : ndarray, integer, shape (*lead, H, W)
            What to show, and what of it is the model's.
        """
        layer = find_layer(self._viewer, run.uid)
        old: Any = run.link.layer
        if layer is not None and old is not None:
            mask = Mask(labels, run.options)
            run.link = self._add(layer, run.geometry, run.outcome, mask, base)
            old.visible = False
            self.placed.emit(run)

    # ------------------------------------------------------------------- placing
    def _place(
        self,
        layer: LayerLike,
        geometry: Geometry,
        outcome: Outcome,
        link: MaskLink | None,
        notes: list[str],
    ) -> MaskLink:
        """Refresh our mask, or add one; return the link to the layer that shows the result."""
        mask = outcome.mask
        old = None if link is None else link.layer
        if link is None or old is None:
            return self._add(layer, geometry, outcome, mask)
        same_kind = link.objects == mask.options.separate
        if same_kind and link.write(mask.labels, outcome.prediction.region):
            link.move(geometry)
            return link
        fresh = self._add(layer, geometry, outcome, mask)
        if not link.pristine:
            notes.append(f"You edited {old.name}, so the result is in a new layer")
        elif _holds_more(link, outcome.prediction):
            notes.append(f"{old.name} holds more than the last run, whose result is in a new layer")
        else:
            self._placer.replace_mask(link, fresh)
        return fresh

    def _add(
        self,
        layer: LayerLike,
        geometry: Geometry,
        outcome: Outcome,
        mask: Mask,
        base: NDArray[Any] | None = None,
    ) -> MaskLink:
        return self._placer.add_mask(
            mask.labels,
            f"{layer.name} · mask",
            geometry,
            outcome.prediction.card,
            mask.options.separate,
            on_edit=self._measuring.request,
            on_filled=lambda _: self._measuring.request(),
            base=base,
            owner=layer.unique_id,
        )

    def _announce(self, notes: list[str]) -> None:
        if notes:
            sentences = ". ".join(note.rstrip(".") for note in notes)
            self._state.message = Message(f"{sentences}.", Tone.NOTE)
        self._measuring.request()

    # ------------------------------------------------------------------ refining
    def _refine_job(self, token: CancelToken) -> Job[Any] | None:
        run = self.run
        if run is None or not run.outcome.predicted:
            return None
        prediction = run.outcome.prediction
        base = self.base(run.uid)
        return _with(run, refine(prediction, run.image, self._state.options, base, token))

    def _refined(self, result: JobResult) -> None:
        if result.error:
            self._state.message = Message(result.error, Tone.ERROR)
        if result.value is None:
            return
        run: Run = result.value[0]
        mask: Mask = result.value[1]
        layer = find_layer(self._viewer, run.uid)
        if layer is None or self._runs.get(run.uid) is not run:
            return
        notes: list[str] = []
        outcome = Outcome(run.outcome.prediction, mask)
        run.options = mask.options
        run.link = self._place(layer, run.geometry, outcome, run.link, notes)
        self.placed.emit(run)
        self._announce(notes)

    # ----------------------------------------------------------------- measuring
    def _measure_job(self, token: CancelToken) -> Job[Any] | None:
        run = self.run
        labels = None if run is None else run.link.current()
        if run is None or labels is None:
            return None
        job = measure_mask(labels, run.image, run.link.objects, run.class_names, token)
        return _with(run, job)

    def _measured(self, result: JobResult) -> None:
        if result.value is None:
            return
        run: Run = result.value[0]
        run.measured = result.value[1]
        self._name_labels(run)
        if run is self.run:
            self._state.measured = run.measured

    def _name_labels(self, run: Run) -> None:
        """Let the status bar name what the pointer is on."""
        layer: Any = run.link.layer
        if layer is None or run.measured is None:
            return
        if run.link.objects:
            layer.features = object_features(run.class_names, sorted(run.measured.boxes))
        else:
            layer.features = class_features(run.class_names)

    def _image_changed(self, image: LayerLike | None) -> None:
        run = self.run
        self._state.measured = None if run is None else run.measured


def _same_pixels(image: ImageData, other: ImageData) -> bool:
    return image.array is other.array and image.axes == other.axes


def _same_steps(image: ImageData, other: ImageData) -> bool:
    return (image.spacing, image.units) == (other.spacing, other.units)


def _holds_more(link: MaskLink, prediction: Prediction) -> bool:
    """Whether a mask has labels where a prediction of part of the image says nothing."""
    shown, shape = link.current(), tuple(prediction.shape)
    if shown is None or prediction.probability.shape[1:] == shape:
        return False
    if shown.shape != shape:
        return True
    return bool(np.count_nonzero(shown) > np.count_nonzero(shown[prediction.region]))


def _with(run: Run, job: Job[Any]) -> Job[tuple[Run, Any]]:
    """Return a job that also says which run it belongs to."""
    value = yield from job
    return run, value
