"""What people set on napari's Preferences page."""

from __future__ import annotations

from napari.settings import get_plugin_settings

from napari_rwkvseg.workflow import Compute

PLUGIN = "napari-rwkvseg"


def compute_settings() -> Compute:
    """Return device, tile size and threads; the defaults where napari does not know the plugin."""
    try:
        chosen = get_plugin_settings(PLUGIN).rwkv_compute
    except (KeyError, AttributeError):
        return Compute()
    return Compute(device=chosen.device, tile=int(chosen.tile), threads=int(chosen.threads))
