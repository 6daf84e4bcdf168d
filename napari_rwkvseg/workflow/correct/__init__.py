"""Correcting and retraining behind their tab: evidence, versions, verdicts, without Qt."""

from napari_rwkvseg.workflow.correct.context import CorrectRunners, Suggest, Suggestion
from napari_rwkvseg.workflow.correct.correcting import Correcting
from napari_rwkvseg.workflow.correct.material import BACKGROUND
from napari_rwkvseg.workflow.correct.state import (
    CorrectState,
    Curves,
    Difference,
    Part,
    Report,
    Standing,
)

__all__ = [
    "BACKGROUND",
    "CorrectRunners",
    "CorrectState",
    "Correcting",
    "Curves",
    "Difference",
    "Part",
    "Report",
    "Standing",
    "Suggest",
    "Suggestion",
]
