"""Our network with one part taken away at a time: what each part is worth.

`full` has all parts, as the models that come with the program; `plain decoder` is the default now.
"""

from __future__ import annotations

from dataclasses import replace

from napari_rwkvseg.network.config import NetworkConfig, base, tiny
from napari_rwkvseg.scan.schedule import global_schedule, uniform_schedule

FULL = replace(base(3, 2), decoder="nested")

ABLATIONS: dict[str, NetworkConfig] = {
    "full": FULL,
    "rows only": replace(FULL, schedule=uniform_schedule("row")),
    "no gate": replace(FULL, gate=False),
    "no windows": replace(FULL, schedule=global_schedule()),
    "plain decoder": replace(FULL, decoder="shuffle"),
    # the nested decoder scans, so that without Bi-WKV only the plain one is left: compare with it
    "convolution, plain decoder": replace(FULL, mixer="convolution", decoder="shuffle"),
    "no low-resolution attention": replace(FULL, attention_side=0),
    "no pooled keys": replace(FULL, pooled_keys=(1, 1, 1, 1)),
    "no detail branch": replace(FULL, detail_width=0),
    "tiny": replace(tiny(3, 2), decoder="nested"),
    # polyps are learnt sooner so: compare with "plain decoder"
    "pooled, convolution decoder": replace(FULL, decoder="convolution", downsampling="pooled"),
    # costs what the narrow U-Net costs: is it the resolution of the stem that is lacking?
    "read at twice the size": replace(FULL, enlarge=2),
}
"""Name and configuration."""
