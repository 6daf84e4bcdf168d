"""A retrain from the click to the mask that the new model makes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, cast

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.progress import CancelToken, Progress, TimeLeft
from napari_rwkvseg.store.journal_records import Mark
from napari_rwkvseg.store.target import target_name
from napari_rwkvseg.workflow.choices import Region, RunProgress, Tone
from napari_rwkvseg.workflow.correct import jobs
from napari_rwkvseg.workflow.correct.context import Context
from napari_rwkvseg.workflow.correct.jobs import Learnt, Lesson, Preview, Previewed
from napari_rwkvseg.workflow.correct.material import Material, share_a_class
from napari_rwkvseg.workflow.correct.state import Curves
from napari_rwkvseg.workflow.correct.subject import Subject
from napari_rwkvseg.workflow.region import region_of
from napari_rwkvseg.workflow.runner import JobResult
from napari_rwkvseg.workflow.workflow import progress_text

if TYPE_CHECKING:
    from napari_rwkvseg.store.library import Library
    from napari_rwkvseg.workflow.correct.state import Report

NOTHING = "Nothing to learn from yet. Correct the mask, or accept what is right already."
STOPPED = "Stopped. The model is as it was."
NOT_FOLLOWED = "Stopped. The mask is as it was."
TOO_LATE = "It is too late to stop: the new version is being kept, and one click goes back from it."


class Retraining:
    """Starts, follows and ends retrains.

    Parameters
    ----------
    context : Context
        `running`, `progress`, `curves` and `report` of its state are written here.
    finished : callable
        Called with the report once there is one.
    """

    def __init__(self, context: Context, finished: Callable[[Report], None]) -> None:
        self._context = context
        self._finished = finished
        self._clock = TimeLeft()
        self._phase = ""
        self._stopped = ""  # what to say of a stop in this stage; empty where none is possible
        self._earlier: dict[str, tuple[str, ...]] = {}  # target -> ids of images accepted before
        self._taught: set[Hashable] = set()
        self._targets: dict[Hashable, str] = {}  # until the library changes
        context.workflow.state.events.models.connect(self._forget_targets)

    # ------------------------------------------------------------------ learning
    def start(self) -> None:
        """Learn from all corrections; does nothing while a retrain is under way."""
        context = self._context
        if context.state.running:
            return
        self._forget_targets()
        card, sentence = context.workflow.state.card, self._obstacle()
        if sentence or card is None:
            context.say(sentence, Tone.ERROR)
            return
        lesson, token = self._lesson(card), CancelToken()
        self._taught |= {subject.uid for subject in self._teaching()}
        context.workflow.noted.emit(Mark.TRAIN, None)
        context.state.curves = Curves()
        context.state.report = context.state.difference = context.state.standing = None
        context.say("", Tone.HINT)  # what was said before is over
        self._begin("Preparing", STOPPED)
        context.runners.learn.start(
            jobs.learn(lesson, token), token, self._progressed, partial(self._learnt, lesson)
        )

    def cancel(self) -> None:
        """Stop, unless a version is being kept; models and layers stay as they are."""
        if not self._context.state.running:
            return
        if self._stopped:
            self._context.runners.learn.cancel()
            self._end()
        self._context.say(self._stopped or TOO_LATE)

    def target(self, card: ModelCard) -> str:
        """Return under which name the next version will be kept, started from a model."""
        names = self._context.subjects.lesson_names()
        key = (card.name, card.class_names, names)
        if key not in self._targets:  # strokes ask for it, which must not wait for the disk
            library = cast("Library", self._context.workflow.library)
            self._targets[key] = target_name(card, names, library)
        return self._targets[key]

    def _forget_targets(self) -> None:
        self._targets.clear()

    def _obstacle(self) -> str:
        workflow = self._context.workflow
        if workflow.state.card is None:
            return workflow.obstacle() or "There is no model to start from."
        return "" if self._teaching() or self._closed() else NOTHING

    def _teaching(self) -> tuple[Subject, ...]:
        """Return the masks to learn from; those that taught before may have to be withdrawn."""
        subjects = self._context.subjects
        names = subjects.lesson_names()
        said = (one for one in subjects.counting() if one.has_evidence or one.uid in self._taught)
        return tuple(one for one in said if share_a_class(one.class_names, names))

    def _closed(self) -> list[Material]:
        """Return what was kept of closed masks that teaches: nothing of quite other classes."""
        subjects = self._context.subjects
        names = subjects.lesson_names()
        return [one for one in subjects.closed if share_a_class(one.class_names, names)]

    def _lesson(self, card: ModelCard) -> Lesson:
        context = self._context
        workflow, target = context.workflow, self.target(card)
        open_ones = [subject.material() for subject in self._teaching()]
        materials = self._closed()  # first: of two masks of an image the open one has the last word
        materials += [one.copied() for one in open_ones if one is not None]
        return Lesson(
            materials=tuple(materials),
            earlier=self._earlier.get(target, ()),
            load=partial(workflow.library.load, card.name),
            target=target,
            class_names=context.subjects.lesson_names(),
            library=workflow.library,
            compute=workflow.compute(),
            tuning=context.tuning,
        )

    def _progressed(self, event: Progress) -> None:
        state = self._context.state
        if event.message != self._phase:  # each phase has steps of its own
            self._phase, self._clock = event.message, TimeLeft()
        if event.metrics:
            metrics = dict(event.metrics)
            state.curves = state.curves.extended(event.done, event.total, metrics)
        text = progress_text(event, self._clock.seconds(event.fraction))
        if event.metrics:
            text = text.replace("Retraining", f"Step {event.done} of {event.total}", 1)
        state.progress = RunProgress(event.fraction if event.total else -1.0, text)

    def _learnt(self, lesson: Lesson, result: JobResult) -> None:
        if result.value is None:
            self._end()
            self._context.say(result.error or STOPPED, Tone.ERROR if result.error else Tone.HINT)
            return
        learnt: Learnt = result.value
        self._begin("Keeping the version", stopped="")
        self._context.runners.learn.start(
            jobs.keep(learnt),
            CancelToken(),
            self._progressed,
            partial(self._kept, lesson, learnt.images),
        )

    def _kept(self, lesson: Lesson, images: tuple[str, ...], result: JobResult) -> None:
        self._end()
        if result.value is None:
            self._context.say(result.error, Tone.ERROR)
            return
        subjects, report = self._context.subjects, result.value
        subjects.closed = [one for one in subjects.closed if one not in lesson.materials]
        self._earlier[lesson.target] = images
        self._context.state.report = report
        self._finished(report)

    # ---------------------------------------------------------------- predicting
    def predict(
        self,
        load: Callable[[], Model],
        done: Callable[[tuple[Previewed, ...]], None],
        whole: bool = True,
    ) -> None:
        """Predict with another model what was corrected.

        Parameters
        ----------
        load : callable
            Returns that model, in the job.
        done : callable
            Called with what it finds.
        whole : bool
            Whether all that was predicted before, of all images that teach; otherwise only the
            plane in sight.
        """
        context = self._context
        current = context.subjects.current
        subjects = list(context.subjects.counting()) if whole else []
        if current is not None and current not in subjects:
            subjects.append(current)
        subjects.sort(key=lambda one: one is not current)  # the one in sight first
        previews = [self._preview(one, whole) for one in subjects if one.material() is not None]
        if not previews:
            return
        token, compute = CancelToken(), context.workflow.compute()
        self._begin("Predicting", NOT_FOLLOWED)
        context.runners.learn.start(
            jobs.preview(previews, load, compute, token),
            token,
            self._progressed,
            partial(self._predicted, done),
        )

    def _preview(self, subject: Subject, whole: bool) -> Preview:
        material = subject.material()
        if material is None:
            raise LookupError("the mask is gone")  # its caller has asked
        plane = self.plane(subject)
        height, width = material.image.plane_shape
        here = (*(slice(i, i + 1) for i in plane), slice(0, height), slice(0, width))
        everything = tuple(slice(0, side) for side in material.mask.shape)
        region = subject.run.outcome.prediction.region if whole else here
        if whole and subject.blank:
            region = everything
        run = subject.run
        return Preview(subject.uid, run, material.copied(), region, run.options, plane)

    def plane(self, subject: Subject) -> tuple[int, ...]:
        """Return which plane of a mask is in sight; the first if its image is gone."""
        image = subject.run.image
        viewer = self._context.workflow.viewer
        layer = next((one for one in viewer.layers if one.unique_id == subject.run.uid), None)
        where = None if layer is None else region_of(Region.SLICE, layer, image, viewer)
        return tuple(part.start for part in (where or ())[:-2]) or (0,) * len(image.lead_shape)

    def _predicted(self, done: Callable[[tuple[Previewed, ...]], None], result: JobResult) -> None:
        self._end()
        if result.error:
            self._context.say(result.error, Tone.ERROR)
        elif result.value is not None:
            done(result.value)

    def _begin(self, text: str, stopped: str) -> None:
        self._phase, self._clock, self._stopped = "", TimeLeft(), stopped
        self._context.state.progress = RunProgress(text=text)
        self._context.state.running = True

    def _end(self) -> None:
        self._context.state.running = False
