"""The card of a model: what it is for, where it comes from, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_rwkvseg.network.model import SegmentationNetwork

RESEARCH_ONLY = "For research use only. Not for diagnostic use."


@dataclass(frozen=True)
class ModelCard:
    """What people need to know before they trust a model; plain values only, JSON-ready.

    Attributes
    ----------
    name : str
        Short lower-case name used on the command line, for example ``"nuclei"``.
    title : str
        For people: ``"Nuclei in fluorescence and stained tissue"``.
    modality : str
        What kind of image it reads.
    class_names : tuple of str
        Foreground classes in label order; label 1 is the first. Background is not named.
    objects : bool
        Whether separate objects are the natural result (nuclei) rather than classes (organs).
    percentiles : tuple of float
        Lower and upper percentile of the intensity normalisation, in percent.
    object_width : float
        Width of the objects that it has learnt, in pixels of the image, see `object_width` in
        `widths`; 0 if not known.
    frame_side : float
        Where all images show the same scene, whole: the root of the area of those that it has
        learnt, in pixels. Larger ones are brought to that size, see `at_frame` in `scale`. 0 where
        a pixel is a length, as in microscopy, and images are read as they are.
    min_size : int
        Pixels of the smallest object that it should find, from `least_size` in `doubt`; smaller
        ones are left out unless people choose another size. 0 leaves out nothing.
    peak : float
        Probability that its objects reach somewhere, from `least_peak`; others are left out unless
        people want them. 0 leaves out nothing.
    size, data, data_licence, attribution, command : str
        Network size; training data, their licence, whom to credit; the command that trained it.
    seed, steps : int
        Seed and number of optimiser steps.
    metrics : mapping of str to float
        Scores on the validation split, for example ``{"dice_mean": 0.91, "n": 87}``.
    limits : str
        What it is not good at, in words, from looking at its failures.
    parent : str
        SHA-256 of the model this one was fine-tuned from; empty when trained from scratch.
    created : str
        UTC date, ISO 8601.
    notice : str
        The research-use sentence.
    """

    name: str
    title: str
    modality: str
    class_names: tuple[str, ...]
    objects: bool = False
    percentiles: tuple[float, float] = (1.0, 99.8)
    object_width: float = 0.0
    frame_side: float = 0.0
    min_size: int = 0
    peak: float = 0.0
    size: str = ""
    data: str = ""
    data_licence: str = ""
    attribution: str = ""
    command: str = ""
    seed: int = 0
    steps: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    limits: str = ""
    parent: str = ""
    created: str = ""
    notice: str = RESEARCH_ONLY

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Build a card from JSON values; unknown keys raise ``ValueError``."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown entries in the model card: {', '.join(sorted(unknown))}")
        known = dict(values)
        for key in ("class_names", "percentiles"):
            if isinstance(known.get(key), str):  # a tuple of its letters is not what is meant
                raise TypeError(f"{key} must be a list")
            if key in known:
                known[key] = tuple(known[key])
        return cls(**known)


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to predict, with its card.

    Attributes
    ----------
    network : SegmentationNetwork
        In evaluation mode. Reads ``network.config.in_channels`` channels, returns logits of
        ``1 + len(card.class_names)`` classes, background first.
    card : ModelCard
        Provenance and scores.
    sha256 : str
        Checksum of the file it came from; empty for a model that was never saved.
    """

    network: SegmentationNetwork
    card: ModelCard
    sha256: str = ""
