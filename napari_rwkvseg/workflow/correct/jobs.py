"""The long work behind the Correct tab, as generators; torch is imported in their thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, Levels
from napari_rwkvseg.engine.holdout import block_areas
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.quiet import quietly
from napari_rwkvseg.engine.torch_loading import load_optimisers, load_torch
from napari_rwkvseg.errors import ModelNotFoundError
from napari_rwkvseg.store.target import of_other_classes
from napari_rwkvseg.workflow.choices import Compute
from napari_rwkvseg.workflow.correct.context import Suggest
from napari_rwkvseg.workflow.correct.difference import Compared, compare
from napari_rwkvseg.workflow.correct.material import (
    Counted,
    EvidenceError,
    Material,
    count,
    find,
    share_a_class,
)
from napari_rwkvseg.workflow.correct.merging import merge, translated
from napari_rwkvseg.workflow.correct.state import Place, Report
from napari_rwkvseg.workflow.jobs import Mask, Outcome, labels_of
from napari_rwkvseg.workflow.shelf import ModelSource

if TYPE_CHECKING:
    from napari_rwkvseg.engine.tuner import FinetuneOptions
    from napari_rwkvseg.store.library import Library, Version
    from napari_rwkvseg.store.retraining import Retrained, RetrainOptions
    from napari_rwkvseg.workflow.results import Run

Region = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Lesson:
    """Everything a retrain needs, taken when its button was clicked.

    Attributes
    ----------
    materials : tuple of Material
        Corrected images, as copies.
    earlier : tuple of str
        Ids of images that were accepted before and are closed by now.
    load : callable
        Returns the model to start from.
    target : str
        Name to keep the new model under.
    class_names : tuple of str
        What it shall tell apart.
    library : ModelSource
        Takes the new version.
    compute : Compute
        Device and threads.
    tuning : callable
        Returns how to learn.
    """

    materials: tuple[Material, ...]
    earlier: tuple[str, ...]
    load: Callable[[], Model]
    target: str
    class_names: tuple[str, ...]
    library: ModelSource
    compute: Compute
    tuning: Callable[[], FinetuneOptions]


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a retrain returns; nothing of it is in the library yet.

    Attributes
    ----------
    keep : callable
        Puts it there and returns the report.
    images : tuple of str
        Ids of all images that took part.
    """

    keep: Callable[[], Report]
    images: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Preview:
    """What to predict with another model, and against what.

    Attributes
    ----------
    uid : hashable
        Of the mask layer.
    run : Run
        The prediction behind it.
    material : Material
        The mask as it was, as a copy.
    region : tuple of slice
        Which part of it, one slice per axis.
    options : MaskOptions
        How its labels are made.
    plane : tuple of int
        Which plane is in sight.
    """

    uid: Hashable
    run: Run
    material: Material
    region: Region
    options: MaskOptions
    plane: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Previewed:
    """What another model finds.

    Attributes
    ----------
    preview : Preview
        What was asked.
    outcome : Outcome
        Its prediction and labels, numbered like the mask.
    index, labels : tuple of ndarray, ndarray
        Pixels of the mask that may be exchanged, and for what.
    compared : Compared
        Old against new.
    """

    preview: Preview
    outcome: Outcome
    index: tuple[NDArray[np.intp], ...]
    labels: NDArray[Any]
    compared: Compared


def prepare(work: Callable[[], None]) -> Job[None]:
    """Load in a thread what napari needs for its first mask."""
    yield Progress(0, 1, "Preparing")
    work()


def alone(found: Previewed) -> NDArray[Any]:
    """Return the labels of a prediction, without what people did to the mask, same shape."""
    outcome, shape = found.outcome, found.preview.material.mask.shape
    whole = np.zeros(shape, outcome.mask.labels.dtype)
    region = outcome.prediction.region
    whole[region] = outcome.mask.labels[region]
    return whole


def count_evidence(material: Material) -> Job[Counted]:
    """Count levels and agreement; the arrays may be painted on meanwhile: counts follow."""
    yield Progress(0, 1, "Counting")
    return count(material)


def learn(lesson: Lesson, token: CancelToken) -> Job[Learnt]:
    """Keep the corrections, retrain on them, judge; the library stays as it is.

    Yields
    ------
    Progress
        Metrics are those of the curves.

    Raises
    ------
    RwkvSegError
        With a sentence for the person at the screen.
    """
    with quietly():  # a search for garbage would stop the window, again and again
        found = yield from _learn(lesson, token)
    return found


