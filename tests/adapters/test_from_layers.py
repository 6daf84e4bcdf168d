from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels

from napari_rwkvseg.adapters.from_layers import image_from_layer, is_candidate, pixel_size
from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError


def layer(shape: tuple[int, ...] = (32, 40), **keywords: Any) -> Image:
    return Image(np.zeros(shape, np.uint8), name="cells", **keywords)


def test_spacing_and_units_are_those_of_the_layer() -> None:
    image = image_from_layer(layer(scale=(0.5, 0.25), units=("um", "um")))
    assert (image.spacing, image.units) == ((0.5, 0.25), ("µm", "µm"))
    assert image.name == "cells"


def test_spacing_is_that_of_all_transforms_together() -> None:
    turned = np.array([[0.0, -0.5, 3.0], [0.5, 0.0, 2.0], [0.0, 0.0, 1.0]])
    layer = Image(np.zeros((40, 50)), scale=(2.0, 3.0), affine=turned, units=("um", "um"))
    image = image_from_layer(layer)
    assert image.spacing == (1.0, 1.5)
    assert pixel_size(image) == (1.5, "µm²")


def test_nothing_is_copied() -> None:
    source = layer()
    assert image_from_layer(source).array is source.data


def test_colours_are_no_axis() -> None:
    image = image_from_layer(layer((32, 40, 3), rgb=True))
    assert image.is_rgb
    assert image.spatial_shape == (32, 40)


def test_axis_labels_answer_the_question() -> None:
    assert image_from_layer(layer((5, 32, 40), axis_labels=("z", "y", "x"))).lead_axes == "z"


def test_an_unclear_axis_is_asked_unless_answered() -> None:
    with pytest.raises(AmbiguousAxesError):
        image_from_layer(layer((5, 32, 40)))
    assert image_from_layer(layer((5, 32, 40)), "tyx").lead_axes == "t"


def test_a_pyramid_is_read_at_full_resolution() -> None:
    levels = [np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)]
    image = image_from_layer(Image(levels, multiscale=True, name="big"))
    assert image.spatial_shape == (64, 64)


def test_a_lazy_array_stays_lazy() -> None:
    lazy = da.zeros((64, 64), chunks=32, dtype=np.uint8)
    assert isinstance(image_from_layer(Image(lazy, contrast_limits=(0, 1))).array, da.Array)


def test_labels_come_with_a_remedy() -> None:
    with pytest.raises(BadImageError, match=r"cells: opened as labels.*uint32.*Convert to Image"):
        image_from_layer(Labels(np.zeros((32, 32), np.uint32), name="cells"))


def test_the_file_behind_a_layer_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "inverted.tif"
    tifffile.imwrite(path, np.zeros((32, 40), np.uint8), photometric="miniswhite")
    source = layer()
    source._source = source.source.model_copy(update={"path": str(path)})
    assert any("inverted" in note for note in image_from_layer(source).notes)


def test_a_file_is_looked_at_once_per_layer_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look(path: str, shape: tuple[int, ...]) -> SourceHints:
        looks.append(path)
        return NO_HINTS

    monkeypatch.setattr("napari_rwkvseg.store.formats.peek.peek", look)
    path = tmp_path / "cells.tif"
    path.write_bytes(b"")
    sources = [layer(), layer()]
    for source in (*sources, *sources):
        source._source = source.source.model_copy(update={"path": str(path)})
        image_from_layer(source)
    assert looks == [str(path)] * 2
    os.utime(path, ns=(0, 0))
    image_from_layer(sources[0])
    image_from_layer(sources[0])
    assert looks == [str(path)] * 3


def test_images_and_labels_from_files_are_candidates_our_results_are_not() -> None:
    assert is_candidate(layer())
    assert not is_candidate(layer(metadata={"rwkvseg": {}}))
    painted = Labels(np.zeros((32, 32), int))
    assert not is_candidate(painted)
    painted._source = painted.source.model_copy(update={"path": "ids.tif"})
    assert is_candidate(painted)


@pytest.mark.parametrize(
    ("axes", "spacing", "units", "expected"),
    [
        ("yx", (0.5, 0.5), ("um", "um"), (0.25, "µm²")),
        ("zyx", (2.0, 0.5, 0.5), ("mm", "mm", "mm"), (0.5, "mm³")),
        ("tyx", (9.0, 0.5, 0.5), ("s", "um", "um"), (0.25, "µm²")),
        ("yx", (0.5, 0.5), None, (1.0, "px")),
        ("zyx", (2.0, 0.5, 0.5), ("mm", "um", "um"), (1.0, "px")),
    ],
)
def test_pixels_have_an_area_or_a_volume(
    axes: str,
    spacing: tuple[float, ...],
    units: tuple[str, ...] | None,
    expected: tuple[float, str],
) -> None:
    shape = (5, 32, 40)[-len(axes) :]
    image = interpret(np.zeros(shape), name="a", axes=axes, spacing=spacing, units=units)
    assert pixel_size(image) == expected
