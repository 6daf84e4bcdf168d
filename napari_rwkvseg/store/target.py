"""Under which name a retrained model is kept, and where its corrections lie; needs no torch.

Who no longer finds all that the old model does is another model: it gets a name of its own, so that
the old name keeps standing for what it stood for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.ledger import fingerprint, read_ledger
from napari_rwkvseg.store.library import Library, data_folder
from napari_rwkvseg.store.model_path import NAMELESS
from napari_rwkvseg.store.own_models import check_name, name_taken

LONGEST = 56  # letters, so that there is room for a number


def default_folder(name: str) -> Path:
    """Return where the corrections for a model lie unless another folder is named.

    Raises
    ------
    ModelFileError
        If the name is not valid: a model file may claim any, a path to somewhere else included.
    """
    return data_folder() / "corrections" / check_name(name)


def target_name(
    card: ModelCard, class_names: Sequence[str], library: Library, corrections: Path | None = None
) -> str:
    """Return under which name a retrained model is kept.

    Parameters
    ----------
    card : ModelCard
        Of the model that is started from.
    class_names : sequence of str
        What the new one shall tell apart; empty for the same. One that no longer finds what the old
        one does is another model: it is named after its first own class, with a number where
        another model has that name.
    library : Library
        Where the names are.
    corrections : Path, optional
        Folder of the project; by default that of the name.
    """
    if _still_finds(card, class_names):
        return card.name
    own = next((name for name in class_names if name not in card.class_names), class_names[0])
    slug = re.sub(r"[^a-z0-9]+", "-", own.lower())[:LONGEST].strip("-") or NAMELESS
    names = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
    return next(name for name in names if _fits(name, class_names, library, corrections))


def as_target(
    model: Model,
    class_names: Sequence[str],
    library: Library,
    name: str | None = None,
    corrections: Path | None = None,
) -> Model:
    """Return the model to start from under the name that its successor will have.

    Parameters
    ----------
    model : Model
        Not changed.
    class_names, library, corrections
        As for `target_name`.
    name : str, optional
        To be used in place of that one.

    Raises
    ------
    ModelFileError
        If that name is not valid, or another model has it.
    """
    card = model.card
    target = target_name(card, class_names, library, corrections)
    if name is not None and name != target:
        if not _fits(check_name(name), class_names or card.class_names, library, corrections):
            raise name_taken(name)
        target = name
    if target == card.name:
        return model
    if _still_finds(card, class_names):
        return replace(model, card=replace(card, name=target))
    return of_other_classes(model, target, class_names)


def of_other_classes(model: Model, name: str, class_names: Sequence[str]) -> Model:
    """Return a model to start from under the name of a successor that finds other classes."""
    found = ", ".join(class_names)
    title = f"{found[:1].upper()}{found[1:]} (own model, from {model.card.name})"
    modality = "As the corrected images"
    return replace(
        model, card=replace(model.card, name=name, title=title, modality=modality, objects=False)
    )


def _still_finds(card: ModelCard, class_names: Sequence[str]) -> bool:
    return not class_names or set(card.class_names) <= set(class_names)


def _fits(
    name: str, class_names: Sequence[str], library: Library, corrections: Path | None
) -> bool:
    """Whether a name is free, or stands for the same classes and for nothing made elsewhere."""
    if name not in library.names():
        return True
    versions = library.versions(name)
    if any(version.bundled for version in versions):
        return False
    if not all(set(version.card.class_names) == set(class_names) for version in versions):
        return False
    try:
        made = read_ledger(corrections or default_folder(name)).made
    except ModelFileError:  # who goes on in that project is told what is wrong with it
        return True
    return bool(versions) and all(fingerprint(version.card) in made for version in versions)
