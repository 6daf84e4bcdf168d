from __future__ import annotations

import pint
import pytest

from napari_rwkvseg.engine.units import LENGTHS, TIMES, is_length, is_time, short_unit


@pytest.mark.parametrize(
    ("unit", "short"),
    [
        ("millimeter", "mm"),
        ("Micron", "µm"),
        ("um", "µm"),
        ("μm", "µm"),  # Greek letter instead of the micro sign
        ("seconds", "s"),
        (None, "pixel"),
        ("", "pixel"),
        ("px", "pixel"),
        (" mm ", "mm"),
        ("furlong", "furlong"),
    ],
)
def test_short_spelling(unit: object, short: str) -> None:
    assert short_unit(unit) == short


def test_pint_units_are_understood() -> None:
    registry = pint.UnitRegistry()
    assert short_unit(registry.micrometer) == "µm"
    assert short_unit(registry.pixel) == "pixel"


@pytest.mark.parametrize("unit", [*LENGTHS, *TIMES])
def test_pint_understands_the_short_spelling(unit: str) -> None:
    meant = pint.UnitRegistry().Unit(unit)
    assert meant.is_compatible_with("meter") == is_length(unit)
    assert meant.is_compatible_with("second") == is_time(unit)
    assert short_unit(unit) == unit
