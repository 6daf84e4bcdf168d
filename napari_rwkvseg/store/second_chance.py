"""A model that was kept aside, tested again on what was corrected since.

When it was made, too few corrections were held out to prove it better. What came to the project
later it has never seen, all of it, and neither has the model in use: a test that costs no
correction, for they teach afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.comparison import HeldOut
from napari_rwkvseg.engine.judge import Verdict
from napari_rwkvseg.engine.progress import CancelToken, Job
from napari_rwkvseg.engine.retrain import compare
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.library import Library

# Planes, and pixels of them, that are looked at, of what is new and of what is known: seconds count
MOST_TESTED, TESTED_PIXELS = 8, 1 << 21

T = TypeVar("T")

logger = logging.getLogger(__name__)


def kept_aside(library: Library, name: str, sha256: str) -> Model | None:
    """Return the last model made from another one that could not be proven better then.

    Parameters
    ----------
    library : Library
        Where to look.
    name : str
        Under which the project learns.
    sha256 : str
        Checksum of the model in use.

    Returns
    -------
    Model or None
        None if there is none, see `Library.aside`, or if its file is damaged: learning does without
        it, with a logged warning.
    """
    version = library.aside(name, sha256)
    if version is None:
        return None
    try:
        return library.load_version(version)
    except ModelFileError as error:
        logger.warning("left out: %s", error)
        return None


def second_chance(
    model: Model,
    aside: Model | None,
    project: Corrections,
    images: Sequence[str],
    names: Sequence[str],
    seed: int,
    device: torch.device,
    token: CancelToken | None = None,
) -> Job[Verdict | None]:
    """Return what proves a model that was kept aside better than the one in use, if it does.

    Parameters
    ----------
    model, aside : Model
        The one in use; one that was made from it in this project, if there is one.
    project : Corrections
        All images must be dealt.
    images : sequence of str
        Ids of those at hand: the ones that came later than `aside` are the test, and what is held
        out of those that were learnt shows whether it forgets.
    names : sequence of str
        Classes, in label order.
    seed : int
        Of the judge's draws.
    device : torch.device
        Where.
    token : CancelToken, optional
        Polled at every forward pass.
    """
    if aside is None or not (test := _test(project, images, names, model, aside)):
        return None
    verdict = yield from compare(model, aside, test, names, seed, device, token)
    return verdict if verdict.answer == "better" else None


def _test(
    project: Corrections, images: Sequence[str], names: Sequence[str], model: Model, aside: Model
) -> list[HeldOut]:
    """Return what came after a model was made, and, of what the one in use knows, if it forgets."""
    if not aside.card.peak:  # it was taught no object: that it finds none is no proof of skill
        return []
    _, later = project.before_and_since(aside.card)
    chosen = [image for image in dict.fromkeys(images) if image in later]
    fresh = [held for image in chosen for held in project.to_judge(image, names, everything=True)]
    passed_over = {*chosen, *project.by_heart()}
    learnt = [image for image in project.learnt(model.card) if image not in passed_over]
    again = [held for image in learnt for held in project.to_judge(image, names, replay=True)]
    return [*_affordable(fresh), *_affordable(again)] if fresh else []


def _affordable(held_out: Sequence[HeldOut]) -> list[HeldOut]:
    """Return some of the planes, and of large ones some of the blocks."""
    if not held_out:
        return []
    size = max(held.evidence.truth.size for held in held_out)
    some = spread(held_out, min(MOST_TESTED, max(2, TESTED_PIXELS // size)))
    share = TESTED_PIXELS / (size * len(some))
    return [
        replace(held, blocks=tuple(spread(held.blocks, max(2, int(share * len(held.blocks))))))
        for held in some
    ]


def spread(things: Sequence[T], most: int) -> list[T]:
    """Return at most so many, at least two, evenly from the first to the last."""
    if len(things) <= most:
        return list(things)
    return [things[number * (len(things) - 1) // (most - 1)] for number in range(most)]
