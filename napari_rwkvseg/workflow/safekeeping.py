"""Corrections outlive a crash: masks are autosaved once edited, and offered at the next start."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from psygnal import SignalGroupDescriptor

from napari_rwkvseg.adapters.from_layers import LayerLike, full_resolution
from napari_rwkvseg.adapters.to_layers import Geometry, class_features, geometry_of
from napari_rwkvseg.adapters.written import written
from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.errors import JournalError
from napari_rwkvseg.store.journal import Plane
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.recovery import Recovery, discard, find_unclean
from napari_rwkvseg.store.refusal import Refusal, strict_json
from napari_rwkvseg.workflow.autosave import After, Autosave
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.jobs import unpredicted
from napari_rwkvseg.workflow.masks import DIFF_LIMIT, MaskLink, find_layer
from napari_rwkvseg.workflow.results import Run
from napari_rwkvseg.workflow.runner import JobResult, Latest, Runner
from napari_rwkvseg.workflow.workflow import Workflow

WHOLE_BYTES = 1 << 28  # of larger or lazy masks only planes that were painted in are looked at
AUTOSAVE = "autosave"  # folder of all journals in the data folder
Accepted = tuple[slice, ...]
UNNAMED = "corrections"  # the model of a mask whose own description was lost


@dataclass(frozen=True)
class SafekeepingRunners:
    """The kinds of work that go on beside each other."""

    write: Runner
    find: Runner


@dataclass(eq=False)
class SafekeepingState:
    """Fields emit `events.<name>` when they change.

    Attributes
    ----------
    offer : Recovery or None
        What can be restored on the chosen image.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    offer: Recovery | None = None


