"""Recipes: read, overruled, turned into cards; those of the repository can all be cooked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.store.recipe import Recipe, read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "benchmarks" / "recipes").glob("*.json"))


def write(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_a_recipe_gives_options_and_a_card(tmp_path: Path) -> None:
    card = {"title": "Discs", "class_names": ["disc"]}
    values = {"card": card, "training": {"size": "tiny", "steps": 9}}
    recipe = read_recipe(write(tmp_path / "discs.json", values))
    options = recipe.options({"steps": 4})
    assert (options.size, options.steps) == ("tiny", 4)
    made = recipe.model_card("discs-1", options)
    assert (made.name, made.title, made.modality) == ("discs-1", "Discs", "not stated")


def test_another_size_is_told_apart_by_its_title() -> None:
    recipe = Recipe("discs.json", {"title": "Discs"}, {})
    assert recipe.model_card("d", recipe.options({})).title == "Discs"
    assert recipe.model_card("d", recipe.options({"size": "tiny"})).title == "Discs (tiny)"


def test_without_a_recipe_the_file_names_the_model() -> None:
    card = Recipe().model_card("cells", Recipe().options({}))
    assert (card.name, card.title, card.class_names) == ("cells", "Cells", ("foreground",))


@pytest.mark.parametrize("values", [[], {"title": "Discs"}])
def test_a_file_with_other_sections_is_refused(tmp_path: Path, values: object) -> None:
    with pytest.raises(RwkvSegError, match="needs the sections card and training"):
        read_recipe(write(tmp_path / "r.json", values))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RwkvSegError, match=r"none\.json"):
        read_recipe(tmp_path / "none.json")


def test_wrong_entries_are_named_with_the_file() -> None:
    with pytest.raises(RwkvSegError, match=r"a\.json: unknown entries in training: step\."):
        Recipe("a.json", {}, {"step": 3}).options({})
    with pytest.raises(RwkvSegError, match=r"a\.json: unknown entries in the model card: licence"):
        Recipe("a.json", {"licence": "CC0"}, {}).model_card("a", Recipe().options({}))
    with pytest.raises(RwkvSegError, match=r"a\.json: class_names must be a list"):
        Recipe("a.json", {"class_names": "polyp"}, {}).model_card("a", Recipe().options({}))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_the_recipes_of_the_bundled_models_are_complete(path: Path, size: str) -> None:
    recipe = read_recipe(path)
    options = recipe.options({"size": size})
    card = recipe.model_card(path.stem, options)
    assert card.data
    assert card.data_licence
    assert card.attribution
    assert options.config(3, 1 + len(card.class_names)).n_classes >= 2


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 4
