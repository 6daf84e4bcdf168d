"""Our base network against the image encoders of two foundation models, on one CPU thread.

    python -m benchmarks.foundation [--json FILE] [--rounds 5]

The encoders come from transformers (extra `bench`) in the shape of the published models, with
random weights; nothing is downloaded. SAM (2304.02643) reads 1024², Cellpose-SAM
(10.1101/2025.04.28.651001) tiles of 256² in patches of 8, with attention over all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import nn

from benchmarks.timing import Race, parameters, report
from napari_rwkvseg.network.config import base
from napari_rwkvseg.network.model import build_network

VIT_L = {
    "hidden_size": 1024,
    "mlp_dim": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "global_attn_indexes": list(range(24)),
    "window_size": 0,
    "patch_size": 8,
    "image_size": 256,
}


def _encoder(**shape: Any) -> nn.Module:
    """Return an encoder of the Segment Anything family; ViT-B if no shape is given."""
    transformers = import_module("transformers")
    network: nn.Module = transformers.SamVisionModel(transformers.SamVisionConfig(**shape))
    return network.eval()


ENCODERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "SAM ViT-B": (_encoder, 1024),
    "Cellpose-SAM ViT-L": (partial(_encoder, **VIT_L), 256),
}
"""How each is built, and the side of the image that it reads in pixels."""


def compare(name: str, rounds: int) -> dict[str, Any]:
    """Let our network and an encoder take turns on an image of the encoder's size."""
    build, side = ENCODERS[name]
    encoder, ours, image = build(), build_network(base(3, 2)).eval(), torch.rand(1, 3, side, side)
    with torch.inference_mode():
        race = Race({"ours": lambda: ours(image), "theirs": lambda: encoder(image)}, rounds)
    return {
        "encoder": name,
        "side": side,
        "parameters M": parameters(encoder) / 1e6,
        "CPU s": race.median("theirs"),
        "ours, CPU s": race.median("ours"),
        "theirs / ours": race.ratio("theirs", "ours"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", help="file, or - for the standard output")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    skipped: list[str] = []
    report(_rows(parsed.rounds, skipped), parsed.rounds, parsed.json, skipped)


def _rows(rounds: int, skipped: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a row per encoder, and say which one's package is missing."""
    for name in ENCODERS:
        try:
            yield compare(name, rounds)
        except ImportError as error:
            skipped.append(f"{name}: {error}; it comes with the extra bench")


if __name__ == "__main__":
    main()
