"""From a data folder to a model file: read, train, write, log, resume."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from skimage.io import imsave
from tifffile import imwrite

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.dataset import DatasetError, read_index
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, Progress, finish
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.errors import BadImageError, ModelFileError, ModelNotFoundError
from napari_rwkvseg.network.config import SIZES, NetworkConfig, tiny
from napari_rwkvseg.store.checkpoint import Checkpoint
from napari_rwkvseg.store.dataset import read_pair, read_samples
from napari_rwkvseg.store.model_file import read_model
from napari_rwkvseg.store.training import TrainingRun, train_model

OPTIONS = TrainOptions(size="tiny", steps=4, batch=2, crop=32, validate_every=2, warmup=1)
CARD = ModelCard(name="discs", title="Discs", modality="drawn", class_names=("disc",))


def write_data(folder: Path, colour: bool = False, size: int = 40) -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    lines = ["name,image,mask,split"]
    for number, split in enumerate(("train", "train", "val")):
        rows, columns = np.mgrid[:size, :size]
        labels = ((rows - 20) ** 2 + (columns - 15 - number) ** 2 < 60).astype(np.uint8) * 3
        image = (labels * 60 + 20).astype(np.uint8)
        if colour:
            image = np.stack([image, image // 2, image // 3], axis=-1)
        imsave(folder / f"images/{number}.png", image, check_contrast=False)
        imsave(folder / f"masks/{number}.png", labels, check_contrast=False)
        lines.append(f"d{number},images/{number}.png,masks/{number}.png,{split}")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(in_channels: int = 3, n_classes: int = 2) -> NetworkConfig:
        return replace(tiny(in_channels, n_classes), widths=(8,) * 4, depths=(1,) * 4)

    monkeypatch.setitem(SIZES, "tiny", small)


def training_run(tmp_path: Path, **changes: object) -> TrainingRun:
    data = write_data(tmp_path / "discs")
    run = TrainingRun((data,), tmp_path / "discs.safetensors", CARD, OPTIONS, "cpu", threads=1)
    return replace(run, **changes)  # type: ignore[arg-type]


def log_of(run: TrainingRun) -> list[dict[str, str]]:
    with run.log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_model_with_its_card_and_a_log(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    finish(train_model(run))
    card = read_model(run.out).card
    assert card.command == (
        "napari-rwkvseg train --data DATA --out discs.safetensors "
        "--size tiny --steps 4 --crop 32 --batch 2 --seed 0 --threads 1"
    )
    recipe = replace(run, recipe="a.json", threads=None).command()
    assert " --out discs.safetensors --recipe a.json --size tiny " in recipe
    assert recipe.endswith("--seed 0")
    named = replace(run, classes=("a disc", "ring")).command()
    assert named.endswith("--threads 1 --classes 'a disc' ring")
    assert (card.size, card.steps, card.data, card.metrics["n"]) == ("tiny", 4, "own data", 1)
    assert [line["step"] for line in log_of(run)] == ["1", "2", "3", "4"]
    assert [bool(line["val_dice"]) for line in log_of(run)] == [False, True, False, True]
    assert not run.checkpoint.exists()
    assert str(tmp_path) not in card.command


def test_a_stopped_run_resumes_to_the_same_model_and_the_same_log(tmp_path: Path) -> None:
    whole = training_run(tmp_path / "whole")
    expected = finish(train_model(whole)).network.state_dict()

    run = training_run(tmp_path / "stopped")
    token = CancelToken()

    def stop_at_step_3(event: Progress) -> None:
        if event.message == "Training" and event.done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        finish(train_model(run, token), stop_at_step_3)
    assert run.checkpoint.exists()
    resumed = finish(train_model(replace(run, resume=True))).network.state_dict()
    assert all(np.array_equal(resumed[name], expected[name]) for name in expected)
    assert log_of(run) == log_of(whole)


@pytest.mark.parametrize("what", ["classes", "images", "network"])
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training_run(tmp_path)
    token = CancelToken()
    with pytest.raises(Cancelled):
        finish(train_model(run, token), lambda event: event.done == 3 and token.cancel())
    again = replace(run, resume=True)
    if what == "classes":
        again = replace(again, card=replace(CARD, class_names=("disc", "ring", "third")))
    elif what == "images":
        index = run.data[0] / "index.csv"
        index.write_text(index.read_text("utf-8").replace("d1,", "e1,"), encoding="utf-8")
    else:
        shape = replace(tiny(1), widths=(4,) * 4, depths=(1,) * 4)
        monkeypatch.setitem(SIZES, "tiny", lambda *counts: replace(shape, n_classes=counts[1]))
    with pytest.raises(ModelFileError, match="other options, classes or images"):
        finish(train_model(again))


def test_a_card_that_cannot_be_kept_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    run = training_run(tmp_path, card=replace(CARD, title=7))  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=r"discs\.safetensors"):
        finish(train_model(run))
    assert not run.log.exists()


def test_three_channels_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path / "stained")
    pixels = np.random.default_rng(0).integers(0, 9, (3, 40, 40), np.uint8)
    imwrite(data / "images/0.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    index = data / "index.csv"
    index.write_text(index.read_text("utf-8").replace("0.png,masks", "0.tif,masks"), "utf-8")
    with pytest.raises(BadImageError, match="the image has 3 channels"):
        finish(train_model(replace(training_run(tmp_path), data=(data,))))


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    Checkpoint(run.checkpoint, "another run").save({"x": torch.zeros(1)}, 1, 0.5)
    run.log.write_text("step,loss,learning_rate,val_dice,val_iou\n9,,,,\n", encoding="utf-8")
    finish(train_model(run))
    assert len(log_of(run)) == 4


@pytest.mark.parametrize(("colour", "channels"), [(False, 1), (True, 3)])
def test_the_network_reads_as_many_channels_as_the_images_have(
    tmp_path: Path, colour: bool, channels: int
) -> None:
    data = write_data(tmp_path / "coloured", colour=colour)
    model = finish(train_model(replace(training_run(tmp_path), data=(data,))))
    assert model.network.config.in_channels == channels


def test_several_folders_are_learnt_at_once_and_named(tmp_path: Path) -> None:
    grey, colour = write_data(tmp_path / "grey"), write_data(tmp_path / "colour", colour=True)
    model = finish(train_model(replace(training_run(tmp_path), data=(grey, colour))))
    assert model.network.config.in_channels == 3
    assert (model.card.data, model.card.metrics["n"]) == ("own data", 2)
    assert "--data DATA DATA --out" in model.card.command


def test_a_card_names_only_the_folders_that_its_recipe_names(tmp_path: Path) -> None:
    card = replace(CARD, data="discs: drawn; rings (7)")
    folders = tuple(map(Path, ("a/discs", "DOE^JANE", "ring", "rings", ".")))
    command = training_run(tmp_path, card=card, data=folders).command()
    assert "--data discs DATA DATA rings DATA --out" in command


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("discs.csv", "name,image\nprecious"),
        ("discs.csv", "step,loss,learning_rate,val_dice,val_iou,mine\n"),
        ("discs.checkpoint", "precious"),
    ],
)
def test_files_that_no_training_wrote_are_not_replaced(
    tmp_path: Path, name: str, content: str, resume: bool
) -> None:
    run = replace(training_run(tmp_path), data=(tmp_path / "is not read",), resume=resume)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelFileError, match=f"{name} beside the model would be replaced"):
        finish(train_model(run))
    assert (tmp_path / name).read_text("utf-8") == content


def test_a_folder_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    run.log.mkdir()
    with pytest.raises(ModelFileError, match=r"discs\.csv"):
        finish(train_model(run))


def test_the_log_of_a_run_that_was_killed_as_it_began_is_its_own(tmp_path: Path) -> None:
    run = training_run(tmp_path)
    run.log.touch()
    finish(train_model(run))
    assert len(log_of(run)) == 4


def test_a_place_where_no_model_can_be_is_refused_before_data_are_read(tmp_path: Path) -> None:
    run = training_run(tmp_path, data=(tmp_path / "is not read",))
    with pytest.raises(ModelFileError, match="is no folder"):
        finish(train_model(replace(run, out=tmp_path / "nowhere" / "m.safetensors")))


def test_a_card_that_training_fills_too_full_is_refused_before_anything_is_learnt(
    tmp_path: Path,
) -> None:
    run = training_run(tmp_path, classes=("x" * 2000,))
    with pytest.raises(ModelFileError, match="has a card with command"):
        finish(train_model(run))
    assert not run.log.exists()


def test_a_network_is_built_as_the_options_say(tmp_path: Path) -> None:
    run = training_run(tmp_path, options=replace(OPTIONS, network={"shrink": 2, "gate": False}))
    finish(train_model(run))
    config = read_model(run.out).network.config
    assert (config.shrink, config.gate) == (2, False)


def test_samples_know_their_record_and_folder(tmp_path: Path) -> None:
    records = read_index(write_data(tmp_path / "d"), "train")
    samples = finish(read_samples(records, channels=1, percentiles=(0, 100), source="d"))
    assert [(sample.record, sample.source) for sample in samples] == [("d0", "d"), ("d1", "d")]


def test_folders_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    few, many = write_data(tmp_path / "a" / "set"), write_data(tmp_path / "b" / "set", size=48)
    run = replace(training_run(tmp_path), data=(few, many))
    assert finish(train_model(run)).card.metrics["n"] == 2


def test_samples_are_normalised_and_instances_become_one_class(tmp_path: Path) -> None:
    records = read_index(write_data(tmp_path / "d"), "train")
    samples = finish(read_samples(records, channels=3, percentiles=(0, 100)))
    assert [sample.name for sample in samples] == ["d0", "d1"]
    assert samples[0].image.shape == (40, 40, 3)
    assert samples[0].image.dtype == np.float16
    assert (samples[0].image.min(), samples[0].image.max()) == (0, 1)
    assert np.unique(samples[0].truth).tolist() == [0, 1]


def test_a_label_without_a_class_name_is_refused(tmp_path: Path) -> None:
    records = read_index(write_data(tmp_path / "d"), "train")
    with pytest.raises(DatasetError, match="label 3 in the mask, but 2 classes are named"):
        finish(read_samples(records, channels=1, percentiles=(0, 100), n_classes=3))


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path / "d")
    imsave(data / "masks/0.png", np.zeros((30, 40), np.uint8), check_contrast=False)
    with pytest.raises(DatasetError, match=r"mask has shape \(30, 40\), the image \(40, 40\)"):
        read_pair(read_index(data, "train")[0])


def test_axes_of_length_1_that_a_format_drops_make_no_difference(tmp_path: Path) -> None:
    labels = np.arange(40 * 44, dtype=np.uint16).reshape(40, 44)
    imwrite(tmp_path / "m.tif", labels)
    group = zarr.open_group(tmp_path / "i.zarr", mode="w")
    group.create_array("0", data=np.zeros((1, 40, 44), np.uint8))
    levels = [{"path": "0"}]
    group.attrs["ome"] = {"multiscales": [{"axes": ["z", "y", "x"], "datasets": levels}]}
    index = "name,image,mask,split\na,i.zarr,m.tif,train"
    (tmp_path / "index.csv").write_text(index, encoding="utf-8")
    image, found = read_pair(read_index(tmp_path)[0])
    assert image.spatial_shape == found.shape == (1, 40, 44)
    assert np.array_equal(found[0], labels)


def test_a_run_starts_at_another_model_and_its_card_says_so(tmp_path: Path) -> None:
    first = training_run(tmp_path)
    start = finish(train_model(first)).network
    still = replace(OPTIONS, start=str(first.out), steps=1, learning_rate=1e-9)
    second = replace(first, out=tmp_path / "second.safetensors", options=still)
    network = finish(train_model(second)).network
    for name, weight in network.named_parameters():
        torch.testing.assert_close(weight, start.get_parameter(name), atol=1e-3, rtol=1e-3)
    command = read_model(second.out).card.command
    assert command.endswith("--seed 0 --start discs.safetensors --threads 1")
    assert str(tmp_path) not in command


def test_a_start_that_does_not_exist_is_named_before_anything_is_learnt(tmp_path: Path) -> None:
    run = training_run(tmp_path, options=replace(OPTIONS, start="nowhere"))
    with pytest.raises(ModelNotFoundError, match="'nowhere'"):
        finish(train_model(run))
    assert not run.log.exists()
