"""`scan-order` draws every level of a model without a display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_rwkvseg.cli import main
from napari_rwkvseg.cli.scan_order import chosen_plane
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.errors import BadImageError
from tests.cli.conftest import write_image


def test_pictures_and_orders_of_all_levels_are_written(
    model_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_rwkvseg.store.scan_report.save_scan", lambda path, *_: path.touch())
    image = write_image(tmp_path / "cells.tif")
    out = tmp_path / "figures"
    arguments = ["--model", str(model_file), "--image", str(image), "--out", str(out)]
    assert main(["scan-order", *arguments]) == 0
    named = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert named[0] == out / "overview.png"
    assert set(named) == set(out.iterdir())
    assert len(named) == 2 + 2 * 7 * 4


def test_an_image_that_is_not_there_is_named(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(model_file), "--image", str(tmp_path / "no.tif")]
    assert main(["scan-order", *arguments, "--out", str(tmp_path)]) == 1
    assert "no.tif" in capsys.readouterr().err


def test_of_a_stack_the_middle_plane_is_drawn_unless_one_is_chosen() -> None:
    stack = interpret(np.zeros((5, 40, 40)), name="stack", axes="zyx")
    assert chosen_plane(stack, None) == (2,)
    assert chosen_plane(stack, [4]) == (4,)
    assert chosen_plane(interpret(np.zeros((40, 40)), name="flat"), None) == ()


@pytest.mark.parametrize("wanted", [[5], [-1], [1, 1]])
def test_planes_that_are_not_there_are_refused(wanted: list[int]) -> None:
    stack = interpret(np.zeros((5, 40, 40)), name="stack", axes="zyx")
    with pytest.raises(BadImageError, match="Valid for --plane: 0 to 4"):
        chosen_plane(stack, wanted)
