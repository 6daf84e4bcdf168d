"""Correcting and retraining behind their tab: evidence, versions, verdicts, without Qt."""

from napari_rwkvseg.workflow.correct.context import CorrectRunners, Suggest, Suggestion
from napari_rwkvseg.workflow.correct.correcting import Correcting
from napari_rwkvseg.workflow.correct.state import CorrectState, Curves, Part, Report

__all__ = [
    "CorrectRunners",
    "CorrectState",
    "Correcting",
    "Curves",
    "Part",
    "Report",
    "Suggest",
    "Suggestion",
]
