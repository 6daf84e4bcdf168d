"""`evaluate`, `train`, `models`, and the parser itself."""

from __future__ import annotations

import errno
import json
import os
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
from napari_rwkvseg.cli.main import build_parser
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
    out = tmp_path / "Noise 2.safetensors"
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
    assert (trained.card.name, trained.card.title) == ("noise-2", "Noise (tiny)")
    assert main(["models", "import", str(out)]) == 0
    assert trained.card.steps == 2  # what is asked for goes before the recipe
    assert "--recipe recipe.json --size tiny --steps 2 --crop 32 " in trained.card.command
    assert trained.predict(np.zeros((40, 40), np.uint8)).shape == (40, 40)


def test_train_refuses_a_folder_as_its_model_before_the_recipe_is_read(
    tmp_path: Path, capsys: Capture
) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert main(["train", "--data", nowhere, "--recipe", nowhere, "--out", str(tmp_path)]) == 1
    assert "is a folder. Name a model file (.safetensors) in it." in capsys.readouterr().err


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


def test_a_damaged_model_is_named_and_the_others_are_listed(
    model_file: Path, capsys: Capture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("aaa", "bbb"):
        assert main(["models", "import", str(model_file), "--name", name]) == 0
    assert main(["models", "path"]) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    (file,) = folder.rglob("aaa*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    assert main(["models"]) == 1
    printed = capsys.readouterr()
    assert "bbb " in printed.out
    assert file.name in printed.err
    names = [card.name for card in list_models()]
    assert "bbb" in names
    assert "aaa" not in names
    assert file.name in caplog.text


def test_a_model_is_imported_under_a_name_of_choice(model_file: Path, capsys: Capture) -> None:
    assert main(["models", "import", str(model_file), "--name", "mine"]) == 0
    assert capsys.readouterr().out == "mine is installed.\n"
    assert load_model("mine").card.title == "Small"
    assert main(["models", "import", str(model_file), "--name", "Mine"]) == 1


def test_the_folder_of_own_models_is_printed(tmp_path: Path, capsys: Capture) -> None:
    assert main(["models", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "user data" / "models")


def test_an_interrupt_ends_with_130_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(segment_command, "plan_outputs", interrupt)
    assert main(["segment", "a.tif", "--out", "x"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "x.tif"),
            "x.tif: No space left on device. Check the path, its permissions and the room on "
            "the disk.",
        ),
        (OSError("not a file of ours"), "not a file of ours"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: OSError, sentence: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(segment_command, "plan_outputs", refuse)
    assert main(["segment", "a.tif", "--out", "x"]) == 1
    assert capsys.readouterr().err == f"napari-rwkvseg: {sentence}\n"


def test_a_reader_that_has_gone_is_no_reason_to_complain() -> None:
    command = [sys.executable, "-m", "napari_rwkvseg", "models", "path"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_no_more_threads_are_taken_than_there_are_cores() -> None:
    parse = build_parser().parse_args
    common = ["evaluate", "--data", "x", "--threads"]
    assert parse([*common, "100000"]).threads == os.cpu_count()
    assert parse([*common, "1"]).threads == 1


@pytest.mark.parametrize("threads", ["0", "-3", "many"])
def test_a_number_of_threads_that_cannot_be_is_wrong_use(threads: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--data", "x", "--threads", threads])
    assert end.value.code == 2
    assert "argument --threads" in capsys.readouterr().err


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
