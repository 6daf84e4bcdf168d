"""The command line: `napari-rwkvseg segment | evaluate | train | models | demo`."""

from napari_rwkvseg.cli.main import main

__all__ = ["main"]
