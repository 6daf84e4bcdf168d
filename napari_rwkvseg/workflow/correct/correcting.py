"""What a person can ask the Correct tab, and what happens then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_rwkvseg.adapters.review_layers import CHANGES, DIFFERENCE, changes_layer
from napari_rwkvseg.engine.evidence import EvidenceCount
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.workflow.choices import Region, Tone
from napari_rwkvseg.workflow.correct import jobs
from napari_rwkvseg.workflow.correct.classes import ClassList
from napari_rwkvseg.workflow.correct.context import Context, CorrectRunners, Suggest, default_tuning
from napari_rwkvseg.workflow.correct.effort import methods_text
from napari_rwkvseg.workflow.correct.empty import place_empty
from napari_rwkvseg.workflow.correct.material import Counted, mean_dice, share_a_class
from napari_rwkvseg.workflow.correct.models import Models
from napari_rwkvseg.workflow.correct.state import BeforeScore, CorrectState, Part
from napari_rwkvseg.workflow.correct.subject import Subject
from napari_rwkvseg.workflow.correct.subjects import Subjects
from napari_rwkvseg.workflow.correct.travel import go_to
from napari_rwkvseg.workflow.explorer.layer_set import LayerSet
from napari_rwkvseg.workflow.region import region_of, shows_plane
from napari_rwkvseg.workflow.runner import JobResult, Latest, ignore_progress
from napari_rwkvseg.workflow.workflow import Workflow

if TYPE_CHECKING:
    from napari_rwkvseg.engine.tuner import FinetuneOptions
    from napari_rwkvseg.workflow.explorer.layer_set import Defer

NO_IMAGE = "Open an image first, and segment it."
NO_MASK = "Segment the image first, then correct its mask here. Or begin with an empty mask."
OUT_OF_SIGHT = (
    "The canvas does not show rows and columns of one slice: go back to 2-D and the usual axes, or "
    "accept the whole image."
)
UNSEGMENTED = "No model has looked at this part. Segment it first, then accept it."
AS_WRITTEN = "The mask is as the model wrote it."
STILL_ACCEPTED = "What was accepted stays so; Take back undoes that."
Area = tuple[slice, ...]
REGIONS = {Part.SLICE: Region.SLICE, Part.VISIBLE: Region.VISIBLE}


class Correcting:
    """State and actions of the Correct tab; call it from one thread only.

    Parameters
    ----------
    workflow : Workflow
        Knows viewer, images, models, masks.
    runners : CorrectRunners
        What runs the long work.
    defer : callable
        Runs a function in a later turn of the event loop.
    suggest : callable, optional
        Finds the place where correcting helps most; without it there is no Next.
    tuning : callable
        Returns how to learn.
    clock : callable
        Monotonic seconds, for the time that people spend.

    Attributes
    ----------
    state : CorrectState
        What the tab shows.
    models : Models
        Retrain, verdicts, versions.
    classes : ClassList
        Names of the classes.
    """

    def __init__(
        self,
        workflow: Workflow,
        runners: CorrectRunners,
        defer: Defer = lambda function: function(),
        suggest: Suggest | None = None,
        tuning: Callable[[], FinetuneOptions] = default_tuning,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.workflow = workflow
        self.state = CorrectState(hint=NO_IMAGE)
        self.subjects = Subjects(workflow, clock)
        self.layers = LayerSet(workflow.viewer, defer)
        self.suggest = suggest
        self._context = Context(workflow, self.state, self.subjects, runners, tuning)
        self.models = Models(self._context, self.layers, defer)
        self.classes = ClassList(self._context, self._show)
        self._runners = runners
        self._defer = defer
        self._counting = Latest(runners.count, self._count_job, self._counted)
        self._in_count: Subject | None = None
        self._before: dict[Hashable, float] = {}
        self._problem = ""
        self.subjects.changed.connect(self._subject_changed)
        self.subjects.edited.connect(self._counting.request)
        workflow.closing.connect(self._end)
        workflow.state.events.card.connect(self._model_changed)
        workflow.viewer.layers.events.renamed.connect(self._show)
        workflow.viewer.dims.events.current_step.connect(self._touch)
        self._subject_changed()

    # ------------------------------------------------------------------ evidence
    def accept(self, part: Part = Part.SLICE) -> None:
        """Take a part of the mask for right, as it is now and as it will be painted later.

        Where no model has looked nothing is accepted: nobody has been shown what is right there.
        """
        subject, layer = self.subjects.current, self.subjects.image_layer
        if subject is None or layer is None:
            self._context.say(self.state.hint or NO_MASK, Tone.ERROR)
            return
        image, viewer = subject.run.image, self.workflow.viewer
        whole = tuple(slice(0, side) for side in image.spatial_shape)
        choice = REGIONS.get(part)
        if choice is not None and not shows_plane(layer, image, viewer):
            self._context.say(OUT_OF_SIGHT, Tone.ERROR)
            return
        region = whole if choice is None else region_of(choice, layer, image, viewer) or whole
        parts, pixels = shared(region, subject.predicted)
        if not parts:
            self._context.say(UNSEGMENTED, Tone.ERROR)
            return
        subject.stopwatch.touch()
        subject.spent = subject.stopwatch.seconds
        new = [part for part in parts if part not in subject.reviewed]
        subject.link.reviewed = (*subject.reviewed, *new)
        self.workflow.noted.emit(Mark.ACCEPT, subject.uid)
        whole_part = "" if parts == (region,) else "the segmented part of "
        text = f"Accepted: {whole_part}{where(region, image.lead_axes)}, {pixels:,} px."
        self._context.say(text, Tone.DONE)
        self._changed()

    def take_back(self) -> None:
        """Undo the last Accept of this mask."""
        subject = self.subjects.current
        if subject is None or not subject.reviewed:
            self._context.say("Nothing of this mask is accepted.")
            return
        *kept, last = subject.reviewed
        subject.link.reviewed = tuple(kept)
        self.workflow.noted.emit(Mark.ACCEPT, subject.uid)
        axes = subject.run.image.lead_axes
        self._context.say(f"No longer accepted: {where(last, axes)}.", Tone.DONE)
        self._changed()

    def reset(self) -> None:
        """Go back to what the model wrote, and to nothing accepted; Ctrl-Z brings both back."""
        subject = self.subjects.current
        if subject is None:
            return
        link, reviewed = subject.link, subject.reviewed

        def turned(done: bool) -> None:
            link.reviewed = () if done else reviewed

        link.reviewed = ()  # before the pixels go back: else wrong ones would count as accepted
        changed = link.reset(turned)
        if changed is None:
            link.reviewed = reviewed
            self._reset_in_new_layer(subject)
        elif changed:
            said = f"Reset {changed:,} px to the prediction. Ctrl-Z brings it back."
            self._context.say(said, Tone.DONE)
        else:  # nothing that Ctrl-Z could bring back, so nothing accepted goes either
            link.reviewed = reviewed
            self._context.say(f"{AS_WRITTEN} {STILL_ACCEPTED}" if reviewed else AS_WRITTEN)
        self._changed()

    def _reset_in_new_layer(self, subject: Subject) -> None:
        written, name = subject.link.written(), subject.name
        if written is not None:
            self.workflow.results.move(subject.run, written.copy(), written)
            self._context.say(
                f"Too many pixels to undo, so the prediction is in a new layer; {name} is hidden "
                "and as it was."
            )

    def start_empty(self) -> None:
        """Put an empty mask on the chosen image, to draw the first examples in."""
        if problem := self.workflow.obstacle():
            self._context.say(problem, Tone.ERROR)
            return
        job = jobs.prepare(self.workflow.prepare)
        self._runners.look.start(job, CancelToken(), ignore_progress, self._prepared)

    def _prepared(self, result: JobResult) -> None:
        if result.error or self.subjects.current is not None or self.workflow.obstacle():
            return
        self.workflow.set_options(replace(self.workflow.state.options, separate=False))
        self.subjects.expect_blank()
        place_empty(self.workflow)

    # ---------------------------------------------------------------- next place
    def next_place(self) -> None:
        """Go to the slice or region whose correction is expected to help most."""
        subject = self.subjects.current
        material = None if subject is None else subject.material()
        if self.suggest is None or subject is None or material is None:
            self._context.say(self.state.hint or NO_MASK)
            return
        token = CancelToken()
        job = jobs.look_for(material, self.suggest, tuple(subject.visited), token)
        self._runners.look.start(job, token, ignore_progress, self._found_place)

    def _found_place(self, result: JobResult) -> None:
        subject = self.subjects.current
        if result.error:
            self._context.say(result.error, Tone.ERROR)
        elif result.value is None:
            self._context.say("Everything was looked at.")
        elif subject is not None and subject.layer is not None:
            subject.visit(result.value)
            go_to(self.workflow.viewer, subject.layer, subject.link.geometry, result.value)

    # -------------------------------------------------------------------- layers
    def set_overlay(self, on: bool) -> None:
        """Show what was changed and accepted as a layer, or take it away."""
        self.state.overlay = on
        if on:
            self._counting.request()
        else:
            self.layers.remove(CHANGES)

    def close(self) -> None:
        """Stop all work and take our layers away."""
        self._stop()
        self.layers.remove()

    def _end(self) -> None:
        """Close with the dock: the window is being rebuilt, and layers must not go just now."""
        self._stop()
        self._remove_later()

    def _remove_later(self) -> None:
        """Take our layers away in another turn; none is asked for where there are none."""
        if any(self.layers.layer(kind) is not None for kind in (CHANGES, DIFFERENCE)):
            self._defer(self.layers.remove)

    def _stop(self) -> None:
        self._runners.cancel()
        self._counting.cancel()
        self.state.running = self.state.overlay = self.state.comparing = False

    # ------------------------------------------------------------------ counting
    def _changed(self) -> None:
        self._show()
        self._counting.request()

    def _touch(self, event: object = None) -> None:
        subject = self.subjects.current
        if subject is not None:
            subject.stopwatch.touch()

    def _subject_changed(self) -> None:
        self._problem = ""
        self._remove_later()  # this may be the event of another layer that goes
        self.state.comparing = False
        self.state.count = EvidenceCount(0, 0, 0)
        self._changed()

    def _count_job(self, token: CancelToken) -> Job[Any] | None:
        subject = self.subjects.current
        material = None if subject is None else subject.material()
        if subject is None or material is None:
            return None
        self._in_count = subject
        return jobs.count_evidence(material)

    def _counted(self, result: JobResult) -> None:
        subject, counted = self._in_count, cast("Counted | None", result.value)
        self._problem = result.error
        if subject is not None:
            subject.unclear = bool(result.error)
        if subject is not None and counted is not None:
            subject.count = counted.count
            dice = mean_dice(counted.agreement) if subject.reviewed else None
            self._before.pop(subject.uid, None)
            if dice is not None and not subject.blank:
                self._before[subject.uid] = dice
            if subject is self.subjects.current:
                self.state.count = counted.count
                if self.state.overlay:
                    self.layers.show((changes_layer(counted.levels, subject.link.geometry),))
        self._show()

    def _show(self, _: object = None) -> None:
        """Bring the state up to date with the mask that is corrected."""
        state, subject = self.state, self.subjects.current
        has_image = self.workflow.state.image is not None
        state.hint = self._problem or ("" if subject else NO_MASK if has_image else NO_IMAGE)
        state.subject = "" if subject is None else subject.name
        state.class_names = () if subject is None else subject.class_names
        state.editable = subject is not None and not subject.link.objects
        state.blank = subject is not None and subject.blank
        state.accepted = 0 if subject is None else len(subject.reviewed)
        state.flat = subject is None or not subject.run.image.lead_shape
        teaching = [one for one in self.subjects.counting() if one.has_evidence]
        known = [one.class_names for one in teaching]
        known += [one.class_names for one in self.subjects.closed if one.teaches]
        names = self.subjects.lesson_names()
        state.images = sum(share_a_class(one, names) for one in known)
        spent = [one.spent for one in self.subjects.counting() if one.spent is not None]
        state.seconds = (*self.subjects.spent, *spent)
        scores = list(self._before.values())
        state.before = BeforeScore(float(np.mean(scores)), len(scores)) if scores else None
        self._name_target()

    def _name_target(self) -> None:
        card = self.workflow.state.card
        if card is not None:
            self.state.target = self.models.retraining.target(card)

    def _model_changed(self, _: object = None) -> None:
        self._name_target()
        self.models.versions.read()

    def methods_text(self) -> str:
        """Return sentences on effort and scores for a methods section."""
        return methods_text(self.state.seconds, self.state.before, self.models.trained)


def shared(region: Area, boxes: Sequence[Area]) -> tuple[tuple[Area, ...], int]:
    """Return what of a region lies in some boxes, and how many pixels that are.

    Parameters
    ----------
    region : tuple of slice
        One per axis, with start and stop.
    boxes : sequence of tuple of slice
        Likewise; they may overlap.

    Returns
    -------
    parts : tuple of tuple of slice
        The region itself where the boxes cover all of it.
    pixels : int
        Each counted once.
    """
    overlaps = [tuple(map(_overlap, region, box)) for box in boxes]
    parts = tuple(part for part in overlaps if all(one.start < one.stop for one in part))
    sides = [one.stop - one.start for one in region]
    if region in parts:
        return (region,), math.prod(sides)
    covered = np.zeros(sides, bool)
    for part in parts:
        covered[tuple(map(_moved, part, region))] = True
    pixels = int(np.count_nonzero(covered))
    return (region,) if pixels == covered.size else parts, pixels


def _overlap(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _moved(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def where(region: tuple[slice, ...], lead_axes: str) -> str:
    """Return a region in words: "slice 4", "frame 2, slice 4, rows 0-63, columns 0-63"."""
    words = {"z": "slice", "t": "frame", "n": "sample"}
    lead, plane = region[:-2], region[-2:]
    parts = [
        f"{words[axis]} {part.start}" if part.stop - part.start == 1 else f"all {words[axis]}s"
        for axis, part in zip(lead_axes, lead, strict=True)
    ]
    names = ("rows", "columns")
    if any(part.start for part in plane) or not parts:
        parts += [
            f"{name} {part.start}–{part.stop - 1}" for name, part in zip(names, plane, strict=True)
        ]
    return ", ".join(parts)
