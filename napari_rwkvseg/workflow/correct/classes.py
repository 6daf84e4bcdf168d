"""Names of the classes of a mask: what people may add, rename and paint with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_rwkvseg.adapters.to_layers import class_colors, class_features
from napari_rwkvseg.workflow.choices import Tone
from napari_rwkvseg.workflow.correct.context import Context
from napari_rwkvseg.workflow.correct.material import BACKGROUND

LONGEST = 64  # characters of a name
AS_CLASSES = (
    "Labels are separate objects here. Show the mask as Classes, under Result in the Segment tab, "
    "to name classes."
)


class ClassList:
    """Changes the class names of the mask that is corrected, and what the status bar says.

    Parameters
    ----------
    context : Context
        Its current mask is changed.
    changed : callable
        Called after each change.
    """

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed

    def add(self, name: str) -> None:
        """Add a class; the next free label stands for it, and the brush takes that label."""
        names = (*self._context.state.class_names, name.strip())
        if self._set(names):
            self.paint_with(len(names))

    def rename(self, number: int, name: str) -> None:
        """Give the class of a label, counted from 1, another name: it becomes another class."""
        names = list(self._context.state.class_names)
        if names[number - 1] != name.strip():
            names[number - 1] = name.strip()
            self._set(tuple(names))

    def paint_with(self, label: int) -> None:
        """Let the brush paint a label: 1 to K, or `BACKGROUND`."""
        subject = self._context.subjects.current
        layer: Any = None if subject is None else subject.layer
        if layer is not None:
            layer.selected_label = label
            layer.mode = "paint"
            self._context.workflow.viewer.layers.selection.active = layer

    def _set(self, names: tuple[str, ...]) -> bool:
        subject = self._context.subjects.current
        problem = _problem(names)
        if subject is not None and subject.link.objects:
            problem = AS_CLASSES
        if subject is None or problem:
            self._context.say(problem, Tone.ERROR)
            return False
        subject.class_names = subject.run.class_names = names
        layer: Any = subject.layer
        layer.features = class_features(names)
        layer.colormap = class_colors(len(names))
        self._changed()
        return True


def _problem(names: tuple[str, ...]) -> str:
    """Return what is wrong with a list of names, as a sentence; empty if nothing is."""
    if not all(names):
        return "A class needs a name."
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        return f"There are two classes named {double}. Choose another name."
    if any(len(name) > LONGEST for name in names):
        return f"A class name has at most {LONGEST} characters."
    if len(names) >= BACKGROUND:
        return f"A mask has at most {BACKGROUND - 1} classes."
    return ""
