"""The command line: `napari-rwkvseg segment | train | finetune | evaluate | models | demo`."""

from napari_rwkvseg.cli.main import main

__all__ = ["main"]
