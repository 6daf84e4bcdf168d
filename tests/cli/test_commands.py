"""`evaluate`, `train`, `models`, and the parser itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_rwkvseg
from napari_rwkvseg.api import list_models, load_model
from napari_rwkvseg.cli import main
from napari_rwkvseg.cli import segment as segment_command
from napari_rwkvseg.engine.metrics import dice
from napari_rwkvseg.network.config import SIZES, NetworkConfig, tiny

Capture = pytest.CaptureFixture[str]


def test_evaluate_prints_one_json_object_with_the_mean_over_images(
    data_folder: Path, model_file: Path, capsys: Capture
) -> None:
    arguments = ["--model", model_file, "--data", data_folder, "--json", "--per-image"]
    assert main(["evaluate", *map(str, arguments), "--threads", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    expected = [
        dice(
            load_model(model_file).predict(tifffile.imread(data_folder / f"images/{n}.tif")),
            tifffile.imread(data_folder / f"masks/{n}.tif"),
        )
        for n in (0, 1)
    ]
    assert report["n"] == 2
    assert report["dice_mean"] == pytest.approx(np.mean(expected))
    assert report["dice_sd"] == pytest.approx(np.std(expected, ddof=1))
    assert {"iou_mean", "iou_sd"} <= report.keys()
    assert report["per_class"]["thing"]["dice_mean"] == report["dice_mean"]
    assert [image["name"] for image in report["per_image"]] == ["n0", "n1"]
    assert [image["dice"] for image in report["per_image"]] == pytest.approx(expected)


def test_evaluate_speaks_to_people_without_json(
    data_folder: Path, model_file: Path, capsys: Capture
) -> None:
    assert main(["evaluate", "--model", str(model_file), "--data", str(data_folder)]) == 0
    assert "small on data (val), n = 2" in capsys.readouterr().out


def test_evaluate_names_the_splits_there_are(
    data_folder: Path, model_file: Path, capsys: Capture
) -> None:
    common = ["evaluate", "--model", str(model_file), "--data", str(data_folder)]
    assert main([*common, "--split", "test"]) == 1
    assert 'no split "test". Splits in it: val' in capsys.readouterr().err


def test_train_writes_a_model_that_segments(
    data_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(in_channels: int = 3, n_classes: int = 2) -> NetworkConfig:
        return replace(tiny(in_channels, n_classes), widths=(8,) * 4, depths=(1,) * 4)

    monkeypatch.setitem(SIZES, "tiny", small)
    index = data_folder / "index.csv"
    index.write_text(index.read_text().replace("val", "train", 1))
    recipe = tmp_path / "recipe.json"
    card = {"title": "Noise", "data_licence": "CC0"}
    recipe.write_text(json.dumps({"card": card, "training": {"steps": 9, "crop": 32}}))
    out = tmp_path / "noise.safetensors"
    options = [
        "--size",
        "tiny",
        "--steps",
        "2",
        "--batch",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    paths = ["--data", str(data_folder), "--out", str(out), "--recipe", str(recipe)]
    assert main(["train", *paths, *options]) == 0
    assert "on 1 validation images" in capsys.readouterr().out
    trained = load_model(out)
    assert (trained.card.name, trained.card.title) == ("noise", "Noise (tiny)")
    assert trained.card.steps == 2  # what is asked for goes before the recipe
    assert "--recipe recipe.json --size tiny --steps 2 --crop 32 " in trained.card.command
    assert trained.predict(np.zeros((40, 40), np.uint8)).shape == (40, 40)


def test_a_recipe_that_is_no_json_is_named(
    data_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text("{")
    paths = ["--data", str(data_folder), "--out", str(tmp_path / "m.safetensors")]
    assert main(["train", *paths, "--recipe", str(recipe)]) == 1
    assert "recipe.json" in capsys.readouterr().err


def test_an_imported_model_is_listed_described_used_and_deleted(
    model_file: Path, capsys: Capture
) -> None:
    assert main(["models", "import", str(model_file)]) == 0
    assert main(["models"]) == 0
    assert "small            Small" in capsys.readouterr().out
    assert main(["models", "info", "small"]) == 0
    card = capsys.readouterr().out
    assert "class names    thing" in card
    assert "For research use only. Not for diagnostic use." in card
    assert "small" in [card.name for card in list_models()]
    assert load_model("small").card.title == "Small"
    assert main(["models", "delete", "small"]) == 0
    assert "small" not in [card.name for card in list_models()]
    assert main(["models", "info", "small"]) == 1


def test_the_folder_of_own_models_is_printed(tmp_path: Path, capsys: Capture) -> None:
    assert main(["models", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "user data" / "models")


def test_an_interrupt_ends_with_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(segment_command, "plan_outputs", interrupt)
    assert main(["segment", "a.tif", "--out", "x"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_wrong_use_ends_with_2(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["segment", "a.tif"])
    assert end.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_help_says_what_it_is_not_for_and_loads_no_torch() -> None:
    script = (
        "import sys\n"
        "from napari_rwkvseg.cli import main\n"
        "try:\n"
        "    main(['segment', '--help'])\n"
        "except SystemExit:\n"
        "    print('torch' in sys.modules, 'qtpy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "For research use only. Not for diagnostic use." in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == napari_rwkvseg.__version__


def test_an_unknown_name_of_the_package_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        napari_rwkvseg.nothing  # noqa: B018
