"""The workflow behind the widgets: state and what one can ask for, without Qt."""

from napari_rwkvseg.workflow.choices import (
    Compute,
    Extras,
    Message,
    Reading,
    Region,
    RunProgress,
    Tone,
)
from napari_rwkvseg.workflow.runner import JobResult, Lanes, Runner
from napari_rwkvseg.workflow.state import State
from napari_rwkvseg.workflow.workflow import Workflow

__all__ = [
    "Compute",
    "Extras",
    "JobResult",
    "Lanes",
    "Message",
    "Reading",
    "Region",
    "RunProgress",
    "Runner",
    "State",
    "Tone",
    "Workflow",
]
