"""What napari learns from the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManager, PluginManifest
from pytestqt.qtbot import QtBot

from napari_rwkvseg.widgets.commands import open_models, segment_active
from napari_rwkvseg.widgets.dock import SegmentationDock
from napari_rwkvseg.widgets.preferences import compute_settings
from napari_rwkvseg.workflow import Compute
from tests.widgets.docking import WAIT


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-rwkvseg")


@pytest.fixture
def plugin(manifest: PluginManifest) -> Iterator[None]:
    """Let this process know the plugin, as an installed napari does."""
    manager = PluginManager.instance()
    known = manifest.name in manager
    if not known:
        manager.register(manifest)
    yield
    if not known:
        manager.unregister(manifest.name)


def test_every_command_exists(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_preferences_default_to_those_of_the_engine(manifest: PluginManifest) -> None:
    assert manifest.contributions.configurations is not None
    properties = manifest.contributions.configurations["rwkv_compute"].properties
    defaults = {name: prop.default for name, prop in properties.items()}
    assert Compute(**defaults) == Compute()


def test_preferences_reach_a_run(plugin: None, make_napari_viewer: Any) -> None:
    make_napari_viewer(show=False)
    chosen = get_plugin_settings("napari-rwkvseg").rwkv_compute
    chosen.threads = 3
    try:
        assert compute_settings().threads == 3
    finally:
        chosen.threads = 0


def test_the_menu_opens_the_dock_and_starts_a_run(
    plugin: None, make_napari_viewer_proxy: Any, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(np.full((32, 32), np.nan), name="void", contrast_limits=(0, 1))
    segment_active(viewer)
    dock = next(iter(viewer.window.dock_widgets.values()))
    assert isinstance(dock, SegmentationDock)
    qtbot.waitUntil(lambda: dock.message.text() != "", timeout=WAIT)
    open_models(viewer)
    assert dock.tabs.tabText(dock.tabs.currentIndex()) == "Models"
    assert len(viewer.window.dock_widgets) == 1
