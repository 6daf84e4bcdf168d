"""From corrections to a version in the library: what the `finetune` command and the API run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.classes import shared_classes
from napari_rwkvseg.engine.dataset import read_index
from napari_rwkvseg.engine.device import choose_device, limit_threads
from napari_rwkvseg.engine.evidence import find_levels
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.judge import Verdict
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.predict import predict
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.retrain import retrain
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store.accepting import Corrected, accept, classes_of
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.dataset import read_pair
from napari_rwkvseg.store.lesson import gather, never_dealt, speaking, waiting
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.store.retrained_card import retrained_card
from napari_rwkvseg.store.second_chance import second_chance
from napari_rwkvseg.store.target import default_folder

LEAST_SHARE = 0.5  # of the seconds that are left for learning, however long reading takes

Pair = tuple[ImageData, NDArray[np.integer]]


@dataclass(frozen=True)
class RetrainOptions:
    """How to retrain.

    Attributes
    ----------
    class_names : tuple of str
        In label order; empty for those of the model. A name it does not have becomes a new class.
    tuning : FinetuneOptions
        Its seconds are for everything, reading included.
    corrections : Path, optional
        Folder of the project; by default one in the user's data folder, named like the model.
    device : str
        "auto", "cpu", "cuda" …
    threads : int, optional
        Processor threads; by default all cores but one.
    """

    class_names: tuple[str, ...] = ()
    tuning: FinetuneOptions = field(default_factory=FinetuneOptions)
    corrections: Path | None = None
    device: str = "auto"
    threads: int | None = None

    def project(self, name: str) -> Corrections:
        """Return the project of a model.

        Raises
        ------
        ModelFileError
            If the folder is not given and the name is no valid one.
        """
        return Corrections(self.corrections or default_folder(name))


@dataclass(frozen=True, eq=False)
class Retrained:
    """A candidate and what is to be thought of it.

    Attributes
    ----------
    model : Model
        With lineage and scores on its card.
    verdict : Verdict
        Whether it is better.
    candidate : Model or None
        What was learnt this time, where `model` was kept aside before, has proven better since,
        and what was learnt on top of it is no better.
    project : Corrections or None
        Where the corrections lie, for `remember`.
    start : ModelCard or None
        Of the model that learning began at.
    taught : tuple of str
        Ids of the images that it was taught besides what that one had.
    """

    model: Model
    verdict: Verdict
    candidate: Model | None = None
    project: Corrections | None = None
    start: ModelCard | None = None
    taught: tuple[str, ...] = ()

    @property
    def learnt(self) -> Model:
        """What was learnt this time, whether or not something kept aside before is better."""
        return self.candidate or self.model

    def remember(self) -> None:
        """Note in the project which model was made, and from what.

        For runs that start at it, or at a model made from it, those images count as learnt: they
        are replayed, and a third of them only judges.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        if self.project is not None:
            self.project.note_made(self.learnt.card, self.start, self.taught)


def read_pairs(folder: Path, split: str = "train") -> Job[tuple[Pair, ...]]:
    """Read images and full masks of a data folder, see `read_index`.

    Raises
    ------
    RwkvSegError
        If the folder or a file cannot be read.
    """
    records = read_index(folder, split)
    pairs = []
    for done, record in enumerate(records, start=1):
        pairs.append(read_pair(record))
        yield Progress(done, len(records), f"Reading {record.name}")
    return tuple(pairs)


def retrain_model(
    model: Model,
    pairs: Sequence[Pair],
    options: RetrainOptions,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
    start: float | None = None,
    aside: Model | None = None,
) -> Job[Retrained]:
    """Accept corrections, retrain on them, judge; the library is not touched.

    The project notes what was learnt when the result is kept, or told to `remember`.

    Parameters
    ----------
    model : Model
        The old one; it stays as it is.
    pairs : sequence of (ImageData, ndarray)
        Images with full masks; with a single class every label above 0 is that class.
    options : RetrainOptions
        How.
    token : CancelToken, optional
        Polled at every tile and step. Accepted corrections stay accepted.
    clock : callable
        Monotonic seconds.
    start : float, optional
        When the seconds began to count, by default now.
    aside : Model, optional
        As for `retrain_accepted`.

    Yields
    ------
    Progress
        Of reading, comparing and retraining, with its metrics.

    Raises
    ------
    RwkvSegError
        If an image does not fit the model, or retraining diverges.
    ValueError
        If there are too few corrections.
    """
    token = token or CancelToken()
    start = clock() if start is None else start
    previous = limit_threads(options.threads)
    try:
        images = yield from _accept_pairs(model, pairs, options, token)
    finally:
        limit_threads(previous)
    result = yield from retrain_accepted(model, images, options, token, clock, start, aside)
    return result


