"""What each axis of an array means: read from what is known, otherwise asked, never guessed.

Letters: t time, z slice, n sample or any other, c channel, s RGB(A) samples, y row, x column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from napari_rwkvseg.engine.units import is_length, is_time
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError

MIN_SIDE = 16  # pixels; a network of this kind would see hardly more than padding below that
FEW = 4  # this many planes are more often channels than slices
UNKNOWN = "?"
LEAD_LETTERS = "tzcn"

_NAMES = {
    "t": ("t", "time", "frame", "frames"),
    "z": ("z", "slice", "slices", "depth"),
    "c": ("c", "ch", "channel", "channels"),
    "n": ("n", "sample", "samples", "position", "scene", "i", "q"),
    "y": ("y", "row", "rows"),
    "x": ("x", "column", "columns", "col"),
}
_LETTER = {label: letter for letter, labels in _NAMES.items() for label in labels}


@dataclass(frozen=True)
class Clues:
    """What is known about the axes of an array.

    Attributes
    ----------
    name : str
        Layer or file name, for messages.
    shape : tuple of int
        Whole shape, colours included.
    rgb : bool
        Whether the last axis holds RGB or RGBA.
    labels : tuple of str
        One per axis except colours; unknown labels count as silence. May be empty.
    spacing, units : tuple
        One per axis except colours, as in napari; units in short spelling. Ignored
        if they are fewer or more.
    likely : str
        Letters to offer first when the user is asked; may be empty.
    """

    name: str
    shape: tuple[int, ...]
    rgb: bool = False
    labels: tuple[str, ...] = ()
    spacing: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    likely: str = ""

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape without colours."""
        return self.shape[:-1] if self.rgb else self.shape

    @property
    def silent(self) -> bool:
        """Whether no label says anything."""
        return not any(label.lower() in _LETTER for label in self.labels)


def decide_axes(clues: Clues) -> str:
    """Return one letter per axis.

    Axis labels decide first, then physical units; an axis of length 1 changes nothing.

    Parameters
    ----------
    clues : Clues
        What is known.

    Returns
    -------
    str
        For example ``"tzyx"`` or ``"yxs"``.

    Raises
    ------
    AmbiguousAxesError
        If an axis could mean more than one thing; `choices` holds the valid answers.
    BadImageError
        If no answer would make sense.
    """
    letters = _from_labels(clues)
    if clues.silent and len(clues.grid) > 2 and clues.grid[-1] < MIN_SIDE:
        raise _question(clues, letters, _which_last(clues.grid[-1]))
    if "".join(letters).replace("c", "")[-2:] != "yx" or _repeats(letters):
        order = ", ".join(clues.labels)
        raise _question(clues, _planes_last(clues), f"labels {order} do not end in y, x")
    _use_units(letters, clues)
    if _open_axes(letters, clues):
        raise _question(clues, letters, _which(letters, clues))
    return _completed(letters, clues)


def check_axes(axes: str, clues: Clues) -> str:
    """Return axes that the user chose, in lower case and with colours.

    Parameters
    ----------
    axes : str
        One letter per axis; colours may be left out for an RGB image.
    clues : Clues
        Only name and shape are used.

    Returns
    -------
    str
        One letter per axis of the shape.

    Raises
    ------
    BadImageError
        If the letters do not fit the shape.
    """
    chosen = axes.strip().lower()
    if clues.rgb and len(chosen) == len(clues.grid):
        chosen += "s"
    reason = _fault(chosen, clues.shape)
    if reason:
        raise BadImageError(
            clues.name, f'axes "{axes}" {reason}', "Give one letter per axis, for example zyx"
        )
    return chosen


def check_sides(name: str, axes: str, shape: tuple[int, ...]) -> None:
    """Raise `BadImageError` if a plane is too small to hold anything."""
    side = _shortest_side(axes, shape)
    if side < MIN_SIDE:
        raise BadImageError(
            name,
            f"side {side} below minimum {MIN_SIDE}",
            f"Use an image of at least {MIN_SIDE}×{MIN_SIDE} pixels",
        )


def _from_labels(clues: Clues) -> list[str]:
    """Return a letter for each labelled axis; rows and columns come last unless labelled."""
    if len(clues.labels) != len(clues.grid):
        return _planes_last(clues)
    letters = [_LETTER.get(label.lower(), UNKNOWN) for label in clues.labels]
    for letter in "xy":
        if letter not in letters and UNKNOWN in letters:
            letters[len(letters) - 1 - letters[::-1].index(UNKNOWN)] = letter
    return letters


def _planes_last(clues: Clues) -> list[str]:
    return [UNKNOWN] * (len(clues.grid) - 2) + ["y", "x"]


def _use_units(letters: list[str], clues: Clues) -> None:
    """Name the one open axis measured in time t, the one of its own physical spacing z."""
    if not len(clues.spacing) == len(clues.units) == len(clues.grid):
        return
    known = list(zip(clues.spacing, clues.units, strict=True))
    timed = [i for i, (_, unit) in enumerate(known) if is_time(unit)]
    spaced = [i for i, (step, unit) in enumerate(known) if is_length(unit) and step != 1]
    for letter, candidates in (("t", timed), ("z", spaced)):
        open_ones = [i for i in candidates if letters[i] == UNKNOWN]
        if len(open_ones) == 1 and letter not in letters:
            letters[open_ones[0]] = letter


