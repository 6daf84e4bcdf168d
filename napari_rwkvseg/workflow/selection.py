"""Which image is chosen and how it is read, as layers come, go and change."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from napari_rwkvseg.adapters.from_layers import LayerLike, image_from_layer, is_candidate
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.errors import AmbiguousAxesError, BadImageError
from napari_rwkvseg.workflow.choices import Reading
from napari_rwkvseg.workflow.state import State

# What a reading and the place of a mask follow from.
WATCHED = ("data", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
NOTHING = Reading(
    text="Open an image: drag a file here, or File > Open Sample > RWKV Segmentation",
    problem="There is no image to segment. Open one, or try File > Open Sample.",
)


class Selection:
    """Keeps `state.images`, `state.image` and `state.reading` true.

    Parameters
    ----------
    viewer : napari viewer
        Anything with an evented `layers` list.
    state : State
        Only this class writes those three fields.
    """

    def __init__(self, viewer: Any, state: State) -> None:
        self._viewer = viewer
        self._state = state
        self._axes: dict[Hashable, str] = {}
        self._channels: dict[Hashable, int] = {}
        self._watched: LayerLike | None = None
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self._layers_changed)
        viewer.layers.selection.events.active.connect(self._active_changed)
        self.read()
        self._layers_changed()
        self._active_changed()

    def choose(self, layer: LayerLike | None) -> None:
        """Make `layer` the image to segment."""
        if layer is not self._state.image:
            self._watch(layer)
            self._state.image = layer
            self.read()

    def choose_axes(self, axes: str) -> None:
        """Remember what the axes of the chosen image mean."""
        if self._state.image is not None:
            self._axes[self._state.image.unique_id] = axes
            self.read()

    def choose_channel(self, channel: int) -> None:
        """Remember which channel of the chosen image to read."""
        if self._state.image is not None:
            self._channels[self._state.image.unique_id] = channel
            self.read()

    def read(self, event: object = None) -> None:
        """Look at the chosen image anew."""
        layer = self._state.image
        self._state.reading = NOTHING if layer is None else self._read(layer)

    def _read(self, layer: LayerLike) -> Reading:
        axes = self._axes.get(layer.unique_id)
        try:
            image = image_from_layer(layer, axes)
        except BadImageError as error:
            if axes is not None:  # answered before the array changed: ask again
                del self._axes[layer.unique_id]
                return self._read(layer)
            return _unreadable(error)
        return Reading(
            image=image,
            text=image.describe(),
            choices=_choices_of(layer) if axes else (),
            axes=axes,
            channel=self._channel(layer.unique_id, image),
        )

    def _channel(self, uid: Hashable, image: ImageData) -> int | None:
        """Return the chosen channel of several, at first the first; None for grey and RGB."""
        if image.is_rgb or image.n_channels == 1:
            return None
        return min(self._channels.get(uid, 0), image.n_channels - 1)

    def _layers_changed(self, event: object = None) -> None:
        images = tuple(layer for layer in self._viewer.layers if is_candidate(layer))
        renamed = images == self._state.images
        self._state.images = images
        if renamed:
            self._state.events.images.emit(images)
        if self._state.image not in images:
            self.choose(self._default(images))
        else:
            self.read()

    def _default(self, images: tuple[LayerLike, ...]) -> LayerLike | None:
        """Return the active image, else the topmost one."""
        active = self._viewer.layers.selection.active
        uid = getattr(active, "unique_id", None)
        matching = [layer for layer in images if layer.unique_id == uid]
        return next(iter(matching), images[-1] if images else None)

    def _active_changed(self, event: object = None) -> None:
        """Follow a click in the layer list, unless it goes to something that is no image."""
        uid = getattr(self._viewer.layers.selection.active, "unique_id", None)
        for layer in self._state.images:
            if layer.unique_id == uid:
                self.choose(layer)

    def _watch(self, layer: LayerLike | None) -> None:
        """Read the chosen layer again when its array, place, units or axes change."""
        for old, connect in ((self._watched, False), (layer, True)):
            if old is None:
                continue
            for name in WATCHED:
                event = getattr(old.events, name, None)
                if event is not None:
                    (event.connect if connect else event.disconnect)(self.read)
        self._watched = layer


def _unreadable(error: BadImageError) -> Reading:
    """Return a reading that asks, or that says what is wrong."""
    if isinstance(error, AmbiguousAxesError):
        text = error.question[0].upper() + error.question[1:]
        return Reading(text=text, problem=str(error), choices=error.choices)
    text = f"{error.reason[0].upper()}{error.reason[1:]}. {error.remedy}."
    return Reading(text=text, problem=str(error))


def _choices_of(layer: LayerLike) -> tuple[str, ...]:
    """Return what the axes could mean instead."""
    try:
        image_from_layer(layer)
    except AmbiguousAxesError as question:
        return question.choices
    return ()
