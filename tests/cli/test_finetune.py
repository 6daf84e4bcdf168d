"""`finetune`, and going from version to version, from the command line and from Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_rwkvseg.api import Segmenter, load_model
from napari_rwkvseg.cli import main
from napari_rwkvseg.cli.main import build_parser
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.store import retraining
from napari_rwkvseg.store.library import Library, data_folder
from napari_rwkvseg.store.model_file import write_model
from napari_rwkvseg.store.retraining import Retrained, RetrainOptions, retrain_model
from tests.corrected import LEARNING, discs, model, unproven

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One corrected image; the intensities span 0 to 1."""
    folder = tmp_path / "data"
    folder.mkdir()
    image, mask = discs()
    image[0, :2] = [0, 1]
    tifffile.imwrite(folder / "image.tif", image)
    tifffile.imwrite(folder / "mask.tif", mask)
    (folder / "index.csv").write_text(
        "name,image,mask,split\nd,image.tif,mask.tif,train\n", encoding="utf-8"
    )
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.safetensors"
    write_model(path, model(border=0.9))
    return path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small views and large steps; seed, steps and seconds stay as asked for."""

    def quick(
        start: object, pairs: object, options: RetrainOptions, *rest: object, **more: object
    ) -> object:
        asked: FinetuneOptions = options.tuning
        steps = asked.steps or LEARNING.steps
        tuning = replace(LEARNING, steps=steps, seed=asked.seed, seconds=asked.seconds)
        return retrain_model(start, pairs, replace(options, tuning=tuning), *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(retraining, "retrain_model", quick)


def finetune(start: Path | str, data: Path, out: Path, *more: str) -> int:
    paths = ["--model", str(start), "--data", str(data), "--out", str(out)]
    return main(["finetune", *paths, "--device", "cpu", "--threads", "1", *more])


def test_the_start_for_unknown_kinds_comes_with_the_program() -> None:
    parsed = build_parser().parse_args(["finetune", "--data", "d", "--out", "o.safetensors"])
    assert Library().card(parsed.model).name == "vessels"


def test_a_better_model_is_written_installed_active_and_taken_back(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    old = Library().install(start)
    out = tmp_path / "new.safetensors"
    assert finetune("small", data, out, "--install") == 0
    said = capsys.readouterr().out
    new = load_model(out).model.sha256
    assert said.startswith("Better: Dice 0.")
    assert "  disc           Dice 0." in said
    assert f"new.safetensors is version {new[:8]} of small.\n" in said
    assert said.endswith("It is in the library as small and active now.\n")
    assert Library().load("small").sha256 == new

    assert main(["models", "versions", "small"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"  {old.sha256[:8]}  ")
    assert second.startswith(f"* {new[:8]}  ")
    assert f"from {old.sha256[:8]}" in second
    assert "held out dice" in second

    assert main(["models", "rollback", "small"]) == 0
    assert capsys.readouterr().out == f"small is version {old.sha256[:8]} again.\n"
    assert Library().load("small").sha256 == old.sha256
    assert main(["models", "activate", "small", new[:10]]) == 0
    assert capsys.readouterr().out == f"small is version {new[:8]} now.\n"
    assert Library().load("small").sha256 == new


def test_a_candidate_that_is_not_better_is_kept_aside(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    perfect = tmp_path / "perfect.safetensors"
    old = write_model(perfect, model(border=0.5))
    Library().install(perfect)
    out = tmp_path / "new.safetensors"
    assert finetune("small", data, out, "--install") == 0
    said = capsys.readouterr().out
    assert said.startswith("Cannot tell: ")
    assert "as small, kept aside; the active version stays as it was." in said
    assert Library().load("small").sha256 == old
    assert len(Library().versions("small")) == 2


def test_what_was_kept_aside_before_gets_a_second_chance(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    old, shelf = Library().install(start), Library()
    aside = shelf.install(unproven(old.sha256), name="small", activate=False)
    out = tmp_path / "new.safetensors"
    assert finetune("small", data, out, "--steps", "1") == 0
    assert "kept aside" not in capsys.readouterr().out  # the library is not asked
    assert finetune("small", data, out, "--steps", "1", "--install") == 0
    said = capsys.readouterr().out
    assert said.startswith("Better: Dice 0.")
    assert "It was kept aside before; what was corrected since proves it better.\n" in said
    assert "as small and active now." in said
    assert shelf.load("small").sha256 == aside.sha256
    assert shelf.versions("small")[-1].card.parent == aside.sha256


def test_what_was_kept_aside_in_a_damaged_file_is_done_without(
    data: Path, start: Path, tmp_path: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    old, shelf = Library().install(start), Library()
    aside = shelf.install(unproven(old.sha256), name="small", activate=False)
    aside.path.write_bytes(aside.path.read_bytes()[:-1] + b"!")
    assert finetune("small", data, tmp_path / "new.safetensors", "--steps", "1", "--install") == 0
    assert "kept aside before" not in capsys.readouterr().out
    assert f"left out: {aside.path.name}" in caplog.text


def test_without_install_the_library_is_left_alone(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    before = start.read_bytes()
    assert (
        finetune(start, data, tmp_path / "new.safetensors", "--corrections", str(tmp_path / "c"))
        == 0
    )
    assert "active" not in capsys.readouterr().out
    assert "small" not in Library().names()
    assert start.read_bytes() == before
    assert (tmp_path / "c" / "ledger.json").exists()


def test_classes_are_named_in_label_order(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new.safetensors"
    assert finetune(start, data, out, "--classes", "disc", "ring", "--steps", "2") == 0
    assert load_model(out).card.class_names == ("disc", "ring")
    assert "  ring " in capsys.readouterr().out


@pytest.mark.parametrize(("border", "better"), [(0.9, True), (0.5, False)])
def test_a_model_of_other_classes_gets_a_name_of_its_own(
    border: float, better: bool, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    shelf = Library()
    old = shelf.install(model(border))
    out, steps = tmp_path / "new.safetensors", "72" if better else "1"
    more = ["--classes", "Membrane", "--install", "--steps", steps]
    assert finetune("small", data, out, *more) == 0
    said = capsys.readouterr().out
    assert f"version {load_model(out).model.sha256[:8]} of membrane.\n" in said
    aside = "" if better else ", kept aside"
    assert said.startswith("Better") == better
    assert f"as membrane{aside}; small stays as it was.\n" in said
    assert [one.sha256 for one in shelf.versions("small")] == [old.sha256]
    assert shelf.card("small").class_names == ("disc",)
    card = shelf.card("membrane")
    assert (card.class_names, card.title) == (("Membrane",), "Membrane (own model, from small)")
    assert card.parent == old.sha256
    assert [path.name for path in (data_folder() / "corrections").iterdir()] == ["membrane"]


def test_the_new_model_is_named_as_asked_unless_another_one_has_that_name(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    Library().install(start)
    out = tmp_path / "new.safetensors"
    assert finetune("small", data, out, "--install", "--name", "mine", "--steps", "2") == 0
    assert "It is in the library as mine" in capsys.readouterr().out
    assert Library().card("mine").title == Library().card("small").title
    out.unlink()
    for name, reason in (("vessels", "A model named 'vessels' exists"), ("../x", "no valid")):
        assert finetune("small", data, out, "--name", name) == 1
        assert reason in capsys.readouterr().err
    assert not out.exists()
    assert [path.name for path in (data_folder() / "corrections").iterdir()] == ["mine"]


def test_a_file_that_calls_itself_a_path_writes_nothing_there(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, out = tmp_path / "file.safetensors", tmp_path / "new.safetensors"
    write_model(path, model(border=0.9, name=str(tmp_path / "elsewhere")))
    assert finetune(path, data, out) == 1
    said = capsys.readouterr().err
    assert "file.safetensors calls itself" in said
    assert "Choose another one with --name." in said
    assert not (tmp_path / "elsewhere").exists()
    assert finetune(path, data, out, "--name", "mine", "--steps", "2") == 0
    assert load_model(out).card.name == "mine"


def test_where_no_model_can_be_written_nothing_begins(
    data: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert finetune(start, data, tmp_path / "nowhere" / "new.safetensors") == 1
    assert "nowhere is no folder" in capsys.readouterr().err
    assert not (data_folder() / "corrections").exists()


def test_seed_and_steps_repeat_a_run(data: Path, start: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for out in outs:
        project = str(out.with_suffix(""))  # each its own: what was learnt is learnt otherwise
        asked = ["--steps", "3", "--seed", "5", "--corrections", project]
        assert finetune(start, data, out, *asked) == 0
    cards = [load_model(out).card for out in outs]
    assert cards[0].command == "napari-rwkvseg finetune --steps 3 --seed 5"
    assert load_model(outs[0]).model.sha256 == load_model(outs[1]).model.sha256


def test_a_folder_without_a_train_part_is_named(
    data_folder: Path, start: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert finetune(start, data_folder, tmp_path / "new.safetensors") == 1
    assert 'no split "train"' in capsys.readouterr().err
    assert not (tmp_path / "new.safetensors").exists()


def test_from_python_arrays_go_in_and_a_verdict_comes_out(tmp_path: Path) -> None:
    image, mask = discs()
    image[0, :2] = [0, 1]
    segmenter = Segmenter(model(border=0.9))
    before = dice(segmenter.predict(image), mask)
    found = segmenter.finetune([image], [mask], steps=24, corrections=tmp_path / "kept")
    assert isinstance(found, Retrained)
    assert found.verdict.answer == "better"
    assert dice(Segmenter(found.model).predict(image), mask) > before + 0.1
    assert dice(segmenter.predict(image), mask) == before


def test_from_python_a_model_of_other_classes_gets_a_name_of_its_own(tmp_path: Path) -> None:
    image, mask = discs()
    for name, wanted in ((None, "nuclei-2"), ("mine", "mine")):
        found = Segmenter(model(border=0.9)).finetune(
            [image], [mask], class_names=["Nuclei"], steps=2, name=name, corrections=tmp_path
        )
        assert (found.model.card.name, found.model.card.class_names) == (wanted, ("Nuclei",))


def test_from_python_as_many_masks_as_images_are_wanted() -> None:
    image, mask = discs()
    with pytest.raises(ValueError, match="zip"):
        Segmenter(model()).finetune([image, image], [mask])


def test_versions_of_an_unknown_model_are_an_error(capsys: Capture) -> None:
    assert main(["models", "versions", "nothing"]) == 1
    assert "No model named 'nothing'" in capsys.readouterr().err


def test_a_mask_of_zeros_everywhere_is_judged_like_any_other(
    data: Path, start: Path, tmp_path: Path
) -> None:
    tifffile.imwrite(data / "mask.tif", np.zeros((64, 64), np.uint8))
    assert finetune(start, data, tmp_path / "new.safetensors", "--steps", "2") == 0
