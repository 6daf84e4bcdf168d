"""The models that a retrain may turn to besides the one in use: one kept aside, and the origin."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.errors import ModelFileError
from napari_rwkvseg.store.library import Library, Version

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Relatives:
    """Models of the line of the one in use.

    Attributes
    ----------
    aside : Model or None
        Made from the one in use in the same project, and kept aside; with its checksum. It is
        tested again on what was corrected since.
    origin : Model or None
        What the one in use was before it learnt anything in this project, unless it is the same.
        Learning begins there anew if it has learnt its few images by heart.
    """

    aside: Model | None = None
    origin: Model | None = None


ALONE = Relatives()


def relatives(library: Library, name: str, sha256: str) -> Relatives:
    """Load what a library holds of the line of a model.

    Parameters
    ----------
    library : Library
        Where to look.
    name : str
        Under which the project learns.
    sha256 : str
        Checksum of the model in use.
    """
    aside, origin = library.aside(name, sha256), library.origin(name, sha256)
    return Relatives(_loaded(library, aside), _loaded(library, origin))


def _loaded(library: Library, version: Version | None) -> Model | None:
    """Return a version; none if it is damaged: the list of versions says so."""
    if version is None:
        return None
    try:
        return library.load_version(version)
    except ModelFileError as error:
        logger.warning("learning does without it: %s", error)
        return None
