"""Verdicts and versions: what a retrain leads to, in the mask and in the library."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.adapters.review_layers import DIFFERENCE, difference_layer
from napari_rwkvseg.workflow.choices import Tone
from napari_rwkvseg.workflow.correct import jobs
from napari_rwkvseg.workflow.correct.context import Context
from napari_rwkvseg.workflow.correct.difference import Compared
from napari_rwkvseg.workflow.correct.jobs import Previewed
from napari_rwkvseg.workflow.correct.retraining import Retraining
from napari_rwkvseg.workflow.correct.state import Report
from napari_rwkvseg.workflow.correct.subject import Subject
from napari_rwkvseg.workflow.correct.versions import Versions
from napari_rwkvseg.workflow.explorer.layer_set import LayerSet
from napari_rwkvseg.workflow.jobs import nothing
from napari_rwkvseg.workflow.placing import Defer, Placer

if TYPE_CHECKING:
    from napari_rwkvseg.store.library import Version

SAID = {
    "better": "The new model is better and is in use now.",
    "cannot tell": "Whether the new model is better cannot be told yet: it is kept aside.",
    "worse": "The new model is worse: it is kept aside, and the old one stays in use.",
}
SAID_EARLIER = (
    "A model kept aside before has proven better on what was corrected since, and is in use now."
)
OTHER_CLASSES = "The new model knows none of the classes of this mask, so there is nothing to try."


class Models:
    """Retrain, try, use, go back.

    Parameters
    ----------
    context : Context
        Shared parts.
    layers : LayerSet
        Takes the layer of differences.
    defer : callable
        Runs a function in a later turn of the event loop.

    Attributes
    ----------
    retraining : Retraining
        Runs and cancels.
    versions : Versions
        The list.
    trained : int
        Retrains since the dock was opened.
    """

    def __init__(self, context: Context, layers: LayerSet, defer: Defer) -> None:
        self._context = context
        self._layers = layers
        self._placer = Placer(context.workflow.viewer, defer)
        self._compared: Compared | None = None
        self._compared_with: Subject | None = None
        self.retraining = Retraining(context, self._judged)
        self.versions = Versions(context, self._activated)
        self.trained = 0

    # ------------------------------------------------------------------- actions
    def try_it(self) -> None:
        """Show what the new model finds, in a layer of its own."""
        report, current = self._context.state.report, self._context.subjects.current
        if report is not None and not self._context.state.running:
            show = partial(self._show_trial, None if current is None else current.uid)
            self.retraining.predict(self._loader(report.name, report.sha256), show)

    def use_anyway(self) -> None:
        """Let the name stand for the new model, whatever the verdict."""
        report = self._context.state.report
        if report is not None:
            self.activate(report.name, report.sha256)

    def go_back(self) -> None:
        """Let the name stand again for the model that was retrained."""
        report = self._context.state.report
        if report is None or self._context.state.running:
            return
        if report.base == report.name:
            self.activate(report.name, report.parent)
        else:  # the first of its name: the model it came from has a name of its own
            self._context.workflow.reload_models(choose=report.base)
            self._context.say(f"{report.base} is chosen again; {report.name} is kept.", Tone.DONE)

    def activate(self, name: str, sha256: str) -> None:
        """Let a name stand for any of its versions."""
        if not self._context.state.running:
            self.versions.activate(name, sha256)

    def set_comparing(self, on: bool) -> None:
        """Show where the two models differ as a layer, or take it away."""
        state, subject = self._context.state, self._compared_with
        state.comparing = on and self._compared is not None
        if not on:
            self._layers.remove(DIFFERENCE)
        elif self._compared is not None and subject is not None:
            self._layers.show((difference_layer(self._compared.kinds, subject.link.geometry),))

    # -------------------------------------------------------------- what follows
    def _judged(self, report: Report) -> None:
        self.trained += 1
        answer = report.verdict.answer
        said = SAID_EARLIER if report.earlier else SAID[answer]
        self._context.say(said, Tone.DONE if answer == "better" else Tone.NOTE)
        load = self._loader(report.name, report.sha256)
        if answer == "better":
            self._context.workflow.reload_models(choose=report.name)
            self.versions.read()
            self.retraining.predict(load, self._follow)
        else:
            self.versions.read()
            self.retraining.predict(load, self._was_compared, whole=False)

    def _activated(self, version: Version) -> None:
        made = f" of {version.card.created}" if version.card.created else ""
        self._context.say(f"{version.name} is version {version.sha256[:8]}{made} now.", Tone.DONE)
        self.retraining.predict(self._loader(version.name, version.sha256), self._refresh)

    def _loader(self, name: str, sha256: str) -> Any:
        return partial(jobs.load_version, self._context.workflow.library, name, sha256)

    def _follow(self, found: tuple[Previewed, ...]) -> None:
        self._was_compared(found)
        self._refresh(found)

    def _was_compared(self, found: tuple[Previewed, ...]) -> None:
        """Draw the difference for the first of those predicted: the mask in sight, if it is one."""
        if not found:
            return
        subject = self._context.subjects.find(found[0].preview.uid)
        self._compared, self._compared_with = found[0].compared, subject
        self._context.state.difference = found[0].compared.difference
        if self._context.state.comparing:
            self.set_comparing(True)

    def _refresh(self, found: tuple[Previewed, ...]) -> None:
        """Write what the new model finds where nobody corrected or accepted anything."""
        changed = [n for n in map(self._refresh_one, found) if n]
        if changed:
            said, followed = self._context.workflow.state.message.text, followed_text(changed)
            self._context.say(f"{said} {followed}", Tone.DONE)

    def _refresh_one(self, found: Previewed) -> int | None:
        subject = self._context.subjects.find(found.preview.uid)
        if subject is not None and subject.link.theirs:
            return 0
        results, run = self._context.workflow.results, (subject or found.preview).run
        if run.options != found.preview.options:  # changed meanwhile: make the mask with those
            run.outcome = found.outcome
            if run is results.run:
                results.refine()
            return 0
        if subject is None or subject.layer is None:
            return 0
        subject.stopwatch.resume()  # another prediction is shown from now on
        subject.blank = False
        changed = subject.link.refresh(found.index, found.labels)
        results.adopt(run, found.outcome)
        if changed is None:
            self._move(subject, found.index, found.labels)
        return changed

    def _move(
        self, subject: Subject, index: tuple[NDArray[np.intp], ...], labels: NDArray[Any]
    ) -> None:
        """Show the newer result with all corrections in a new layer."""
        mask, written = subject.link.current(), subject.link.written()
        if mask is None or written is None:
            return
        free = mask[index] == written[index]
        place = tuple(axis[free] for axis in index)
        merged, base = mask.copy(), written.copy()
        merged[place] = base[place] = labels[free]
        name, reviewed, names = subject.name, subject.reviewed, subject.class_names
        self._context.workflow.results.move(subject.run, merged, base)
        after = self._context.subjects.current
        if after is not None:
            after.link.reviewed, after.class_names = reviewed, names
            self._context.subjects.changed.emit()
        self._context.say(
            f"Too many pixels changed to undo, so the new result is in a new layer, corrections "
            f"included; {name} is hidden and as it was."
        )

    def _show_trial(self, uid: Hashable | None, found: tuple[Previewed, ...]) -> None:
        """Show what the model finds by itself beside a mask, without touching it; or beside any."""
        one = next((one for one in found if uid in (None, one.preview.uid)), None)
        if one is None:
            self._context.say(OTHER_CLASSES)
            return
        subject = self._context.subjects.find(one.preview.uid)
        if subject is None:
            return
        self._placer.add_mask(
            jobs.alone(one),
            f"{subject.name} (tried)",
            subject.link.geometry,
            one.outcome.prediction.card,
            subject.link.objects,
            on_edit=nothing,
            on_filled=lambda _: None,
            select=False,
        )


def followed_text(changed: Sequence[int]) -> str:
    """Return how many pixels a better model changed, and how to undo that.

    Parameters
    ----------
    changed : sequence of int
        Pixels of each mask that changed, one mask or more.
    """
    total = sum(changed)
    if len(changed) == 1:
        return f"{total:,} px of the mask followed; Ctrl-Z brings them back."
    return f"{total:,} px of {len(changed)} masks followed; Ctrl-Z in each brings them back."