def _learn(lesson: Lesson, token: CancelToken) -> Job[Learnt]:
    yield Progress(0, 0, "Loading the model")
    load_optimisers()
    from napari_rwkvseg.store.retraining import retrain_accepted  # imports torch
    from napari_rwkvseg.store.second_chance import kept_aside

    base = lesson.load()
    model = _as_target(base, lesson)
    library, options = cast("Library", lesson.library), _options(lesson)
    aside = kept_aside(library, lesson.target, base.sha256)
    project = options.project(lesson.target)
    damaged = project.left_out()
    named = yield from _keep_evidence(lesson, model, options, token)
    token.raise_if_cancelled()
    kept = set(project.images())
    images = [image for image in named if image in kept]
    try:
        retrained = yield from retrain_accepted(model, images, options, token, aside=aside)
    except ValueError as error:  # says which corrections are missing
        text, said = str(error), left_out_text(project.left_out() - damaged, named)
        sentence = f"{text[0].upper()}{text[1:]}".rstrip(".")
        raise EvidenceError(f"{sentence}. {said}".rstrip()) from error
    said = left_out_text(project.left_out() - damaged, named)
    return Learnt(partial(_kept, retrained, lesson, base, said), tuple(images))


def left_out_text(files: Collection[str], named: Mapping[str, str]) -> str:
    """Return of which images damaged corrections were left out, as a sentence; empty if of none.

    Parameters
    ----------
    files : collection of str
        Names from `Corrections.left_out`.
    named : mapping of str to str
        Names of the images at hand, by id: the disk knows none.
    """
    if not files:
        return ""
    ids = sorted({name.rpartition("-")[0] for name in files})
    known = [named[image] for image in ids if named.get(image)]
    others = len(ids) - len(known)
    if others:
        known.append(f"{others} image{'s that are' if others > 1 else ' that is'} not open")
    return (
        f"Earlier corrections of {' and '.join(known)} are damaged on the disk and were left out: "
        "correct again what is missing."
    )


def keep(learnt: Learnt) -> Job[Report]:
    """Put what was learnt into the library: a job of its own, which nobody can cancel.

    Raises
    ------
    RwkvSegError
        If the disk refuses.
    """
    yield Progress(0, 0, "Keeping the version")
    with quietly():
        return learnt.keep()


def _kept(retrained: Retrained, lesson: Lesson, base: Model, left_out: str) -> Report:
    from napari_rwkvseg.store.retraining import keep as keep_version  # imports torch

    kept = keep_version(retrained, None, cast("Library", lesson.library))
    return Report(
        retrained.verdict,
        lesson.target,
        kept.sha256,
        base.sha256,
        base.card.name,
        earlier=retrained.candidate is not None,
        left_out=left_out,
    )


def _as_target(base: Model, lesson: Lesson) -> Model:
    """Return the model to start from under the name that its successor will have."""
    if lesson.target == base.card.name:
        return base
    return of_other_classes(base, lesson.target, lesson.class_names)


def _options(lesson: Lesson) -> RetrainOptions:
    from napari_rwkvseg.store.retraining import RetrainOptions

    return RetrainOptions(
        class_names=lesson.class_names,
        tuning=lesson.tuning(),
        device=lesson.compute.device,
        threads=lesson.compute.threads or None,
    )


def _keep_evidence(
    lesson: Lesson, model: Model, options: RetrainOptions, token: CancelToken
) -> Job[dict[str, str]]:
    """Write the corrections of all images into the project; return the images' names by id."""
    from napari_rwkvseg.store.accepting import Corrected, accept

    project = options.project(lesson.target)
    images = dict.fromkeys(lesson.earlier, "")
    for material in lesson.materials:
        found, image = find(material), material.image
        corrected = Corrected(image, found.truth, found.levels)
        names, taught = material.class_names, material.taught
        image_id = yield from accept(project, model, corrected, names, token, taught)
        said = [n for n, index in enumerate(image.planes()) if found.levels[index].any()]
        project.withdraw(image_id, taught, keep=said)
        images[image_id] = image.name
    return images


