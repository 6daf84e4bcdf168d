"""How to train: every number of a run, in one frozen object that a recipe can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.losses import LossOptions
from napari_rwkvseg.network.config import SIZES, NetworkConfig

PARTS = {"augmentation": Augmentation, "loss": LossOptions}
CALM = 0.4  # of what views differ while a network settles
AT_LEAST_ONE = ("steps", "batch", "crop", "validate_every")


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes
    ----------
    size : str
        ``"tiny"`` or ``"base"``.
    network : mapping of str to value
        Entries of `NetworkConfig` that differ from those of the size, such as ``shrink``.
    start : str
        Name of the model whose weights are taken over where they fit; empty for random ones.
    steps, batch, crop : int
        Optimiser steps, views per step, side of a view in pixels.
    seed : int
        Of weights and views.
    learning_rate, weight_decay : float
        Of AdamW, at the top of the schedule: linear warm-up, then a cosine to zero.
    warmup, validate_every : int
        Steps.
    empty : float
        How often images without foreground are drawn, relative to the others; above 0.
    settle : int
        Steps after these that begin at the best average, with half of the learning rate and
        views nearer to the images: what a network had to learn of exposures that no image has, it
        may forget then.
    average : float
        Share of the old in the moving average of the weights.
    augmentation : Augmentation
        How far views differ.
    loss : LossOptions
        What is minimised besides cross-entropy and Dice.

    Raises
    ------
    ValueError
        If the size is unknown, a count is below 1, or an entry of the network does not exist.
    """

    size: str = "base"
    network: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    steps: int = 5000
    batch: int = 8
    crop: int = 192
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 100
    validate_every: int = 250
    empty: float = 1.0
    settle: int = 0
    average: float = 0.998
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossOptions = field(default_factory=LossOptions)

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"unknown size {self.size!r}, choose one of {', '.join(SIZES)}")
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.settle < 0:
            raise ValueError(f"settle must not be below 0, got {self.settle}")
        if self.empty <= 0:
            raise ValueError(f"empty must be above 0, got {self.empty}")
        self.config(3, 2)

    @property
    def total(self) -> int:
        """All steps."""
        return self.steps + self.settle

    def settles(self, step: int) -> bool:
        """Return whether a network settles at a step."""
        return self.settle > 0 and step >= self.steps

    def since(self, step: int) -> int:
        """Return how many steps of its schedule, the first or the second, came before a step."""
        return step - self.steps if self.settles(step) else step

    def views(self, step: int) -> Augmentation:
        """Return how far the views of a step differ."""
        return self.augmentation.calmer(CALM) if self.settles(step) else self.augmentation

    def config(self, in_channels: int, n_classes: int) -> NetworkConfig:
        """Return the network to train, for images and classes of some data."""
        size = SIZES[self.size](in_channels, n_classes)
        return NetworkConfig.from_dict({**size.to_dict(), **self.network})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainOptions:
        """Build options from JSON values; what is left out keeps its default.

        Raises
        ------
        ValueError
            If an entry is unknown or does not fit.
        """
        known = dict(values)
        _check_known("training", known, cls)
        for name, part in PARTS.items():
            if name in known:
                _check_known(name, known[name], part)
                known[name] = part(**known[name])
        return cls(**known)


def _check_known(what: str, values: Mapping[str, Any], owner: type[Any]) -> None:
    unknown = set(values) - {entry.name for entry in fields(owner)}
    if unknown:
        raise ValueError(f"unknown entries in {what}: {', '.join(sorted(unknown))}")
