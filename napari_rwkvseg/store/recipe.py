"""Recipes: what a bundled model is called and how it was trained, in one JSON file.

Such a file reads ``{"card": {"title": …, "data": …}, "training": {"steps": …, "loss": {…}}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.errors import RwkvSegError

SECTIONS = ("card", "training")
NOT_STATED = {"modality": "not stated", "class_names": ["foreground"]}


@dataclass(frozen=True)
class Recipe:
    """How to make a model.

    Attributes
    ----------
    file : str
        Name of the file it was read from; empty if there was none.
    card : mapping of str to value
        Entries of `ModelCard`; the name is that of the model file.
    training : mapping of str to value
        Entries of `TrainOptions`.
    """

    file: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def options(self, changes: Mapping[str, Any]) -> TrainOptions:
        """Return how to train; what `changes` says goes before the recipe.

        Raises
        ------
        RwkvSegError
            If an entry is unknown or does not fit.
        """
        try:
            return TrainOptions.from_dict({**self.training, **changes})
        except (TypeError, ValueError) as error:
            raise RwkvSegError(f"{self.file or 'training'}: {error}. Correct it.") from error

    def model_card(self, name: str, options: TrainOptions) -> ModelCard:
        """Return the card of a model of that name, as far as it is known before training.

        Raises
        ------
        RwkvSegError
            If an entry is unknown.
        """
        values = {**NOT_STATED, "title": name.capitalize(), **self.card, "name": name}
        if options.size != self.training.get("size", TrainOptions.size):
            values["title"] += f" ({options.size})"  # or two models would have one title
        try:
            return ModelCard.from_dict(values)
        except (TypeError, ValueError) as error:
            raise RwkvSegError(f"{self.file}: {error}. Correct it.") from error


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    RwkvSegError
        If the file cannot be read, is no JSON object, or has other sections.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RwkvSegError(f"{path}: {error}. Name a JSON file.") from error
    if not isinstance(values, dict) or not set(values) <= set(SECTIONS):
        raise RwkvSegError(
            f"{path} is no recipe: it needs the sections {' and '.join(SECTIONS)}, no others."
        )
    return Recipe(path.name, values.get("card", {}), values.get("training", {}))
