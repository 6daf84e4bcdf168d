"""Errors a user may see: one sentence that names the thing, the reason and the remedy."""

from __future__ import annotations

from collections.abc import Sequence


class RwkvSegError(Exception):
    """Base of every error whose text is written for the person at the screen."""


class BadImageError(RwkvSegError):
    """An image (layer or file) that cannot be segmented as it is.

    Parameters
    ----------
    name : str
        Layer or file name, as the user knows it.
    reason : str
        What is wrong, with the value.
    remedy : str
        What to do about it.
    """

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        stop = "" if reason.endswith("?") else "."
        super().__init__(f"{name}: {reason}{stop} {remedy}.")
        self.name = name
        self.reason = reason
        self.remedy = remedy


class AmbiguousAxesError(BadImageError):
    """The meaning of an axis cannot be read from the image: the user has to choose.

    Parameters
    ----------
    name : str
        Layer or file name.
    question : str
        What is unclear, for example ``"axis 0 has 3 planes: Z, T or C?"``.
    choices : sequence of str
        Valid values for `axes`, the likeliest first, for example ``("zyx", "tyx", "cyx")``.
    """

    def __init__(self, name: str, question: str, choices: Sequence[str]) -> None:
        super().__init__(name, question, "Choose under Axes (--axes on the command line)")
        self.question = question
        self.choices = tuple(choices)


class ModelFileError(RwkvSegError):
    """A model file that is damaged, hostile, too new or does not fit."""


class ModelNotFoundError(RwkvSegError):
    """No model of that name in the bundled or the user's library."""


class JournalError(RwkvSegError):
    """Autosaved corrections that cannot be read, restored or removed."""
