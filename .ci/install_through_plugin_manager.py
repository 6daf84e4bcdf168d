"""What a user of napari does who does not have the plugin yet, in an environment made for it.

    python .ci/install_through_plugin_manager.py     (needs a display and xdotool)

Builds the wheel, makes a fresh environment with napari in a temporary folder, and plays
plugin_manager_session.py in there: install, open the sample and the dock, segment, no restart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SESSION = ROOT / ".ci" / "plugin_manager_session.py"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
OUT = ROOT / "demo-output"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def make_environment(folder: Path) -> Path:
    """Make an environment with napari and its plugin manager; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    napari = f"napari[{os.environ.get('QT_API', 'pyqt5')}]"
    wanted = [napari, "napari-plugin-manager", "--constraint", str(CONSTRAINTS)]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def main() -> int:
    """Run the session; return its exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        python = make_environment(folder / "environment")
        # the plugin manager asks pip for what the plugin needs: the tested versions
        environment = os.environ | {"PIP_CONSTRAINT": str(CONSTRAINTS)}
        command = [str(python), str(SESSION), str(wheel), str(OUT)]
        return subprocess.run(command, env=environment, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
