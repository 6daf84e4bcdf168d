"""What a file says beyond its array: clues for a question, warnings, reasons to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_rwkvseg.engine.units import PIXEL, short_unit
from napari_rwkvseg.errors import BadImageError


@dataclass(frozen=True)
class SourceHints:
    """What the file behind an image says that the array does not.

    Attributes
    ----------
    axes : str
        Letters as stored in the file: offered first when the axes are asked for.
    palette, miniswhite, monochrome1, cmyk : bool
        Colour interpretations that the array does not show.
    frames, series : tuple of int
        (read, in the file); equal when nothing is missing.
    spacing, units : tuple
        Step along each axis except colours as stored in the file, with units; empty if not stored.
    notes : tuple of str
        Anything else the user should see, full sentences.
    """

    axes: str = ""
    palette: bool = False
    miniswhite: bool = False
    monochrome1: bool = False
    cmyk: bool = False
    frames: tuple[int, int] = (1, 1)
    series: tuple[int, int] = (1, 1)
    spacing: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def refuse(self, name: str) -> None:
        """Raise `BadImageError` if the array cannot stand for the file `name`."""
        if self.cmyk:
            raise BadImageError(name, "CMYK", "Convert to RGB")
        read, stored = self.frames
        if read < stored:
            raise BadImageError(
                name, f"{read} of {stored} frames read", "Open the file with a reader of all frames"
            )

    def warnings(self, spacing: tuple[float, ...], units: tuple[str, ...]) -> Iterator[str]:
        """Yield what the user should see.

        Parameters
        ----------
        spacing, units : tuple
            Of the image as it was opened, without channels.
        """
        if self.palette:
            yield "palette ignored: the raw indices are read as intensities."
        if self.miniswhite:
            yield "stored inverted (MINISWHITE): bright and dark are exchanged."
        if self.monochrome1:
            yield "MONOCHROME1: bright and dark are exchanged."
        shown, stored = self.series
        if shown < stored:
            yield f"{shown} of {stored} series shown."
        if self.spacing and set(units) == {PIXEL} and set(spacing) == {1.0}:
            yield f"spacing in file, not in layer: {self._steps()}."
        yield from self.notes

    def _steps(self) -> str:
        steps = "×".join(f"{step:.3g}" for step in self.spacing)
        units = sorted({short_unit(unit) for unit in self.units} - {PIXEL})
        return f"{steps} {units[0]}" if len(units) == 1 else steps


NO_HINTS = SourceHints()
