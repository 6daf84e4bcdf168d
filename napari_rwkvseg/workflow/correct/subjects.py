"""Which masks can be corrected, and which one is: layers come, go and are clicked."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from psygnal import Signal

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.workflow.choices import Message, Tone
from napari_rwkvseg.workflow.correct.effort import Stopwatch
from napari_rwkvseg.workflow.correct.material import Material
from napari_rwkvseg.workflow.correct.subject import Subject
from napari_rwkvseg.workflow.masks import find_layer
from napari_rwkvseg.workflow.results import Run
from napari_rwkvseg.workflow.workflow import Workflow

NOT_KEPT = (
    "{name} was closed with a label whose class is not known: what was painted on it since the "
    "last retrain does not teach."
)


class Subjects:
    """All masks that the Segment tab made, and the one that is corrected.

    That is the one that was clicked in the layer list, else the newest of the chosen image.

    Parameters
    ----------
    workflow : Workflow
        Makes the masks.
    clock : callable
        Monotonic seconds, for the stopwatches.

    Attributes
    ----------
    changed : Signal
        Another mask is corrected, or something about it changed.
    edited : Signal
        Somebody painted on the one that is corrected, or undid; or its first result is there.
    closed : list of Material
        Of masks and images that were removed and have something to teach, or to take back.
    """

    changed = Signal()
    edited = Signal()

    def __init__(self, workflow: Workflow, clock: Callable[[], float] = time.monotonic) -> None:
        self._workflow = workflow
        self._clock = clock
        self._subjects: dict[Hashable, Subject] = {}
        self._chosen: Hashable | None = None
        self._latest: dict[Hashable, Hashable] = {}  # image -> its mask that counts
        self._expecting_blank = False
        self.closed: list[Material] = []
        self.spent: list[float] = []  # seconds on masks that were removed
        workflow.results.placed.connect(self._placed)
        workflow.state.events.image.connect(self._image_chosen)
        layers = workflow.viewer.layers
        layers.events.removed.connect(self._removed)
        layers.selection.events.active.connect(self._active_changed)

    @property
    def current(self) -> Subject | None:
        """The mask that is corrected, while its layer exists."""
        subject = None if self._chosen is None else self._subjects.get(self._chosen)
        return subject if subject is not None and subject.layer is not None else None

    @property
    def image_layer(self) -> LayerLike | None:
        """The image under the mask that is corrected."""
        subject = self.current
        return None if subject is None else find_layer(self._workflow.viewer, subject.run.uid)

    def counting(self) -> tuple[Subject, ...]:
        """Return the masks that count, one per image: of several the last one with evidence."""
        found = []
        for image, latest in self._latest.items():
            masks = [one for one in self._subjects.values() if one.run.uid == image]
            masks.sort(key=lambda one: (one.has_evidence, one.uid == latest))
            found += masks[-1:]
        return tuple(found)

    def lesson_names(self) -> tuple[str, ...]:
        """Return the classes to learn: of the mask in sight, if it teaches, else of one that does.

        Where nothing teaches, those of the mask in sight; where there is none, nothing.
        """
        current = self.current
        teaching = [one for one in self.counting() if one.has_evidence]
        teaching.sort(key=lambda one: one is not current)  # the one in sight first
        closed = (one for one in self.closed if one.teaches)
        return next((one.class_names for one in (*teaching, *closed, current) if one), ())

    def find(self, uid: Hashable) -> Subject | None:
        """Return a mask by the identity of its layer."""
        return self._subjects.get(uid)

    def expect_blank(self) -> None:
        """Take the next mask that is placed for one that begins empty."""
        self._expecting_blank = True

    def _placed(self, run: Run) -> None:
        layer = run.link.layer
        if layer is None:
            return
        uid = layer.unique_id
        card_names = run.outcome.prediction.card.class_names
        subject = self._subjects.get(uid)
        if subject is None:
            earlier = self._subjects.get(self._latest.get(run.uid))
            blank = self._expecting_blank or run.restored
            subject = Subject(run, run.link, uid, Stopwatch(self._clock), blank)
            subject.class_names = card_names
            if earlier is not None and _carried_over(earlier, run):
                subject.predicted = earlier.predicted
            self._subjects[uid] = subject
            for signal in (run.link.edited, run.link.filled):
                signal.connect(partial(self._edited, uid))
        elif not self._expecting_blank:
            subject.predicted = () if subject.blank else subject.predicted
            subject.blank = False
        self._expecting_blank = False
        subject.run = run
        region = run.outcome.prediction.region
        subject.predicted = (*(one for one in subject.predicted if one != region), region)
        subject.class_names = run.class_names = subject.names_with(card_names)
        self._latest[run.uid] = uid
        self._choose(uid)

    def _choose(self, uid: Hashable) -> None:
        self._chosen = uid
        subject = self._subjects[uid]
        self._latest[subject.run.uid] = uid
        subject.stopwatch.resume()
        self.changed.emit()

    def _edited(self, uid: Hashable) -> None:
        if uid == self._chosen:
            self._subjects[uid].stopwatch.touch()
            self.edited.emit()

    def _image_chosen(self, image: LayerLike | None) -> None:
        current = self.current
        if image is None or (current is not None and current.run.uid == image.unique_id):
            return
        uid = self._latest.get(image.unique_id)
        if uid is not None and uid in self._subjects:
            self._choose(uid)
        else:
            self._chosen = None
            self.changed.emit()

    def _active_changed(self, event: object = None) -> None:
        """Follow a click on a mask, and on an image to its newest mask."""
        uid = getattr(self._workflow.viewer.layers.selection.active, "unique_id", None)
        uid = self._latest.get(uid, uid)
        if uid not in self._subjects or uid == self._chosen:
            return
        self._choose(uid)
        image = self.image_layer
        if image is not None:  # the other tabs are about this image, too
            self._workflow.selection.choose(image)

    def _removed(self, event: Any) -> None:
        """Keep what was said of a mask that goes, or whose image goes."""
        gone = getattr(event.value, "unique_id", None)
        counted = self.counting()  # before any is closed: not always the latest of its image
        for subject in list(self._subjects.values()):
            if gone in (subject.uid, subject.run.uid):
                if subject in counted or (subject.taught and not subject.has_evidence):
                    self._keep(subject, event.value if gone == subject.uid else subject.layer)
                self._close(subject)

    def _keep(self, subject: Subject, layer: Any) -> None:
        if subject.spent is not None:
            self.spent.append(subject.spent)
        written = subject.link.written()
        if layer is None or written is None or not (subject.has_evidence or subject.taught):
            return
        mask = subject.link.geometry.strip(layer.data)
        if subject.unclear:
            self._workflow.state.message = Message(NOT_KEPT.format(name=layer.name), Tone.ERROR)
        elif mask.shape == written.shape:
            self.closed.append(subject.material_of(layer.name, mask, written).copied())

    def _close(self, subject: Subject) -> None:
        del self._subjects[subject.uid]
        image = subject.run.uid
        if self._latest.get(image) == subject.uid:
            del self._latest[image]
            for uid, one in self._subjects.items():
                if one.run.uid == image:
                    self._latest[image] = uid
        if self._chosen == subject.uid:
            self._chosen = self._latest.get(image)
        self.changed.emit()


def _carried_over(earlier: Subject, run: Run) -> bool:
    """Whether a mask shows, outside of what was just predicted, the labels of the one before it."""
    return earlier.link.objects == run.link.objects and not earlier.blank
