"""Units of axes: one short spelling for each, and which of them are lengths or times."""

from __future__ import annotations

PIXEL = "pixel"
LENGTHS = {
    "m": ("meter", "metre", "meters", "metres"),
    "cm": ("centimeter", "centimetre", "centimeters", "centimetres"),
    "mm": ("millimeter", "millimetre", "millimeters", "millimetres"),
    "µm": (
        "micrometer",
        "micrometre",
        "micrometers",
        "micrometres",
        "micron",
        "microns",
        "um",
        "μm",
    ),
    "nm": ("nanometer", "nanometre", "nanometers", "nanometres"),
    "Å": ("angstrom", "ångström", "angstroms"),
    "inch": ("inches", "in"),
}
TIMES = {
    "h": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "s": ("second", "seconds", "sec"),
    "ms": ("millisecond", "milliseconds", "msec"),
    "µs": ("microsecond", "microseconds", "us", "μs"),
}
_SHORT = {
    spelling: short
    for table in (LENGTHS, TIMES)
    for short, others in table.items()
    for spelling in (short, *others)
}


def short_unit(unit: object) -> str:
    """Return the short spelling of a unit (``"millimeter"`` -> ``"mm"``).

    Parameters
    ----------
    unit : object
        A string, or anything whose ``str`` is one (a pint unit). Empty, None, "px" and
        "dimensionless" are pixels; an unknown unit is kept as it is spelt.

    Returns
    -------
    str
        Understood by pint, and so by napari.
    """
    text = "" if unit is None else str(unit).strip()
    if text.lower() in {"", "px", "pixel", "pixels", "dimensionless"}:
        return PIXEL
    return _SHORT.get(text) or _SHORT.get(text.lower(), text)


def is_length(unit: str) -> bool:
    """Whether a short unit measures a distance."""
    return unit in LENGTHS


def is_time(unit: str) -> bool:
    """Whether a short unit measures a time."""
    return unit in TIMES