@dataclass(frozen=True)
class Description:
    """What must be known of a mask besides its pixels; JSON in the journal.

    Attributes
    ----------
    model : str
        Name of the model that made it.
    class_names : tuple of str
        In label order, without background.
    objects : bool
        Whether labels are objects.
    accepted : tuple of tuple of slice
        What was accepted, one slice per axis (*lead, y, x).
    """

    model: str
    class_names: tuple[str, ...]
    objects: bool
    accepted: tuple[Accepted, ...] = ()

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        values = {
            "model": self.model,
            "classes": self.class_names,
            "objects": self.objects,
            "accepted": [[[part.start, part.stop] for part in one] for one in self.accepted],
        }
        return json.dumps(values, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> Description:
        """Undo `to_bytes`; of what cannot be read, a description without classes."""
        try:
            values = strict_json(text)
            names = tuple(str(name) for name in values["classes"])
            accepted = tuple(
                tuple(slice(int(start), int(stop)) for start, stop in one)
                for one in values["accepted"]
            )
            return cls(str(values["model"]), names, bool(values["objects"]), accepted)
        except (Refusal, KeyError, TypeError, ValueError):
            return cls(UNNAMED, (), False)


class Safekeeping:
    """Watches the masks of a workflow and offers what a crash left; call it from one thread only.

    Parameters
    ----------
    workflow : Workflow
        Whose masks are kept safe.
    runners : SafekeepingRunners
        What runs the long work.
    after : callable
        Runs a function some seconds later.
    root : Path
        Folder of all journals.
    clock : callable
        UTC seconds since 1970.
    """

    def __init__(
        self,
        workflow: Workflow,
        runners: SafekeepingRunners,
        after: After,
        root: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.workflow = workflow
        self.state = SafekeepingState()
        self.autosave = Autosave(root, runners.write, after, clock)
        self._finding = Latest(runners.find, self._find_job, self._found)
        self._heard: dict[Hashable, Run] = {}  # by the mask layers whose edits are listened to
        self._later: set[Path] = set()
        self._source: tuple[Any, ...] = ()
        workflow.results.placed.connect(self._placed)
        workflow.noted.connect(self._noted)
        written.connect(self.autosave.exported)
        workflow.closing.connect(self._close)
        workflow.state.events.image.connect(self._chosen)
        workflow.state.events.reading.connect(self._look)
        workflow.viewer.layers.events.removed.connect(self._removed)
        self.autosave.reported.connect(self._report)
        self._look()

    # ------------------------------------------------------------------ offering
    def restore(self) -> None:
        """Put what is offered into a new layer; nothing that is there is touched."""
        offer, layer = self.state.offer, self.workflow.state.image
        image = self.workflow.state.reading.image
        if offer is None or layer is None or image is None:
            return
        self.state.offer = None
        about = Description.from_bytes(offer.state)
        card = ModelCard(about.model, "", "", about.class_names or (UNNAMED,))
        options = replace(self.workflow.state.options, separate=about.objects)
        channel = self.workflow.state.reading.channel
        self.workflow.results.restore(
            layer,
            image,
            image if channel is None else image.select_channel(channel),
            unpredicted(geometry_of(layer, image).strip(offer.mask), card, options),
            about.accepted,
            partial(self._adopt, array=full_resolution(layer), offer=offer, about=about),
        )

    def later(self) -> None:
        """Hide the offer until the image is chosen anew."""
        if self.state.offer is not None:
            self._later.add(self.state.offer.folder)
            self.state.offer = None

    def discard(self) -> None:
        """Delete what is offered; then an older one may be offered."""
        offer, self.state.offer = self.state.offer, None
        if offer is None:
            return
        try:
            discard(offer)
        except JournalError as error:
            self._report(Message(str(error), Tone.ERROR))
            return
        self._finding.request()

    def _adopt(self, link: MaskLink, array: Any, offer: Recovery, about: Description) -> None:
        """Go on with the journal of a mask that was restored."""
        layer: Any = link.layer
        if layer is not None:
            if about.class_names and not about.objects:
                layer.features = class_features(about.class_names)
            self._watch(link, array, about, recovery=offer)

    # ------------------------------------------------------------------- finding
    def _chosen(self, image: LayerLike | None) -> None:
        self._later.clear()
        self._source = ()
        self.state.offer = None  # also where the new image cannot be read, hence not looked for

    def _look(self, reading: object = None) -> None:
        """Look for unsaved strokes, if this is another image than before."""
        layer, image = self.workflow.state.image, self.workflow.state.reading.image
        source: tuple[Any, ...] = ()
        if layer is not None and image is not None:
            source = (layer.unique_id, id(full_resolution(layer)), image.spatial_shape)
        if source != self._source:
            self._source = source
            self.state.offer = None
            self._finding.request()

    def _find_job(self, token: CancelToken) -> Job[Any] | None:
        layer, image = self.workflow.state.image, self.workflow.state.reading.image
        if layer is None or image is None:
            return None
        shape = mask_shape(geometry_of(layer, image), image.spatial_shape)
        return find(self._source, self.autosave.root, full_resolution(layer), shape)

    def _found(self, result: JobResult) -> None:
        if result.error:
            self._report(Message(result.error, Tone.NOTE))
        if result.value is None:
            return
        source, recovery = result.value
        if source != self._source or (recovery is not None and recovery.folder in self._later):
            return
        if recovery is not None and self._continues(recovery):
            return
        self.state.offer = recovery

    def _continues(self, recovery: Recovery) -> bool:
        """Go on with a journal whose mask is in the viewer, if it is: only its dock was closed."""
        run, layer = self.workflow.results.run, self.workflow.state.image
        if run is None or layer is None or not run.restored:
            return False
        shown = run.link.current()
        if shown is None or not np.array_equal(shown, run.geometry.strip(recovery.mask)):
            return False
        about = Description.from_bytes(recovery.state)
        run.link.reviewed = about.accepted
        self._adopt(run.link, full_resolution(layer), recovery, about)
        self.workflow.results.placed.emit(run)
        return True

    # ------------------------------------------------------------------ watching
    def _placed(self, run: Run) -> None:
        """Hear of the first edit of a mask."""
        layer = run.link.layer
        if layer is not None and layer.unique_id not in self._heard:
            self._heard[layer.unique_id] = run
            run.link.edited.connect(partial(self._edited, run))

    def _edited(self, run: Run) -> None:
        """Begin a journal, unless it was only a newer model that changed the mask."""
        layer = run.link.layer
        large = layer is not None and np.size(layer.data) > DIFF_LIMIT  # too slow to compare
        if large or run.link.edited_in(()):
            self._begin(run, strokes=1)

    def _begin(self, run: Run, strokes: int) -> None:
        image, card = find_layer(self.workflow.viewer, run.uid), run.outcome.prediction.card
        if image is not None:
            about = Description(card.name, card.class_names, run.link.objects)
            self._watch(run.link, full_resolution(image), about, strokes=strokes)

    def _noted(self, mark: Mark, uid: Hashable) -> None:
        """Pass a mark on; what is accepted as it is has no stroke, but must survive as well."""
        if mark is Mark.ACCEPT and uid in self._heard:
            self._begin(self._heard[uid], strokes=0)
        self.autosave.note(mark, uid)

    def _watch(
        self,
        link: MaskLink,
        array: Any,
        about: Description,
        recovery: Recovery | None = None,
        strokes: int = 0,
    ) -> None:
        layer: Any = link.layer
        if layer is None:
            return

        def state() -> bytes:
            now = replace(about, accepted=link.reviewed)
            if not about.objects:
                now = replace(now, class_names=classes_of(layer, about.class_names))
            return now.to_bytes()

        data = layer.data
        small = isinstance(data, np.ndarray) and data.nbytes <= WHOLE_BYTES
        plane = partial(shown_plane, self.workflow.viewer, layer)
        self.autosave.watch(layer, array, state, plane, small, recovery, strokes)

    def _removed(self, event: Any) -> None:
        uid = getattr(event.value, "unique_id", None)
        self._heard.pop(uid, None)
        self.autosave.forget(uid)

    # ------------------------------------------------------------------- the end
    def _close(self) -> None:
        self._finding.cancel()
        self.autosave.close()

    def _report(self, message: Message) -> None:
        self.workflow.state.message = message


def find(
    source: tuple[Any, ...], root: Path, array: Any, shape: tuple[int, ...]
) -> Job[tuple[tuple[Any, ...], Recovery | None]]:
    """Look for unsaved strokes on an image; say also which one was looked at."""
    yield Progress(0, 1)
    return source, find_unclean(root, array, shape)


def mask_shape(geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a mask (*lead, H, W) has as a layer."""
    return geometry.fit(np.broadcast_to(np.uint8(0), shape)).shape


def classes_of(layer: Any, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes that a mask layer names, which people may have added to."""
    features = layer.features
    return tuple(map(str, features["class"][1:])) if "class" in features else otherwise


def shown_plane(viewer: Any, layer: Any) -> Plane | None:
    """Return the leading indices of the plane one paints in; None while it is not just one."""
    if layer.n_edit_dimensions != 2:
        return None
    if tuple(viewer.dims.displayed) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        return None
    point = layer.world_to_data(viewer.dims.point)[:-2]
    lead = zip(point, layer.data.shape[:-2], strict=True)
    return tuple(int(np.clip(round(float(position)), 0, size - 1)) for position, size in lead)
