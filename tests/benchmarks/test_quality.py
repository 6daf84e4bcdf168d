"""The quality benchmark: equal terms, resumable, and figures that add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from benchmarks import quality, quality_table
from benchmarks.methods import METHODS, RATES, Network, Padded
from benchmarks.quality import KINDS, Kind, parts_of, read_part
from benchmarks.sharing import alone_with
from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.train_options import TrainOptions

CALM = Augmentation(scale=1, free_rotation=0, noise=0, blur=0, grey=0, invert=0)
OPTIONS = TrainOptions(steps=3, batch=2, crop=32, warmup=1, augmentation=CALM)


def squares(seed: int, side: int = 32) -> Sample:
    """A bright square on dark ground."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((side, side), np.uint8)
    top, left = rng.integers(2, side - 14, 2)
    truth[top : top + 12, left : left + 12] = 1
    image = truth[..., None] * 0.7 + rng.normal(0.1, 0.02, (side, side, 3))
    return Sample(str(seed), image.astype(np.float16), truth, str(seed))


class Threshold:
    """A method that learns nothing and is right; it counts how often it was asked to learn."""

    learnt: list[TrainOptions] = []  # noqa: RUF012

    def learn(self, samples: Sequence[Sample], options: TrainOptions) -> None:
        self.learnt.append(options)

    def segment(self, image: NDArray[np.float32]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = image.mean(axis=2) > 0.5
        return found


class Missing(Threshold):
    """Needs a package that is not there."""

    def learn(self, samples: Sequence[Sample], options: TrainOptions) -> None:
        raise ModuleNotFoundError("No module named 'trees'")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of squares, and methods that are quick."""
    folder = tmp_path / "squares"
    folder.mkdir()
    lines = ["name,image,mask,split"]
    for seed, split in enumerate(("train", "train", "val", "val")):
        sample = squares(seed)
        pixels = np.clip(np.asarray(sample.image, np.float32) * 255, 0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"{seed}.tif", pixels, photometric="rgb")
        tifffile.imwrite(folder / f"{seed}m.tif", sample.truth)
        lines.append(f"s{seed},{seed}.tif,{seed}m.tif,{split}")
    (folder / "index.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setitem(KINDS, "nuclei", Kind("squares", augmentation=CALM))
    monkeypatch.setitem(METHODS, "base", Threshold)
    monkeypatch.setitem(METHODS, "tiny", Missing)
    monkeypatch.setattr(Threshold, "learnt", [])
    return tmp_path


def measured(root: Path, *more: str) -> dict[str, Any]:
    threads = torch.get_num_threads()
    out = root / "figures.json"
    fixed = ["--data", str(root), "--json", str(out), "--kinds", "nuclei", "--crop", "32"]
    quality.main([*fixed, *more])
    torch.set_num_threads(threads)
    figures: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return figures


def test_cells_are_scored_image_by_image_and_measured_once(root: Path) -> None:
    figures = measured(root, "--only", "base", "--seeds", "0")
    cell = figures["cells"]["nuclei/base/0"]
    assert (cell["n"], cell["dice"], cell["iou"]) == (2, [1.0, 1.0], [1.0, 1.0])
    assert figures["budget"]["steps"] == 300
    again = measured(root, "--only", "base", "--seeds", "0", "1")
    assert again["cells"]["nuclei/base/0"] == cell
    assert [options.seed for options in Threshold.learnt] == [0, 1]


def test_programs_side_by_side_keep_each_other_s_cells(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    ours, theirs = (quality.Record(path, {"steps": 1}) for _ in range(2))

    def while_others_write() -> dict[str, Any]:
        theirs.fill("cells", "b", lambda: {"n": 2})
        return {"n": 1}

    ours.fill("cells", "a", while_others_write)
    assert json.loads(path.read_text("utf-8"))["cells"] == {"a": {"n": 1}, "b": {"n": 2}}
    theirs.fill("cells", "a", lambda: pytest.fail("measured twice"))


def test_who_writes_figures_has_them_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    order: list[str] = []

    def write() -> None:
        with alone_with(path):
            order.append("second")

    with alone_with(path):
        other = Thread(target=write)
        other.start()
        other.join(timeout=0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_figures_of_another_budget_are_not_mixed(root: Path) -> None:
    measured(root, "--only", "base", "--seeds", "0")
    with pytest.raises(SystemExit, match="holds figures of another budget"):
        measured(root, "--only", "base", "--seeds", "1", "--steps", "5")


def test_cells_of_another_rate_are_not_taken_for_these(root: Path) -> None:
    measured(root, "--only", "base", "--seeds", "0", "--learning-rate", "0.5")
    with pytest.raises(SystemExit, match="nuclei/base/0 was learnt at another rate"):
        measured(root, "--only", "base", "--seeds", "1")
    measured(root, "--only", "tiny", "--seeds", "1")  # of another method they say nothing


def test_each_method_learns_at_its_own_rate_unless_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RATES, "base", 0.02)
    figures = measured(root, "--only", "base", "--seeds", "0")
    assert figures["cells"]["nuclei/base/0"]["learning rate"] == 0.02
    (root / "figures.json").unlink()
    figures = measured(root, "--only", "base", "--seeds", "0", "--learning-rate", "0.5")
    assert figures["cells"]["nuclei/base/0"]["learning rate"] == 0.5
    assert [options.learning_rate for options in Threshold.learnt] == [0.02, 0.5]


def test_what_is_held_back_is_not_learnt_from_and_val_not_looked_at(root: Path) -> None:
    kind = KINDS["nuclei"]
    learnt, scored = parts_of(root, kind, held_back=True)
    assert [[sample.record for sample in part] for part in (learnt, scored)] == [["s1"], ["s0"]]
    plain = parts_of(root, kind, held_back=False)
    assert [[s.record for s in part] for part in plain] == [["s0", "s1"], ["s2", "s3"]]
    assert measured(root, "--only", "base", "--seeds", "0", "--held-back")["budget"]["held_back"]


def test_a_method_whose_package_is_missing_is_left_out_by_name(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = measured(root, "--only", "tiny", "base", "--seeds", "0")
    assert list(figures["cells"]) == ["nuclei/base/0"]
    assert "skipped nuclei/tiny/0: No module named 'trees'" in capsys.readouterr().err


def test_every_network_learns_from_the_same_views(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 2, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image.detach().clone())
            logits: torch.Tensor = self.convolution(image)
            return logits

    for _ in range(2):
        network = Network(lambda: Padded(Small()))
        network.learn([squares(1), squares(2)], OPTIONS)
        assert network.segment(np.zeros((40, 50, 3), np.float32)).shape == (40, 50)
    first, second = seen[:3], seen[4:7]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert seen[3].shape == (1, 3, 64, 64)  # padded for those that need it


def test_a_network_must_learn_first() -> None:
    with pytest.raises(ValueError, match="learn first"):
        METHODS["base"]().segment(np.zeros((32, 32, 3), np.float32))


def test_large_images_are_averaged_and_volumes_thinned(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_part(root, KINDS["nuclei"], "val")
    half = read_part(root, Kind("squares", blocks=2), "val")
    assert half[0].image.shape == (16, 16, 3)
    image = np.asarray(whole[0].image, np.float32)
    assert half[0].image[3, 4] == pytest.approx(image[6:8, 8:10].mean(axis=(0, 1)), abs=1e-3)
    assert abs(int(half[0].truth.sum()) * 4 - int(whole[0].truth.sum())) <= 48
    planes = [Sample(f"v/{n}", np.zeros((4, 4, 3)), np.zeros((4, 4), int), "v") for n in range(9)]
    monkeypatch.setattr(quality, "read_samples", lambda *_: iter(()))
    monkeypatch.setattr(quality, "finish", lambda _: planes)
    kept = read_part(root, Kind("squares", slices=4), "val")
    assert [sample.name for sample in kept] == ["v/2", "v/6"]


def test_the_cost_of_a_network_is_counted() -> None:
    cost = quality.measure_cost(Network(lambda: torch.nn.Conv2d(3, 2, 1)))
    assert cost["parameters"] == 8
    assert cost["GMAC at 256"] == pytest.approx(6 * 256**2 / 1e9, abs=1e-4)
    assert cost["CPU ms at 256"] >= 0


def test_all_ablations_and_peers_are_there() -> None:
    wanted = {"base", "tiny", "rows only", "no gate", "no windows", "convolution"}
    wanted |= {"no pooled keys", "no low-resolution attention", "strided, nested decoder"}
    wanted |= {"U-Net ResNet-18", "UNeXt-like", "SegFormer-B0 (transformers)"}
    assert wanted | {"Zig-RiR-like", "FCN-like", "random forest", "graph cut"} <= set(METHODS)


def cells(**dice: list[float]) -> dict[str, Any]:
    """Methods with the mean Dice of seeds 0, 1 … of one kind."""
    return {
        f"nuclei/{method}/{seed}": {"dice": [value - 0.1, value + 0.1], "iou": [value / 2]}
        for method, values in dice.items()
        for seed, value in enumerate(values)
    }


def test_the_table_gives_means_over_seeds_and_paired_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = {"base": {"parameters": 1_380_000, "GMAC at 256": 0.65, "CPU ms at 256": 51.2}}
    figures = {"cells": cells(base=[0.8, 0.9], forest=[0.7, 0.7]), "costs": costs}
    path = tmp_path / "f.json"
    path.write_text(json.dumps(figures), encoding="utf-8")
    quality_table.main([str(path)])
    dice, iou = capsys.readouterr().out.split("\n\n")
    assert "| base | 0.8500 ± 0.0707 | 0.8500 | – | 1.38 M | 0.65 | 51 |" in dice
    # differences -10 and -20 points: sd 7.07, 12.706 * 7.07 / sqrt(2)
    assert "| forest | 0.7000 ± 0.0000 | 0.7000 | -15.00 ± 63.53 (n = 2) | – | – | – |" in dice
    assert "| base | 0.4250" in iou


def test_files_of_other_kinds_are_joined_and_ours_comes_first() -> None:
    nuclei = {"cells": cells(forest=[0.7], base=[0.8]), "costs": {"base": {"parameters": 1}}}
    polyp = {"cells": {"polyp/base/0": {"dice": [0.6], "iou": [0.5]}}, "costs": {"base": {}}}
    both = quality_table.joined([nuclei, polyp])
    assert both["costs"] == nuclei["costs"]
    _, _, first, second = quality_table.score_table({**both, "costs": {}}, "dice", "base")
    assert first.startswith("| base | 0.8000 | 0.6000 | 0.7000 |")
    assert second.startswith("| forest | 0.7000 | – | – |")


def test_a_seed_that_is_missing_leaves_no_mean_over_the_kinds() -> None:
    figures = {"cells": cells(base=[0.8, 0.6], forest=[0.7]), "costs": {}}
    lines = quality_table.score_table(figures, "dice", "base")
    assert lines[3].startswith("| forest | 0.7000 | – | – |")


def test_a_kind_that_is_missing_leaves_a_gap() -> None:
    figures = {"cells": cells(base=[0.8]), "costs": {}}
    figures["cells"]["polyp/other/0"] = {"dice": [0.5], "iou": [0.4]}
    lines = quality_table.score_table(figures, "dice", "base")
    assert lines[2].startswith("| base | 0.8000 | – | – | – |")
    assert lines[3].startswith("| other | – | 0.5000 | – | – |")
