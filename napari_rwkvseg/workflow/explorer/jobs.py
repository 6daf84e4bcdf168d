"""The long work of the explorer, as generators; torch is imported inside, in their thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import Job, Progress
from napari_rwkvseg.engine.quiet import quietly
from napari_rwkvseg.engine.torch_loading import load_torch
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.workflow.explorer.state import Look, Pixel, Shown

if TYPE_CHECKING:
    from napari_rwkvseg.adapters.scan_layers import PlanePlace
    from napari_rwkvseg.adapters.to_layers import LayerTuple
    from napari_rwkvseg.engine.card import Model
    from napari_rwkvseg.engine.explain import Explanation
    from napari_rwkvseg.engine.gates import GateTable
    from napari_rwkvseg.engine.heat import Heat
    from napari_rwkvseg.engine.image import ImageData
    from napari_rwkvseg.engine.intensity import Window
    from napari_rwkvseg.engine.progress import CancelToken
    from napari_rwkvseg.engine.said import Change, Stored
    from napari_rwkvseg.engine.why import Why

FOLDER_LIMIT = 32  # images of a folder whose gates are averaged


@dataclass(frozen=True, eq=False)
class Reading:
    """What is to be read, taken from the state when it was asked for.

    Attributes
    ----------
    image : ImageData
        One channel, or as many as the model reads.
    index : tuple of int
        Which plane.
    geometry : Geometry
        Of its layer.
    load : callable
        Returns the model; called in the job.
    focus : tuple of int or None
        The pixel of interest.
    tile : int
        Side of the tiles of a prediction.
    window : Window or None
        If it was measured before.
    """

    image: ImageData
    index: tuple[int, ...]
    geometry: Geometry
    load: Callable[[], Model]
    focus: Pixel | None
    tile: int
    window: Window | None = None


@dataclass(frozen=True, eq=False)
class Read:
    """What was read in which tiles, where it lies, and the gates."""

    reading: Reading
    explanation: Explanation
    place: PlanePlace
    gates: GateTable
    options: PredictOptions


@dataclass(frozen=True, eq=False)
class Drawn:
    """A head, ready for the viewer: layers, details in words, steps of its longest sequence."""

    shown: Shown
    layers: tuple[LayerTuple, ...]
    details: str
    steps: int


@dataclass(frozen=True, eq=False)
class Looked:
    """What a pixel looked at, through what; for people and as a caption."""

    asked: tuple[Explanation, Look, Shown, Pixel]
    heat: Heat
    answer: str
    caption: str


def read(
    reading: Reading, token: CancelToken, prepare: Callable[[], None] = lambda: None
) -> Job[Read]:
    """Run the model over the plane and record what it scanned; `prepare` for showing it."""
    yield Progress(0, 0, "Loading the model")
    load_torch()
    with quietly():
        prepare()
        from napari_rwkvseg.adapters.scan_layers import PlanePlace
        from napari_rwkvseg.engine.explain import explain
        from napari_rwkvseg.engine.gates import gate_table

        model = reading.load()
    options = PredictOptions.for_tile(reading.tile)
    found = yield from explain(
        model, reading.image, reading.index, reading.focus, options, reading.window, token
    )
    check_scans(found)
    gates = gate_table(found.image.name, found.trace.layers)
    place = PlanePlace(reading.geometry, reading.index)
    grown = options.grown(found.network.config.shrink / model.network.config.shrink)
    return Read(reading, found, place, gates, grown)


def check_scans(found: Explanation) -> None:
    """Raise `RwkvSegError` if a model has no layer that scans."""
    if not found.trace.layers:
        raise RwkvSegError(f'Model "{found.card.name}" does not scan: there is nothing to show.')


def draw(read: Read, shown: Shown) -> Job[Drawn]:
    """Make the layers of a head."""
    yield Progress(0, 1)
    from napari_rwkvseg.adapters.scan_layers import scan_layers

    path = read.explanation.path(shown.layer, shown.head)
    layers = scan_layers(path, read.place)
    return Drawn(shown, layers, _details(read.explanation, shown), path.steps)


def _details(explanation: Explanation, shown: Shown) -> str:
    """Return a head in words: grid, order, direction, reach, and what the picture leaves out."""
    layer = explanation.trace.layers[shown.layer]
    path = explanation.path(shown.layer, shown.head)
    rows, columns = layer.grid
    lines = [
        f"{columns}×{rows} cells of {layer.stride} px; {path.scan.describe()}",
        f"{path.scan.direction()[0].upper()}{path.scan.direction()[1:]}",
        f"Reach: {path.reach.describe(layer.stride, *explanation.pixel_length)}",
    ]
    if layer.pooled > 1:
        lines.append(
            f"Keys and values are averaged over {layer.pooled}×{layer.pooled} tokens, "
            "so the path runs on that coarser grid."
        )
    every = path.arrows().every
    if every > 1:
        lines.append(f"Every {every}th arrow is drawn.")
    if path.cells.overhang:
        lines.append(f"Cells at the border reach {path.cells.overhang} px into the padding.")
    return "\n".join(lines)


def look(read: Read, kind: Look, shown: Shown, pixel: Pixel) -> Job[Looked]:
    """Find out what a pixel looked at."""
    yield Progress(0, 1)
    found = read.explanation
    heat = heat_of(found, kind, shown, pixel)
    answer = f"Row {pixel[0]}, column {pixel[1]}: {heat.text}."
    caption = look_caption(found, kind, shown, pixel)
    return Looked((found, kind, shown, pixel), heat, answer, caption)


def look_caption(explanation: Explanation, kind: Look, shown: Shown, pixel: Pixel) -> str:
    """Return through what a pixel looked, for a figure: with layer and head where they count."""
    place = explanation.trace.layers[shown.layer].place
    block = f"{place.part} level {place.level + 1}, block {place.block + 1}"
    through = {Look.HEAD: f": {block}, head {shown.head + 1}", Look.BLOCK: f": {block}"}
    return f"{kind}{through.get(kind, '')}, pixel {pixel}"


def heat_of(explanation: Explanation, kind: Look, shown: Shown, pixel: Pixel) -> Heat:
    """Return what a pixel looked at, through what was chosen."""
    if kind is Look.NETWORK:
        return explanation.field_heat(pixel)
    if kind is Look.WORDS:
        return explanation.words(word_scan_of(explanation, shown), pixel)
    return explanation.look(shown.layer, shown.head if kind is Look.HEAD else None, pixel)


def word_scan_of(explanation: Explanation, shown: Shown) -> int:
    """Return the nested scan on the level that is shown, else the finest.

    Raises
    ------
    RwkvSegError
        If the decoder of the model has none.
    """
    words = explanation.trace.words
    if not words:
        raise RwkvSegError("The decoder of this model has no nested scan.")
    level = explanation.trace.layers[shown.layer].place.level
    levels = [scan.level for scan in words]
    return levels.index(level) if level in levels else len(levels) - 1


def ask_why(read: Read, change: Change, stored: Stored | None, token: CancelToken) -> Job[Why]:
    """Find out what the network knew of a corrected pixel, and what it said when it was asked."""
    yield Progress(0, 1)
    from napari_rwkvseg.engine.why import why

    place = (*read.reading.index, *change.pixel)
    said = None if stored is None else stored.at(place, token)
    return why(read.explanation, change, said)


def compare_with(
    sources: Sequence[Callable[[], Reading]], name: str, token: CancelToken
) -> Job[GateTable]:
    """Return the mean of the gates for other images, read one after the other."""
    from napari_rwkvseg.engine.gates import mean_table

    if not sources:
        raise RwkvSegError(f"{name}: no image that can be read. Choose another folder.")
    tables = []
    for number, source in enumerate(sources):
        yield Progress(number, len(sources), f"Image {number + 1} of {len(sources)}")
        tables.append((yield from read(source(), token)).gates)
    return mean_table(name, tables)


def folder_sources(
    folder: Path, load: Callable[[], Model], tile: int
) -> tuple[tuple[Callable[[], Reading], ...], str]:
    """Return what to read of a folder: the middle plane of its images, evenly thinned; in words."""
    from napari_rwkvseg.store.formats import IMAGE_SUFFIXES

    files = sorted(p for p in folder.iterdir() if p.name.lower().endswith(tuple(IMAGE_SUFFIXES)))
    thinned = files[:: max(1, -(-len(files) // FOLDER_LIMIT))]
    count = str(len(files)) if len(files) == len(thinned) else f"{len(thinned)} of {len(files)}"
    sources = tuple(partial(_file_reading, path, load, tile) for path in thinned)
    return sources, f"mean of {count} images in {folder.name}"


def _file_reading(path: Path, load: Callable[[], Model], tile: int) -> Reading:
    from napari_rwkvseg.store.formats import read_image

    image = read_image(path)
    index = tuple(side // 2 for side in image.lead_shape)
    return Reading(image, index, Geometry({}), load, None, tile)


def export(write: Callable[[Explanation], object], read: Read, path: Path) -> Job[Path]:
    """Write a picture or a table.

    Raises
    ------
    RwkvSegError
        If that is impossible.
    """
    yield Progress(0, 1, f"Writing {path.name}")
    with telling_why_not(path):
        write(read.explanation)
    return path


@contextmanager
def telling_why_not(path: Path) -> Iterator[None]:
    """Let a file that cannot be written be told in one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise RwkvSegError(
            f"{path.name} could not be written ({reason}). Choose another folder."
        ) from None
