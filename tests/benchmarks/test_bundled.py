from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bundled import start_model
from benchmarks.seeds import recipe_of
from napari_rwkvseg.errors import ModelNotFoundError
from napari_rwkvseg.store.library import BUNDLED, Library
from tests.store.model_builders import small_model

SHIPPED = sorted(path.stem for path in BUNDLED.glob("*.safetensors"))


def test_a_retrained_version_is_not_what_benchmarks_start_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path))
    before = start_model("nuclei")
    Library().install(small_model(3, parent=before.sha256), name="nuclei")
    assert Library().load("nuclei").sha256 != before.sha256
    assert start_model("nuclei").sha256 == before.sha256


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ModelNotFoundError):
        start_model("no such model")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_recipe_builds_the_network_that_comes_with_the_program(name: str) -> None:
    recipe, changes = recipe_of(name)
    model = start_model(name)
    options = recipe.options({"size": model.card.size, **changes})
    config = model.network.config
    assert options.config(config.in_channels, config.n_classes) == config
    assert recipe.model_card(name, options).class_names == model.card.class_names
