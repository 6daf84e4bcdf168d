"""Where a new model goes, and what it is called after its file; imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.own_models import EXTENSION

NAME_LENGTH = 64  # characters, as the library takes them
NAMELESS = "own-model"  # where no letter is left that a file name may have everywhere


def check_model_path(path: Path) -> None:
    """See that a model file can be written there, before it costs any work.

    Raises
    ------
    ModelFileError
        If the name has another ending than ``.safetensors``, the path is a folder, or the folder
        around it does not exist.
    """
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder. Name a model file ({EXTENSION}) in it.")
    if path.suffix != EXTENSION:
        raise ModelFileError(f"{path.name} is no name of a model file. Let it end in {EXTENSION}.")
    if not path.parent.is_dir():
        raise ModelFileError(f"{path.parent} is no folder. Make it, or name another one.")


def model_name(path: Path) -> str:
    """Return the name of a model after its file, as the library takes it: "My Cells" is "my-cells".

    What else the library does not take becomes a hyphen; "own-model" if nothing is left.
    """
    plain = re.sub(r"[^a-z0-9_]+", "-", path.stem.lower()).strip("-_")
    return plain[:NAME_LENGTH] or NAMELESS
