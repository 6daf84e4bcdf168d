"""Under which name a retrained model is kept, and where its corrections lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.library import Library
from napari_rwkvseg.store.target import as_target, default_folder, target_name
from tests.corrected import model

START = model()


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_RWKVSEG_DATA", str(tmp_path))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An own library, with the bundled models."""
    made = Library()
    made.install(START)
    return made


def line(library: Library, name: str, names: Sequence[str], *, noted: bool = True) -> None:
    """Install what a retrain would have made under a name."""
    made = model(name=name, class_names=tuple(names), parent=START.sha256)
    library.install(made)
    if noted:
        Corrections(default_folder(name)).note_made(made.card)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ((), "small"),
        (("disc",), "small"),
        (("disc", "x"), "small"),
        (("Membrane A/B",), "membrane-a-b"),
        (("x" * 99,), "x" * 56),
        (("Small",), "small-2"),  # the old model finds something else
        (("nuclei",), "nuclei-2"),  # comes with the program
        (("Polyp",), "polyp-2"),
        (("名前",), "own-model"),
    ],
)
def test_a_model_that_no_longer_finds_the_same_has_another_name(
    names: tuple[str, ...], wanted: str, library: Library
) -> None:
    assert target_name(START.card, names, library) == wanted


def test_a_name_of_another_model_gets_a_number(library: Library) -> None:
    line(library, "lesions", ["lesion"])
    assert target_name(START.card, ["Lesions"], library) == "lesions-2"
    line(library, "lesions-2", ["Lesions"], noted=False)  # the same classes, made elsewhere
    assert target_name(START.card, ["Lesions"], library) == "lesions-3"


def test_what_was_begun_under_a_name_goes_on_there(library: Library) -> None:
    line(library, "lesions", ["lesion"])
    line(library, "lesions-2", ["Lesions"])
    for start in (START, model(name="other", class_names=("x",))):
        assert target_name(start.card, ["Lesions"], library) == "lesions-2"
    assert target_name(START.card, ["Lesions", "more"], library) == "lesions-3"


def test_classes_without_latin_letters_have_names_of_their_own(library: Library) -> None:
    line(library, "own-model", ["名前"])
    assert target_name(START.card, ["名前"], library) == "own-model"
    assert target_name(START.card, ["血管"], library) == "own-model-2"


def test_another_folder_of_corrections_is_asked_what_was_made_there(
    tmp_path: Path, library: Library
) -> None:
    line(library, "lesions", ["Lesions"])
    assert target_name(START.card, ["Lesions"], library, tmp_path / "others") == "lesions-2"


def test_a_damaged_project_keeps_its_name_for_the_run_says_what_is_wrong(library: Library) -> None:
    line(library, "lesions", ["Lesions"])
    (default_folder("lesions") / "ledger.json").write_text("{}", encoding="utf-8")
    assert target_name(START.card, ["Lesions"], library) == "lesions"


def test_the_start_gets_the_name_and_what_it_finds_as_a_title(library: Library) -> None:
    start = replace(START, card=replace(START.card, objects=True))
    found = as_target(start, ["ring", "dot"], library)
    assert found.card.name == "ring"
    assert found.card.title == "Ring, dot (own model, from small)"
    assert (found.card.modality, found.card.objects) == ("As the corrected images", False)
    assert (found.network, found.sha256) == (start.network, start.sha256)
    assert as_target(start, ["disc"], library) is start


def test_a_name_of_choice_is_free_and_valid(library: Library) -> None:
    line(library, "lesions", ["Lesions"])
    assert as_target(START, [], library, "mine").card == replace(START.card, name="mine")
    assert as_target(START, [], library, "small") is START
    assert as_target(START, ["Lesions"], library, "lesions").card.name == "lesions"
    for name in ("nuclei", "lesions"):
        with pytest.raises(ModelFileError, match=f"A model named '{name}' exists"):
            as_target(START, ["disc"], library, name)
    with pytest.raises(ModelFileError, match="is no valid model name"):
        as_target(START, ["disc"], library, "../mine")


def test_corrections_lie_in_the_users_folder_by_default(tmp_path: Path) -> None:
    assert default_folder("nuclei") == tmp_path / "corrections" / "nuclei"


@pytest.mark.parametrize("name", ["/tmp/elsewhere", "../../elsewhere", "a/b", "", ".", "A"])
def test_a_name_that_leads_elsewhere_is_no_folder(name: str) -> None:
    with pytest.raises(ModelFileError, match="is no valid model name"):
        default_folder(name)
