"""Every number of the network, in one frozen object that is stored with the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from napari_rwkvseg.scan.schedule import Schedule, dynamic_schedule

MIXERS = ("wkv", "convolution")
DECODERS = ("nested", "shuffle", "convolution")
DOWNSAMPLINGS = ("strided", "pooled")
LEVELS = 4
FINEST_CELL = 4  # pixels that the stem reads per cell of level 0; every level doubles it
ENLARGEMENTS = (1, 2, 4)


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a `SegmentationNetwork`; each part can be switched off for an ablation.

    Attributes
    ----------
    in_channels, n_classes : int
        Channels read; classes told apart, background included.
    widths, depths : tuple of int
        Channels and blocks of the levels at 1/4, 1/8, 1/16 and 1/32 of the image.
    stem_width, detail_width : int
        Channels at 1/2, and of the full-resolution branch (0: no such branch).
    heads : int
        Groups of channels with a scan order each; divides every width.
    expansion : int
        Hidden channels of the channel mix, as a multiple of the width.
    schedule : Schedule
        Orders and extents of the heads, level by level.
    gate : bool
        Whether the image rescales the heads ("dynamic" at run time).
    pooled_keys : tuple of int
        Per level, the average pooling before keys, values and scan; 1 is none.
    attention_side : int
        Short side of the pooled queries of the low-resolution attention in the deepest level;
        0: no attention.
    mixer : {"wkv", "convolution"}
        What mixes tokens: Bi-WKV, or a depth-wise convolution of the same budget.
    decoder : {"nested", "shuffle", "convolution"}
        Nested recurrence, plain pixel shuffle, or a 3x3 convolution before each doubling.
    downsampling : {"strided", "pooled"}
        How grids are halved from 1/2 on: a strided convolution in the stem and 2x2 cells joined
        between levels, or the maxima of 3x3 convolutions.
    shrink, enlarge : int
        How the image is resampled before the stem, and the logits back after the decoder: averaged
        over blocks of `shrink` pixels, or interpolated to `enlarge` times the size. Objects that
        fill an image need reach more than detail; organs of ten voxels need the opposite. At most
        one is above 1; `enlarge` is a power of two, so that cells keep whole pixels.

    Raises
    ------
    ValueError
        If numbers do not fit together; the message names them.
    """

    in_channels: int = 3
    n_classes: int = 2
    widths: tuple[int, ...] = (32, 64, 128, 128)
    depths: tuple[int, ...] = (2, 2, 3, 1)
    stem_width: int = 24
    detail_width: int = 8
    heads: int = 4
    expansion: int = 2
    schedule: Schedule = field(default_factory=dynamic_schedule)
    gate: bool = True
    pooled_keys: tuple[int, ...] = (2, 1, 1, 1)
    attention_side: int = 16
    mixer: str = "wkv"
    decoder: str = "nested"
    downsampling: str = "strided"
    shrink: int = 1
    enlarge: int = 1

    def __post_init__(self) -> None:
        for name in ("widths", "depths", "pooled_keys"):
            if len(getattr(self, name)) != LEVELS:
                raise ValueError(f"{name} needs {LEVELS} numbers, got {getattr(self, name)}")
        _check_choice("mixer", self.mixer, MIXERS)
        _check_choice("decoder", self.decoder, DECODERS)
        _check_choice("downsampling", self.downsampling, DOWNSAMPLINGS)
        if any(width % self.heads for width in self.widths):
            raise ValueError(f"{self.heads} heads do not divide the widths {self.widths}")
        # A schedule knows nothing of networks, and may come from a file: compare both here.
        if len(self.schedule.levels) != LEVELS:
            raise ValueError(f"the schedule has {len(self.schedule.levels)} levels, not {LEVELS}")
        if any(len(level.heads) != self.heads for level in self.schedule.levels):
            raise ValueError(f"the schedule must name {self.heads} heads on every level")
        # The nested recurrence is a scan: an ablation without scans has to go without it.
        if self.decoder == "nested" and self.mixer != "wkv":
            raise ValueError(f"the nested decoder needs the mixer 'wkv', got {self.mixer!r}")
        self._check_scale()

    def _check_scale(self) -> None:
        fits = self.shrink >= 1 and self.enlarge in ENLARGEMENTS
        if not fits or min(self.shrink, self.enlarge) > 1:
            raise ValueError(
                f"shrink must be at least 1, enlarge one of {ENLARGEMENTS}, and one of them 1; "
                f"got {self.shrink} and {self.enlarge}"
            )

    @property
    def finest_cell(self) -> int:
        """Pixels of the image per cell of the finest level."""
        return FINEST_CELL * self.shrink // self.enlarge

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of the deepest level: sides are padded to a multiple."""
        return self.finest_cell << (LEVELS - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("widths", "depths", "pooled_keys"):
            values[name] = list(values[name])  # JSON has no tuples
        values["schedule"] = self.schedule.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Build a configuration from JSON values.

        Raises
        ------
        ValueError
            If an entry is unknown or does not fit.
        """
        # Entries that are missing take their defaults, so that older files can be read; unknown
        # ones come from a newer version, and leaving them out would build another network.
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown entries in the network: {', '.join(sorted(unknown))}")
        known = dict(values)
        for name in ("widths", "depths", "pooled_keys"):
            if name in known:
                known[name] = tuple(known[name])
        if "schedule" in known:
            known["schedule"] = Schedule.from_dict(known["schedule"])
        return cls(**known)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}, choose one of {', '.join(choices)}")


def base(in_channels: int = 3, n_classes: int = 2) -> NetworkConfig:
    """Return the default size: about 1.3 M parameters.

    Its grids are halved by maxima and doubled by convolutions: so it learns what a polyp is far
    sooner than with strided grids and the nested decoder, which models from before have, and other
    kinds no later, in less time (`benchmarks/RESULTS.md`).
    """
    return NetworkConfig(
        in_channels=in_channels, n_classes=n_classes, decoder="convolution", downsampling="pooled"
    )


def tiny(in_channels: int = 3, n_classes: int = 2) -> NetworkConfig:
    """Return the size for live use: about 0.3 M parameters."""
    return replace(
        base(in_channels, n_classes),
        widths=(16, 32, 64, 64),
        depths=(1, 1, 2, 1),
        stem_width=16,
        detail_width=4,
    )


SIZES: dict[str, Callable[[int, int], NetworkConfig]] = {"tiny": tiny, "base": base}
