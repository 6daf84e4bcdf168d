"""Which scan orders the heads of each encoder level use: data, kept in the model file and shown.

Shallow levels see fine grids, where nearby cells matter most: most of their heads scan windows.
Deep levels see coarse grids: their heads scan all of it, each in a direction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from napari_rwkvseg.scan.blocks import block_sequences, check_size, two_level_order
from napari_rwkvseg.scan.orders import IndexArray, check_kind, scan_order

Extent = Literal["global", "window"]

WINDOW = 8
"""Side of a local window in cells: 64 tokens, at most one chunk of the operator."""

_NAMES = {
    "row": "row snake",
    "column": "column snake",
    "diagonal": "diagonal snake",
    "antidiagonal": "anti-diagonal snake",
    "hilbert": "Hilbert",
    "spiral": "spiral",
    "raster": "raster",
}

_DIRECTIONS = {
    "row": "along the rows, every other one backwards",
    "column": "along the columns, every other one backwards",
    "diagonal": "along the falling diagonals, every other one backwards",
    "antidiagonal": "along the rising diagonals, every other one backwards",
    "hilbert": "nested turns that keep neighbours together",
    "spiral": "clockwise from the border to the middle",
    "raster": "along the rows, all from left to right",
}


@dataclass(frozen=True)
class HeadScan:
    """The scan of one head: its order, and whether it crosses the whole grid or stays in windows.

    Attributes
    ----------
    order : str
        One of `ORDER_KINDS`; with `outer`, the order inside each block.
    extent : {"global", "window"}
        One sequence over the whole grid, or one per window.
    size : int
        Side of a window, or of a block of a two-level order, in cells. Unused otherwise.
    outer : str, optional
        Order of the blocks of a two-level order. Only with a global extent.

    Raises
    ------
    ValueError
        If an order or the extent is unknown, or the parts do not fit together.
    """

    order: str
    extent: Extent
    size: int = WINDOW
    outer: str | None = None

    def __post_init__(self) -> None:
        check_kind(self.order)
        if self.extent not in ("global", "window"):
            raise ValueError(f"unknown extent {self.extent!r}, choose one of global, window")
        # from JSON: True is an int to Python, 8.0 would fail only when a grid is cut
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise ValueError(f"size must be a whole number of cells, got {self.size!r}")
        check_size(self.size)
        if self.outer is not None:
            self._check_outer(self.outer)

    def _check_outer(self, outer: str) -> None:
        check_kind(outer)
        if self.extent == "window":
            raise ValueError(f"windows are scanned one by one: outer order {outer!r} has no use")

    def sequences(self, height: int, width: int) -> tuple[IndexArray, ...]:
        """Return what the head scans on a grid.

        Parameters
        ----------
        height, width : int
            Size of the grid in cells, at least 1.

        Returns
        -------
        tuple of ndarray of int64, read-only
            Flat row-major indices in visiting order: one array of height * width cells if global,
            else one per window. Together they visit each cell once.

        Raises
        ------
        ValueError
            If the grid is empty.
        """
        if self.extent == "window":
            return block_sequences(self.order, height, width, self.size)
        if self.outer is not None:
            return (two_level_order(self.outer, self.order, height, width, self.size),)
        return (scan_order(self.order, height, width),)

    def describe(self) -> str:
        """Return the scan in words, such as ``"row snake, global"``."""
        square = f"{self.size}×{self.size}"
        name = _NAMES[self.order]
        if self.extent == "window":
            return f"{name} in {square} windows"
        if self.outer is not None:
            return f"{name} in {square} blocks, blocks by {_NAMES[self.outer]}, global"
        return f"{name}, global"

    def direction(self) -> str:
        """Return the way the order runs, as ``"clockwise from the border to the middle"``."""
        return _DIRECTIONS[self.order]


@dataclass(frozen=True)
class LevelScan:
    """The scans of the heads of one encoder level.

    Attributes
    ----------
    heads : tuple of HeadScan
        One per head, at least one.

    Raises
    ------
    ValueError
        If there is no head.
    """

    heads: tuple[HeadScan, ...]

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("a level needs at least one head, got none")


@dataclass(frozen=True)
class Schedule:
    """The scans of all encoder levels, finest grid first.

    Attributes
    ----------
    levels : tuple of LevelScan
        One per encoder level, at least one.

    Raises
    ------
    ValueError
        If there is no level.
    """

    levels: tuple[LevelScan, ...]

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("a schedule needs at least one level, got none")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values: ``{"levels": [{"heads": [{"order": ...}]}]}``."""
        return {
            "levels": [{"heads": [asdict(head) for head in level.heads]} for level in self.levels]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schedule:
        """Build a schedule from JSON values, checking each of them.

        Parameters
        ----------
        values : mapping
            As `to_dict` returns it. The size and the outer order of a head may be left out.

        Raises
        ------
        ValueError
            If an entry is missing, unknown or has no sense.
        """
        levels = _only_list(values, "levels", "a schedule")
        heads = [_only_list(level, "heads", "a level") for level in levels]
        return cls(tuple(LevelScan(tuple(map(_head_from_dict, level))) for level in heads))


def _only_list(values: object, key: str, owner: str) -> list[Any]:
    """Return the list that is the one entry of a JSON object."""
    if not isinstance(values, Mapping) or set(values) != {key}:
        raise ValueError(f"{owner} must have the one entry {key!r}, got {values!r}")
    entry = values[key]
    if not isinstance(entry, list):
        raise ValueError(f"the entry {key!r} of {owner} must be a list, got {entry!r}")
    return entry


def _head_from_dict(values: object) -> HeadScan:
    if not isinstance(values, Mapping):
        raise ValueError(f"a head must be an object with named entries, got {values!r}")
    known = {field.name for field in fields(HeadScan)}
    if not {"order", "extent"} <= set(values) <= known:
        raise ValueError(
            f"a head has order and extent, maybe size and outer, got {', '.join(map(str, values))}"
        )
    return HeadScan(**values)


def dynamic_schedule(heads: int = 4) -> Schedule:
    """Return the schedule whose orders and extents change with the encoder level.

    Parameters
    ----------
    heads : int
        Heads per level. The lists below are repeated if there are more than four.

    Returns
    -------
    Schedule
        Four levels, grids of 1/4, 1/8, 1/16 and 1/32 of the image. The first two have windows in
        several directions and one global head, their last. The others have global orders only.

    Raises
    ------
    ValueError
        If `heads` is less than 1.
    """
    _check_heads(heads)
    # No order stands beside its own reverse: Bi-WKV looks both ways, reading backwards changes
    # nothing. Zig-RiR alternates its orders alike on all levels; here each level has its own.
    shallow = [
        (_windows("row", "column", "diagonal"), HeadScan("row", "global", outer="hilbert")),
        (_windows("column", "row", "antidiagonal"), HeadScan("hilbert", "global")),
    ]
    # A window would span 128 or 256 pixels here: heads differ in direction, not in extent.
    deep = [
        _global("row", "column", "hilbert", "diagonal"),
        _global("row", "column", "diagonal", "antidiagonal"),
    ]
    # with few heads the windows go first: a level that is blind to the far side is of no use
    levels = [(*_repeat(windows, heads - 1), far) for windows, far in shallow]
    levels += [_repeat(scans, heads) for scans in deep]
    return Schedule(tuple(map(LevelScan, levels)))


def global_schedule(heads: int = 4) -> Schedule:
    """Return the dynamic schedule without local windows: same orders, all over the whole grid.

    Parameters
    ----------
    heads : int
        Heads per level.

    Raises
    ------
    ValueError
        If `heads` is less than 1.
    """
    levels = dynamic_schedule(heads).levels
    return Schedule(
        tuple(
            LevelScan(tuple(replace(head, extent="global") for head in level.heads))
            for level in levels
        )
    )


def uniform_schedule(order: str = "row", heads: int = 4) -> Schedule:
    """Return four levels whose heads all scan the whole grid in the same order.

    Parameters
    ----------
    order : str
        One of `ORDER_KINDS`.
    heads : int
        Heads per level.

    Raises
    ------
    ValueError
        If the order is unknown or `heads` is less than 1.
    """
    _check_heads(heads)
    return Schedule((LevelScan(_repeat(_global(order), heads)),) * 4)


def _check_heads(heads: int) -> None:
    if heads < 1:
        raise ValueError(f"a level needs at least one head, got {heads}")


def _windows(*orders: str) -> tuple[HeadScan, ...]:
    return tuple(HeadScan(order, "window") for order in orders)


def _global(*orders: str) -> tuple[HeadScan, ...]:
    return tuple(HeadScan(order, "global") for order in orders)


def _repeat(scans: Sequence[HeadScan], count: int) -> tuple[HeadScan, ...]:
    return tuple(scans[i % len(scans)] for i in range(count))