def _open_axes(letters: list[str], clues: Clues) -> list[int]:
    """Return the axes that still need a meaning: unknown and longer than 1."""
    return [i for i, a in enumerate(letters) if a == UNKNOWN and clues.grid[i] > 1]


def _completed(letters: list[str], clues: Clues) -> str:
    """Give axes of length 1 any letter that is left, and colours theirs."""
    left = iter([letter for letter in "nztc" if letter not in letters])
    named = [next(left) if a == UNKNOWN else a for a in letters]
    return "".join(named) + "s" * clues.rgb


def _which(letters: list[str], clues: Clues) -> str:
    """Return the question about the open axes: ``"axis 0 has 3 planes: Z, T or C?"``."""
    unclear = _open_axes(letters, clues)
    lengths = "×".join(str(clues.grid[i]) for i in unclear)
    if len(unclear) == 1:
        return f"axis {unclear[0]} has {lengths} planes: Z, T or C?"
    axes = ", ".join(map(str, unclear))
    return f"axes {axes} have {lengths} planes: which is Z, T or C?"


def _which_last(entries: int) -> str:
    colours = "RGB or " if entries in (3, 4) else ""
    return f"the last axis has {entries} entries: {colours}channels?"


def _question(clues: Clues, letters: list[str], question: str) -> BadImageError:
    """Return the question with all answers that make sense, the likeliest first."""
    answers = sorted(_answers(letters, clues), key=_oddity)
    if clues.silent and not clues.rgb and clues.grid[-1] < MIN_SIDE:
        answers += _channels_last(clues)
    sensible = [a for a in (clues.likely, *answers) if _makes_sense(a, clues)]
    if not sensible:
        return _senseless(clues)
    return AmbiguousAxesError(clues.name, question, tuple(dict.fromkeys(sensible)))


def _senseless(clues: Clues) -> BadImageError:
    if len(clues.grid) > len(LEAD_LETTERS) + 2:
        return BadImageError(clues.name, f"{len(clues.shape)}-D", "Open at most 6 axes at a time")
    side = min(clues.grid[-2:])
    remedy = f"Use planes of at least {MIN_SIDE}×{MIN_SIDE} pixels, rows and columns last"
    return BadImageError(clues.name, f"side {side} below minimum {MIN_SIDE}", remedy)


def _oddity(axes: str) -> tuple[bool, int]:
    """Return a sort key: usual orders (time, slice, channel) before the others."""
    usual = [LEAD_LETTERS.index(a) for a in axes if a in "tzc"]
    swapped = sum(a > b for i, a in enumerate(usual) for b in usual[i + 1 :])
    return "n" in axes, swapped


def _answers(letters: list[str], clues: Clues) -> Iterator[str]:
    """Yield every way to name the open axes."""
    unclear = _open_axes(letters, clues)
    few = len(unclear) == 1 and clues.grid[unclear[0]] <= FEW
    order = ("cztn" if few else "ztcn") if len(unclear) == 1 else LEAD_LETTERS
    unused = [letter for letter in order if letter not in letters]
    for choice in permutations(unused, len(unclear)):
        named = list(letters)
        for axis, letter in zip(unclear, choice, strict=True):
            named[axis] = letter
        if named.count(UNKNOWN) <= len(set("nztc") - set(named)):
            yield _completed(named, clues)


def _channels_last(clues: Clues) -> Iterator[str]:
    """Yield the ways to read the last axis as channels or as colours."""
    for last in "sc" if clues.shape[-1] in (3, 4) else "c":
        letters = [*[UNKNOWN] * (len(clues.shape) - 3), "y", "x", last]
        yield from _answers(letters, clues)


def _makes_sense(axes: str, clues: Clues) -> bool:
    return not _fault(axes, clues.shape) and _shortest_side(axes, clues.shape) >= MIN_SIDE


def _shortest_side(axes: str, shape: tuple[int, ...]) -> int:
    return min(shape[axes.index("y")], shape[axes.index("x")])


def _repeats(letters: list[str]) -> bool:
    named = [letter for letter in letters if letter != UNKNOWN]
    return len(set(named)) < len(named)


def _fault(axes: str, shape: tuple[int, ...]) -> str:
    """Return why these axes do not fit the shape; empty if they do."""
    if len(axes) != len(shape):
        return f"name {len(axes)} axes, the array has {len(shape)}"
    if set(axes) - set("tzncsyx"):
        return "hold a letter other than t, z, n, c, s, y, x"
    if _repeats(list(axes)):
        return "name an axis twice"
    if not axes.replace("c", "").removesuffix("s").endswith("yx"):
        return "must end in y, x (channels apart)"
    if "s" in axes:
        return _fault_of_colours(axes, shape)
    return ""


def _fault_of_colours(axes: str, shape: tuple[int, ...]) -> str:
    if "c" in axes:
        return "hold both channels and colours"
    if not axes.endswith("s") or shape[-1] not in (3, 4):
        return "need 3 or 4 colours as last axis"
    return ""
