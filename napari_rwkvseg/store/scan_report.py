"""Everything about the scans of a model on one image, as files: pictures, orders, gates."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from napari_rwkvseg.engine.explain import Explanation
from napari_rwkvseg.engine.gates import gate_table
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.store.atomic import write_atomic
from napari_rwkvseg.store.figures import overview_rows, save_overview, save_scan

ORDER_COLUMNS = ("sequence", "step", "row", "column", "image_row", "image_column", "in_image")
GATE_COLUMNS = ("part", "level", "block", "head", "order", "extent", "gate", "half_length_tokens")


def write_report(
    explanation: Explanation, folder: Path, ending: str = ".png", token: CancelToken | None = None
) -> Job[tuple[Path, ...]]:
    """Write an overview, a picture and a table per head of each level, and the gates.

    Parameters
    ----------
    explanation : Explanation
        What the model did.
    folder : Path
        Created if need be; files of the same names are replaced.
    ending : str
        ".png" or ".svg".
    token : CancelToken, optional
        Polled before each file.

    Returns
    -------
    tuple of Path
        All files written, the overview first.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    token = token or CancelToken()
    folder.mkdir(parents=True, exist_ok=True)
    overview, gates = folder / f"overview{ending}", folder / "gates.csv"
    save_overview(overview, explanation)
    save_gates(gates, explanation)
    written = [overview, gates]
    heads = len(explanation.trace.layers[0].heads)
    jobs = [(layer, head) for layer in overview_rows(explanation) for head in range(heads)]
    for number, (layer, head) in enumerate(jobs):
        token.raise_if_cancelled()
        yield Progress(number, len(jobs), "Drawing")
        stem = file_stem(explanation, layer, head)
        picture, table = folder / f"{stem}{ending}", folder / f"{stem}.csv"
        save_scan(picture, explanation, layer, head)
        save_order(table, explanation, layer, head)
        written += [picture, table]
    return tuple(written)


def file_stem(explanation: Explanation, layer: int, head: int) -> str:
    """Return like "encoder-level1-block1-head3"."""
    place = explanation.trace.layers[layer].place
    return f"{place.part}-level{place.level + 1}-block{place.block + 1}-head{head + 1}"


def save_order(path: Path, explanation: Explanation, layer: int, head: int) -> None:
    """Write a scan order as CSV, one line per token in the order of the scan.

    Rows and columns count cells from 0; ``image_row`` and ``image_column`` are the centre of the
    cell in pixels of the image; ``in_image`` is 0 for cells that are padding only.
    """
    scan = explanation.path(layer, head)
    lines: list[tuple[object, ...]] = [ORDER_COLUMNS]
    for number, sequence in enumerate(scan.sequences):
        cells = scan.cells.positions(sequence).astype(int)
        centres = cells * scan.cells.stride + np.array(scan.cells.origin)
        shown = scan.cells.visible(sequence)
        lines += [
            (number, step, *cell, *centre, int(inside))
            for step, (cell, centre, inside) in enumerate(
                zip(cells.tolist(), centres.tolist(), shown.tolist(), strict=True)
            )
        ]
    _save_table(path, lines)


def save_gates(path: Path, explanation: Explanation) -> None:
    """Write order, extent, gate and reach of all heads of all layers as CSV."""
    layers = explanation.trace.layers
    table = gate_table(explanation.image.name, layers)
    lines: list[tuple[object, ...]] = [GATE_COLUMNS]
    for layer, weights in zip(layers, table.weights, strict=True):
        place = layer.place
        where = (place.part, place.level + 1, place.block + 1)
        lines += [
            (
                *where,
                head + 1,
                scan.describe(),
                scan.extent,
                f"{weights[head]:.4f}",
                f"{float(np.median(layer.half_length(head).cpu().numpy())):.4g}",
            )
            for head, scan in enumerate(layer.heads)
        ]
    _save_table(path, lines)


def _save_table(path: Path, lines: list[tuple[object, ...]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(lines)
    write_atomic(path, buffer.getvalue().encode())
