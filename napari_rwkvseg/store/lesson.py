"""What a run learns from and is judged by, out of all that a project holds."""

from __future__ import annotations

from collections.abc import Sequence

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.holdout import witnesses
from napari_rwkvseg.engine.retrain import Lesson
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.ledger import read_ledger
from napari_rwkvseg.store.second_chance import spread

MOST_REPLAYED = 16  # images learnt before that a run looks at again
MOST_WAITING = 16  # images accepted before that a run learns besides those at hand


def waiting(project: Corrections, images: Sequence[str], start: ModelCard) -> list[str]:
    """Return the images of a project that are not at hand and still have to be learnt.

    They were accepted earlier, and the model in use was not made from them: what was made then was
    not better, or it was gone back from, or there was no time to learn. Images that only doubtful
    models were taught, see `Ledger.doubted`, wait until they are at hand again.

    Parameters
    ----------
    project : Corrections
        All images must be dealt.
    images : sequence of str
        Ids of those at hand.
    start : ModelCard
        Of the model that learning begins at.

    Returns
    -------
    list of str
        `MOST_WAITING` at most, in the order of the deal.
    """
    known, doubted = {*images, *project.learnt(start)}, read_ledger(project.root).doubted()
    others = ((one, project.checksums(one)) for one in project.dealt() if one not in known)
    return spread([one for one, there in others if there and not there <= doubted], MOST_WAITING)


def never_dealt(project: Corrections) -> list[str]:
    """Return the images that were accepted by a run that ended before it dealt."""
    dealt = set(project.dealt())
    return [image for image in project.images() if image not in dealt]


def gather(
    project: Corrections, images: Sequence[str], names: Sequence[str], start: ModelCard
) -> Lesson:
    """Return what there is to learn from and to judge by.

    Parameters
    ----------
    project : Corrections
        All images must be dealt.
    images : sequence of str
        Ids of those at hand and those `waiting`; of others only such as were learnt take part, or,
        where there is nothing else to judge by, what is held out of them.
    names : sequence of str
        Classes, in label order.
    start : ModelCard
        Of the model that learning begins at: what it has learnt is replayed.
    """
    learnt = project.learnt(start)
    fresh = [image for image in dict.fromkeys(images) if image not in learnt]
    again = spread(learnt, MOST_REPLAYED)  # old ones too: they are forgotten most easily
    # images that only judge show what is lost; others need not keep silent for that
    silent = () if any(map(project.only_judges, again)) else witnesses(again)
    held_out = [held for image in fresh for held in project.to_judge(image, names)]
    by_heart = project.by_heart()
    judging = [image for image in again if image not in by_heart]
    held_out += [held for image in judging for held in project.to_judge(image, names, replay=True)]
    judged_by_heart = False
    if not held_out:  # only whole images that teach: others judge them
        others = [image for image in project.dealt() if image not in fresh]
        held_out = [held for image in others for held in project.to_judge(image, names)]
        judges = {held.evidence.image_id for held in held_out}
        judged_by_heart = bool(judges) and judges <= by_heart.intersection(learnt)
    return Lesson(
        tuple(piece for image in fresh for piece in project.to_learn(image, names)),
        tuple(
            piece
            for image in again
            if image not in silent
            for piece in project.to_learn(image, names)
        ),
        tuple(held_out),
        tuple(names),
        judged_by_heart,
    )


def speaking(lesson: Lesson, images: Sequence[str]) -> tuple[str, ...]:
    """Return those images that teach or judge; others say nothing about the classes of a lesson."""
    pieces = (*lesson.fresh, *lesson.replay, *(held.evidence for held in lesson.held_out))
    said = {piece.image_id for piece in pieces}
    return tuple(image for image in images if image in said)
