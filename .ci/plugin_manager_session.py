"""Install a wheel through napari's plugin manager, then segment with it, all with the pointer.

    python plugin_manager_session.py WHEEL FOLDER

Runs where napari is installed and the plugin is not; writes FOLDER/plugin-manager.png.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import napari
from pointer import Player, Script, click, open_menu_and_choose, segment, shoot, still
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

PACKAGE = "napari_rwkvseg"
NAME = "RWKV Segmentation"
MASK = "nuclei · mask"
TIMEOUT = 300.0


def session(viewer: Any, wheel: Path, folder: Path) -> Script:
    """Do all that a person does; the last wait is for the mask."""
    window, layers = viewer.window._qt_window, viewer.layers
    yield "the window", window.isVisible
    yield "the window to settle", still(2.0)
    yield from install(window, wheel)
    yield from open_menu_and_choose(window, "File", "Open Sample", NAME, "Nuclei")
    yield "the sample", lambda: "nuclei" in layers
    yield from open_menu_and_choose(window, "Plugins", NAME)
    yield "the dock", lambda: dock_in(window) is not None
    dock = dock_in(window)
    yield from segment(dock, dock.pages["Segment"].run.button, layers, MASK)
    shoot(folder / "plugin-manager.png", window)
    print(f"{int(layers[MASK].data.max())} objects in the mask")


def install(window: Any, wheel: Path) -> Script:
    """Open the plugin manager, install the wheel, close it and its advice to restart."""
    yield from open_menu_and_choose(window, "Plugins", "Install/Uninstall Plugins")
    yield "the plugin manager", lambda: shown("QtPluginDialog") is not None
    dialog: Any = shown("QtPluginDialog")
    yield "the dialog to settle", still(1.0)
    dialog.direct_entry_edit.setText(str(wheel))
    click(dialog.direct_entry_btn)
    yield "the installation to start", dialog.installer.hasJobs
    yield "the installation", lambda: not dialog.installer.hasJobs()
    invalidate_caches()
    if find_spec(PACKAGE) is None:
        raise RuntimeError(dialog.stdout_text.toPlainText())
    yield "the dialog to settle", still(1.0)
    click(dialog.close_btn)
    yield "the advice to restart", lambda: shown("RestartWarningDialog") is not None
    advice = shown("RestartWarningDialog")
    yield "the advice to be drawn", still(0.5)
    click(advice.findChild(QPushButton))
    yield "the dialogs to go", lambda: not advice.isVisible() and not dialog.isVisible()


def shown(kind: str) -> Any:
    """Return the window of this kind that can be seen, if there is one."""
    windows = (w for w in QApplication.topLevelWidgets() if type(w).__name__ == kind)
    return next((w for w in windows if w.isVisible()), None)


def dock_in(window: QWidget) -> Any:
    """Return our dock, if it is there; its class cannot be imported before it is installed."""
    widgets = window.findChildren(QWidget)
    return next((w for w in widgets if type(w).__name__ == "SegmentationDock"), None)


def leave_the_network_alone() -> None:
    """Let the plugin manager find no list of plugins, with a network and without."""
    from napari_plugin_manager import qt_plugin_dialog

    def no_plugins() -> Iterator[Any]:
        yield from ()

    qt_plugin_dialog.iter_napari_plugin_info = no_plugins


def main(wheel: Path, folder: Path) -> int:
    """Play the session; return the exit code."""
    if find_spec(PACKAGE) is not None:
        print(f"{PACKAGE} is installed already: this shows nothing", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    leave_the_network_alone()
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 900)
    player = Player(session(viewer, wheel, folder), TIMEOUT, viewer.close)
    napari.run()
    if player.failure:
        print(f"The session failed: {player.failure}", file=sys.stderr)
        return 1
    print(f"screenshot  {folder / 'plugin-manager.png'}")
    print("installed through the plugin manager, opened and segmented without a restart")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
