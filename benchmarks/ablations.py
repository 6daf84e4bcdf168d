"""Our network with one part changed at a time: what each part is worth.

`base` is the default. The models that come with the program since before grids were halved by
maxima are the last row.
"""

from __future__ import annotations

from dataclasses import replace

from napari_rwkvseg.network.config import NetworkConfig, base, tiny
from napari_rwkvseg.scan.schedule import global_schedule, uniform_schedule

BASE = base(3, 2)

ABLATIONS: dict[str, NetworkConfig] = {
    "base": BASE,
    "tiny": tiny(3, 2),
    "convolution": replace(BASE, mixer="convolution"),
    "rows only": replace(BASE, schedule=uniform_schedule("row")),
    "no gate": replace(BASE, gate=False),
    "no windows": replace(BASE, schedule=global_schedule()),
    "no low-resolution attention": replace(BASE, attention_side=0),
    "no pooled keys": replace(BASE, pooled_keys=(1, 1, 1, 1)),
    "no detail branch": replace(BASE, detail_width=0),
    "strided, pixel shuffle": replace(BASE, downsampling="strided", decoder="shuffle"),
    "strided, nested decoder": replace(BASE, downsampling="strided", decoder="nested"),
}
"""Name and configuration."""
