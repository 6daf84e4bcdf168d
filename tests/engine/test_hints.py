from __future__ import annotations

from dataclasses import replace

import pytest

from napari_rwkvseg.engine.hints import NO_HINTS, SourceHints
from napari_rwkvseg.errors import BadImageError

PIXELS = ((1.0, 1.0), ("pixel", "pixel"))


def warnings(hints: SourceHints) -> list[str]:
    hints.refuse("cells.tif")
    return list(hints.warnings(*PIXELS))


def test_nothing_known_is_nothing_said() -> None:
    assert warnings(NO_HINTS) == []


def test_complete_files_are_not_mentioned() -> None:
    assert warnings(SourceHints(frames=(5, 5), series=(3, 3))) == []


def test_everything_is_said_in_order_the_free_notes_last() -> None:
    hints = SourceHints(palette=True, miniswhite=True, monochrome1=True, notes=("cut off.",))
    assert [note.split(":")[0] for note in warnings(hints)] == [
        "palette ignored",
        "stored inverted (MINISWHITE)",
        "MONOCHROME1",
        "cut off.",
    ]


@pytest.mark.parametrize(
    ("units", "text"),
    [(("mm", "millimeter"), "2×0.5 mm."), (("mm", "µm"), "2×0.5."), ((), "2×0.5.")],
)
def test_spacing_names_its_unit_if_there_is_one(units: tuple[str, ...], text: str) -> None:
    hints = SourceHints(spacing=(2, 0.5), units=units)
    assert warnings(hints) == [f"spacing in file, not in layer: {text}"]


def test_spacing_is_silent_once_the_layer_has_any() -> None:
    hints = SourceHints(spacing=(2, 0.5), units=("mm", "mm"))
    assert list(hints.warnings((2.0, 1.0), ("pixel", "pixel"))) == []
    assert list(hints.warnings((1.0, 1.0), ("mm", "mm"))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cmyk": True}, "cells.tif: CMYK. Convert to RGB."),
        ({"frames": (1, 2)}, "cells.tif: 1 of 2 frames read. "),
    ],
)
def test_what_the_array_cannot_stand_for_is_refused(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(BadImageError) as error:
        replace(NO_HINTS, **change).refuse("cells.tif")  # type: ignore[arg-type]
    assert str(error.value).startswith(message)
