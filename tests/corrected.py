"""Corrected planes and small networks for the tests of retraining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.engine.evidence import REVIEWED, Evidence
from napari_rwkvseg.engine.tuner import FinetuneOptions
from napari_rwkvseg.network.config import NetworkConfig, tiny
from napari_rwkvseg.network.model import SegmentationNetwork, build_network
from napari_rwkvseg.store.corrections import Corrections
from napari_rwkvseg.store.library import data_folder

CONFIG = replace(
    tiny(in_channels=1), widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), stem_width=8, detail_width=4
)
CALM = Augmentation(scale=1.1, free_rotation=0, noise=0, blur=0, invert=0, grey=0)
QUICK = FinetuneOptions(steps=4, batch=2, crop=32, cached=2, augmentation=CALM)
LEARNING = replace(QUICK, steps=24, head_rate=3e-2, rate=3e-2, encoder_rate=1e-2, average=0.7)
SLOPE = 20.0
CPU = torch.device("cpu")


def network(
    border: float = 0.5, slope: float = SLOPE, config: NetworkConfig = CONFIG
) -> SegmentationNetwork:
    """A real network that calls bright what is above the border: its logit, slope * (v - border).

    All else in it is random, the same each time, and not connected; it can learn to take part.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = build_network(config).eval()
    with torch.no_grad():
        for name, part in made.named_modules():
            if name in ("stem.detail.0", "decoder.at_full.0"):
                part.weight.zero_()
                part.weight[0, 0, 1, 1] = 1
            if name in ("decoder.to_full", "decoder.classify"):
                part.weight.zero_()
                part.bias.zero_()
        made.decoder.classify.weight[1, 0] = slope
        made.decoder.classify.bias[1] = -slope * border
    return made


def model(border: float = 0.5, sha256: str = "a" * 64, **card: Any) -> Model:
    """A model that reads one channel and calls bright what is above the border."""
    about = {"name": "small", "title": "Small", "modality": "drawn", "class_names": ("disc",)}
    described = ModelCard(**{**about, "percentiles": (0.0, 100.0), **card})
    config = replace(CONFIG, n_classes=1 + len(described.class_names))
    return Model(network(border, config=config), described, sha256)


def discs(seed: int = 0, size: int = 64, width: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """An image (size, size) of bright discs on a dark ground, 0 to 1, and their mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    mask = np.zeros((size, size), np.uint8)
    for row, column in rng.uniform(0, size, (size // 4, 2)):
        mask |= ((rows - row) ** 2 + (columns - column) ** 2 < (width / 2) ** 2).astype(np.uint8)
    image = 0.1 + 0.8 * mask + rng.normal(0, 0.03, mask.shape)
    return image.clip(0, 1).astype(np.float32), mask


def corrected(seed: int = 0, size: int = 64, level: int = REVIEWED, plane: int = 0) -> Evidence:
    """A plane of discs that somebody has gone through."""
    image, mask = discs(seed, size)
    levels = np.full(mask.shape, level, np.uint8)
    return Evidence(f"image {seed}", plane, image[..., None], mask, levels)


def unproven(parent: str, name: str = "small") -> Model:
    """A model that is right, made before any image was corrected, and not proven better then."""
    made = model(border=0.5, name=name, parent=parent, metrics={"proven_better": 0.0}, peak=0.5)
    Corrections(data_folder() / "corrections" / name).note_made(made.card)
    return made