def retrain_accepted(
    model: Model,
    images: Sequence[str],
    options: RetrainOptions,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
    start: float | None = None,
    aside: Model | None = None,
) -> Job[Retrained]:
    """Retrain on corrections that were accepted before, judge; the library is not touched.

    A model that was kept aside could not be proven better by the few corrections of its time. All
    that was corrected since is new to it, so that it is tested on the whole of that first; if it is
    better, it is what learning starts from, and what the result must be better than.

    Parameters
    ----------
    model : Model
        The old one; it stays as it is.
    images : sequence of str
        Ids from `accept`: what is new. Images that the old model has learnt from are replayed;
        others of the project that it has not join what is new, see `waiting`.
    options, token, clock, start
        As for `retrain_model`.
    aside : Model, optional
        Made from `model` in this project, and kept aside; with its checksum.

    Raises
    ------
    RwkvSegError
        If a file of the project is damaged, or retraining diverges.
    ValueError
        If there are too few corrections.
    """
    start = clock() if start is None else start
    names = options.class_names or model.card.class_names
    project = options.project(model.card.name)
    previous = limit_threads(options.threads)
    try:
        project.deal(list(dict.fromkeys([*images, *never_dealt(project)])))
        device, _ = choose_device(options.device)
        seed = options.tuning.seed
        proven = yield from second_chance(model, aside, project, images, names, seed, device, token)
        if aside is not None and proven is not None:
            model = aside
        images = [*images, *waiting(project, images, model.card)]
        lesson = gather(project, images, names, model.card)
        seconds = options.tuning.seconds
        left = max(LEAST_SHARE * seconds, seconds - (clock() - start))
        tuning = replace(options.tuning, seconds=left)
        found = yield from retrain(model, lesson, tuning, device, token, clock)
    finally:
        limit_threads(previous)
    taught = speaking(lesson, images)
    count = project.count(images, names)
    card = retrained_card(model, found, lesson.class_names, count, options.tuning.seed)
    candidate = Model(found.tuned.network, card)
    if proven is not None and found.verdict.answer != "better":
        return Retrained(model, proven, candidate, project, model.card, taught)
    return Retrained(candidate, found.verdict, None, project, model.card, taught)


def retrain_folder(
    model: Model,
    folder: Path,
    options: RetrainOptions,
    token: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
    aside: Model | None = None,
) -> Job[Retrained]:
    """Retrain on the part "train" of a data folder, see `read_index` and `retrain_model`."""
    start = clock()
    options.project(model.card.name)  # refuses a name that is none, before anything is read
    pairs = yield from read_pairs(folder)
    result = yield from retrain_model(model, pairs, options, token, clock, start, aside)
    return result


def keep(retrained: Retrained, out: Path | None, library: Library | None) -> Model:
    """Write a candidate to a file, into a library, or both; then its project remembers it.

    Parameters
    ----------
    retrained : Retrained
        From `retrain_model`.
    out : Path, optional
        The model file.
    library : Library, optional
        Gets a version under the name on the card; only one that is better becomes active.

    Returns
    -------
    Model
        With its checksum, if it was written.

    Raises
    ------
    ModelFileError
        If the disk refuses.
    """
    model = _written(retrained, out, library)
    retrained.remember()
    return model


def _written(retrained: Retrained, out: Path | None, library: Library | None) -> Model:
    model, sha256 = retrained.model, retrained.model.sha256
    if out is not None:
        model = replace(model, sha256=write_model(out, model))
    if library is None:
        return model
    if retrained.candidate is not None:
        library.install(retrained.candidate, activate=False)
        return replace(model, sha256=library.activate(model.card.name, sha256).sha256)
    better = retrained.verdict.answer == "better"
    return replace(model, sha256=library.install(model, activate=better).sha256)


def _accept_pairs(
    model: Model, pairs: Sequence[Pair], options: RetrainOptions, token: CancelToken
) -> Job[list[str]]:
    """Keep all pairs as reviewed evidence; return the ids of the images."""
    names = options.class_names or model.card.class_names
    project, images = options.project(model.card.name), []
    for image, mask in pairs:
        truth = classes_of(mask, image, len(names))
        predicted = yield from _predicted(model, image, names, options, token)
        levels = find_levels(truth, predicted, reviewed=[(slice(None),)])
        corrected = Corrected(image, truth, levels)
        images.append((yield from accept(project, model, corrected, names, token)))
    return images


def _predicted(
    model: Model,
    image: ImageData,
    names: Sequence[str],
    options: RetrainOptions,
    token: CancelToken,
) -> Job[NDArray[np.uint8]]:
    """Return what the model finds, in the numbers of `names`; classes not named are background."""
    wanted = PredictOptions(device=options.device, threads=options.threads)
    prediction = yield from predict(model, image, wanted, token)
    here = {there: number for number, there in shared_classes(names, model.card.class_names)}
    table = np.array([here.get(k, 0) for k in range(1 + len(model.card.class_names))], np.uint8)
    found: NDArray[np.uint8] = table[prediction.mask(image, MaskOptions(), token)]
    return found
