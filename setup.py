"""Put the sample images of the checkout into the wheel; all else stands in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = Path(__file__).parent / "sample_data"


class BuildWithSamples(build_py):
    """Build the package, then copy images and licence beside it as napari_rwkvseg/samples."""

    def run(self) -> None:
        """Run the usual build and add the sample files; an editable build reads them in place."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "napari_rwkvseg" / "samples"
        target.mkdir(parents=True, exist_ok=True)
        for file in (*SOURCE.glob("*.tif"), SOURCE / "LICENSE"):
            shutil.copyfile(file, target / file.name)


setup(cmdclass={"build_py": BuildWithSamples})