def _versions(library: ModelSource, name: str) -> Sequence[Version]:
    return library.versions(name) if name in library.names() else ()


def preview(
    previews: Sequence[Preview],
    load: Callable[[], Model],
    compute: Compute,
    token: CancelToken,
) -> Job[tuple[Previewed, ...]]:
    """Predict anew and say what that would change; nothing is written.

    Masks of which the model knows no class are left out: it says nothing about them.

    Raises
    ------
    RwkvSegError
        If the model cannot be read, or an image cannot.
    """
    yield Progress(0, 0, "Loading the model")
    load_torch()
    from napari_rwkvseg.engine.predict import predict  # imports torch

    model = load()
    options = compute.predict_options()
    done = []
    for one in previews:
        material = one.material
        if not share_a_class(material.class_names, model.card.class_names):
            continue
        found = yield from predict(model, material.image, options, token, one.region)
        yield Progress(1, 1, "Comparing the masks")
        done.append(_previewed(one, found, token))
    return tuple(done)


def _previewed(one: Preview, found: Prediction, token: CancelToken) -> Previewed:
    material = one.material
    found = translated(found, material.class_names)
    mask = labels_of(found, material.image, one.options, material.written, token)
    token.raise_if_cancelled()
    labels, index = merge(material, mask.labels, found.region)
    outcome = Outcome(found, Mask(labels, one.options))
    compared = compare(material, found, one.plane, one.options, token)
    return Previewed(one, outcome, index, labels[index], compared)


def load_version(library: ModelSource, name: str, sha256: str) -> Model:
    """Load one version of a model, active or not.

    Raises
    ------
    RwkvSegError
        If it cannot be read, or is not there any more.
    """
    for version in library.versions(name):
        if version.sha256 == sha256:
            return library.load_version(version)
    raise ModelNotFoundError(f"This version of {name} is not in the library any more.")


def look_for(
    material: Material, suggest: Suggest, visited: Sequence[Place], token: CancelToken
) -> Job[Place | None]:
    """Ask where correcting would help most, in the part that was predicted.

    Blocks with strokes come after those without, and places visited before after all others.
    """
    yield Progress(0, 1, "Looking for the next place")
    prediction, image = material.prediction, material.image
    levels = find(material).levels
    start = [part.start for part in prediction.region]
    *lead, rows, columns = prediction.region

    def plane(index: tuple[int, ...]) -> NDArray[Any]:
        token.raise_if_cancelled()
        where = tuple(i + part.start for i, part in zip(index, lead, strict=True))
        return image.region(where, rows, columns)

    rounds = (one[prediction.region] for one in _rounds(levels, visited, prediction.region))
    asked = (suggest(prediction.probability, plane, one) for one in rounds)
    found = next((one for one in asked if one is not None), None)
    if found is None:
        return None
    index = tuple(i + first for i, first in zip(found.index, start, strict=False))
    area = tuple(
        slice(part.start + first, part.stop + first)
        for part, first in zip(found.area, start[-2:], strict=True)
    )
    return Place(index, (area[0], area[1]), found.score)


def _rounds(levels: Levels, visited: Sequence[Place], region: Region) -> list[Levels]:
    """Return levels in which less and less counts as seen besides what is."""
    others = levels.copy()
    for place in visited:
        where: tuple[int | slice, ...] = (*place.index, *place.area)
        others[where] = REVIEWED
    untouched = others.copy()
    part, changed = untouched[region], levels[region] == CHANGED
    for area in block_areas(part.shape[-2:]).values():
        block = (..., *area)
        part[block][changed[block].any(axis=(-2, -1))] = REVIEWED
    return [untouched, others, levels]


def list_versions(
    library: ModelSource, names: Sequence[str]
) -> Job[tuple[tuple[Version, ...], ...]]:
    """Read which versions of some models there are; other programs may have added some."""
    yield Progress(0, 1, "Reading the versions")
    return tuple(tuple(reversed(_versions(library, name))) for name in names)


def activate(library: ModelSource, name: str, sha256: str) -> Job[Version]:
    """Let a name stand for another version, bit for bit what it was.

    Raises
    ------
    RwkvSegError
        If there is no such version any more, or the disk refuses.
    """
    yield Progress(0, 1, "Changing the version")
    version: Version = library.activate(name, sha256)
    return version
