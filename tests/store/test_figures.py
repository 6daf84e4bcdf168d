"""Pictures and tables of scans hold what ran."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from skimage.io import imread

from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.gates import GateTable
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, finish
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.network.layer_trace import LayerPlace
from napari_rwkvseg.store.beside import Side, draw_gates, save_beside
from napari_rwkvseg.store.colors import GLOBAL, LOCAL
from napari_rwkvseg.store.figures import (
    draw_scan,
    layer_name,
    overview_rows,
    save_heat,
    save_overview,
    save_scan,
)
from napari_rwkvseg.store.scan_report import save_gates, save_order, write_report
from tests.recording import scanning_model


@pytest.fixture(scope="module")
def found() -> Explanation:
    image = interpret(np.random.default_rng(6).random((50, 70)), name="noise")
    return finish(explain(scanning_model(), image))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_scan_is_drawn_where_its_cells_lie(found: Explanation) -> None:
    axes = Figure().subplots()
    axes.set_xlim(-0.5, 69.5)
    axes.set_ylim(49.5, -0.5)
    drawn = draw_scan(axes, found.path(0, 0))  # 7 × 9 cells of 8 pixels
    assert drawn.get_extent() == [-0.5, 71.5, 55.5, -0.5]
    np.testing.assert_array_equal(drawn.get_array(), found.path(0, 0).rank)
    assert axes.get_xlim() == (-0.5, 69.5)  # clipped to the image
    steps = axes.collections[0].get_segments()
    arrows = found.path(0, 0).arrows()
    assert len(steps) == len(arrows.start)
    np.testing.assert_allclose(steps[0][0], arrows.start[0][::-1] * 8 + 3.5)


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_pictures_are_written_in_both_formats(
    found: Explanation, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"scan{ending}"
    save_scan(path, found, 1, 3)
    if ending == ".png":
        assert imread(path).std() > 10
    else:
        text = path.read_text(encoding="utf-8")
        assert "encoder level 2, block 1, head 4: Hilbert, global" in text
        assert "Not for diagnostic use" in text


def test_no_picture_names_its_image(found: Explanation, tmp_path: Path) -> None:
    private = replace(found, image=replace(found.image, name="DOE^JANE"))
    save_scan(tmp_path / "scan.svg", private, 0, 0)
    save_heat(tmp_path / "look.svg", private, private.look(0, 3, (20, 20)), "level 1")
    save_overview(tmp_path / "overview.svg", private)
    save_beside(tmp_path / "beside.svg", [Side(private, 0, 0), Side(private, 3, 3)])
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "Not for diagnostic use" in text
        assert "JANE" not in text


def test_another_ending_is_refused(found: Explanation, tmp_path: Path) -> None:
    with pytest.raises(RwkvSegError, match=r"^scan\.gif: a picture is saved as \.png or \.svg\. "):
        save_scan(tmp_path / "scan.gif", found, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_looks_sides_and_overviews_are_drawn(found: Explanation, tmp_path: Path) -> None:
    save_heat(tmp_path / "look.png", found, found.look(0, 3, (20, 20)), "level 1")
    save_beside(tmp_path / "beside.png", [Side(found, 0, 0), Side(found, 3, 3)])
    save_overview(tmp_path / "overview.png", found)
    for name in ("look", "beside", "overview"):
        assert imread(tmp_path / f"{name}.png").std() > 10


def test_a_bar_of_gates_is_as_high_as_its_share_of_the_layer() -> None:
    place = LayerPlace("encoder", 0, 0)
    table = GateTable("x", (place,) * 2, (np.array([1.5, 0.5]),) * 2, ((True, False),) * 2)
    axes = Figure().subplots()
    draw_gates(axes, table)
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.6, 0.2, 0.6, 0.2])
    assert [bar.get_y() for bar in axes.patches] == [0, 0, -1, -1]
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches[:2]] == [LOCAL, GLOBAL]


def test_an_overview_has_one_row_per_level_of_each_part(found: Explanation) -> None:
    names = [layer_name(found, layer, block=False) for layer in overview_rows(found)]
    encoder = [f"encoder level {n}" for n in (1, 2, 3, 4)]
    assert names == [*encoder, *(f"decoder level {n}" for n in (4, 3, 2))]


def test_an_order_as_csv_is_what_the_operator_read(found: Explanation, tmp_path: Path) -> None:
    save_order(tmp_path / "order.csv", found, 0, 0)
    rows = rows_of(tmp_path / "order.csv")
    layer = found.trace.layers[0]
    sequences = [s.tolist() for s in layer.sequences(0)]
    for number, sequence in enumerate(sequences):
        mine = [row for row in rows if row["sequence"] == str(number)]
        assert [int(r["row"]) * layer.grid[1] + int(r["column"]) for r in mine] == sequence
        assert [int(row["step"]) for row in mine] == list(range(len(sequence)))
    first = rows[0]
    assert (first["image_row"], first["image_column"], first["in_image"]) == ("3.5", "3.5", "1")
    assert sum(row["in_image"] == "1" for row in rows) == 7 * 9


def test_gates_as_csv_name_every_head_of_every_layer(found: Explanation, tmp_path: Path) -> None:
    save_gates(tmp_path / "gates.csv", found)
    rows = rows_of(tmp_path / "gates.csv")
    assert len(rows) == 4 * len(found.trace.layers)
    assert rows[3]["order"] == "row snake in 8×8 blocks, blocks by Hilbert, global"
    assert rows[3]["gate"] == f"{float(found.trace.layers[0].gate[0, 3]):.4f}"
    assert (rows[0]["extent"], rows[3]["extent"]) == ("window", "global")


def test_a_report_has_an_overview_and_a_picture_and_a_table_per_head(
    found: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        "napari_rwkvseg.store.scan_report.save_scan", lambda path, *_: drawn.append(path.name)
    )
    paths = finish(write_report(found, tmp_path / "new"))
    assert [path.name for path in paths[:4]] == [
        "overview.png",
        "gates.csv",
        "encoder-level1-block1-head1.png",
        "encoder-level1-block1-head1.csv",
    ]
    assert len(paths) == 2 + 2 * 7 * 4
    assert len(drawn) == 7 * 4


def test_a_report_stops_when_asked_to(found: Explanation, tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        finish(write_report(found, tmp_path, token=token))


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, napari_rwkvseg.store.scan_report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
