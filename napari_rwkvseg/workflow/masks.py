"""Result layers that are ours until somebody edits them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_rwkvseg.adapters.from_layers import LayerLike
from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.workflow.history import Index, OwnWrite, OwnWrites, ignore_turn

DIFF_LIMIT = 1 << 25  # pixels; comparing more after each stroke would be felt
UNDOABLE_LIMIT = 1_000_000  # changed pixels; napari's history takes about 20 MB per million


def find_layer(viewer: Any, unique_id: Hashable) -> LayerLike | None:
    """Return the layer itself, not a proxy of it, or None if it is gone."""
    return next((layer for layer in viewer.layers if layer.unique_id == unique_id), None)


def move(layer: LayerLike, old: Geometry, new: Geometry) -> None:
    """Bring a layer from where its image lay to where it lies now."""
    if not old.agrees(new):  # moving a layer makes napari draw it anew
        for key, value in new.transforms.items():
            setattr(layer, key, value)


def meet(one: tuple[slice, ...], other: tuple[slice, ...]) -> bool:
    """Whether two regions have a pixel in common; where one has no slice it takes the whole."""
    return all(
        max(a.start or 0, b.start or 0) < min(a.stop or sys.maxsize, b.stop or sys.maxsize)
        for a, b in zip(one, other, strict=False)
    )


class MaskLink:
    """One Labels layer and what we last wrote into it.

    As long as the layer shows exactly that, newer results replace it. Where a
    foreign pixel appears, it belongs to the person: nothing here writes there any more.

    Parameters
    ----------
    viewer : napari viewer
        Where to look the layer up; layers are held by identity, never by name.
    layer : LayerLike
        A Labels layer we just added.
    geometry : Geometry
        Maps labels of shape (*lead, H, W) to the axes of the layer.
    objects : bool
        Whether its labels are objects rather than classes.
    on_edit : callable
        Called after each stroke, fill, undo or redo.

    Attributes
    ----------
    theirs : bool
        Whether the whole layer counts as a person's, see `keep_all`.
    edited : Signal
        Emitted then, once all notes of it are taken.
    filled : Signal
        Emitted when the first result is in the layer.
    """

    edited = Signal()
    filled = Signal()

    def __init__(
        self,
        viewer: Any,
        layer: LayerLike,
        geometry: Geometry,
        objects: bool,
        on_edit: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._uid = layer.unique_id
        self._writes = OwnWrites()
        self._writing = False
        self._filled = False
        self._touched = False  # whether napari's undo history may hold anything
        self._expecting = False  # whether a stroke was announced before its pixels are set
        self._kept: NDArray[np.bool_] | None = None  # pixels that people ever changed
        self._snapshot = np.array(layer.data)
        self.theirs = False
        self.reviewed: tuple[tuple[slice, ...], ...] = ()  # what people accepted, (*lead, y, x)
        self.geometry = geometry
        self.objects = objects
        self.edited.connect(on_edit)
        layer.events.paint.connect(self._painted)
        layer.events.set_data.connect(self._redrawn)  # undo, redo
        layer.events.labels_update.connect(self._updated)

    @property
    def layer(self) -> LayerLike | None:
        """The layer, or None once it was removed."""
        return find_layer(self._viewer, self._uid)

    @property
    def pristine(self) -> bool:
        """Whether nobody but us ever wrote into the layer."""
        return not self._touched and not self.edited_in(())

    def edited_in(self, region: tuple[slice, ...]) -> bool:
        """Whether people ever changed or accepted a pixel in `region` of the layer.

        Parameters
        ----------
        region : tuple of slice
            Along the axes of the layer; empty for all of it.

        Returns
        -------
        bool
            True also where the layer is gone or has another shape.
        """
        layer = self.layer
        if layer is None or np.shape(layer.data) != self._snapshot.shape:
            return True
        if self.theirs or (self._kept is not None and self._kept[region].any()):
            return True
        if any(meet(self.geometry.fit_region(one), region) for one in self.reviewed):
            return True
        return not np.array_equal(np.asarray(layer.data)[region], self._snapshot[region])

    def current(self) -> NDArray[Any] | None:
        """Return what the layer shows now, shape (*lead, H, W); None if gone, cut or unfilled."""
        layer = self.layer
        if layer is None or not self._filled or np.shape(layer.data) != self._snapshot.shape:
            return None
        return self.geometry.strip(np.asarray(layer.data))

    def written(self) -> NDArray[Any] | None:
        """Return what we last wrote, shape (*lead, H, W); None before the first result."""
        return self.geometry.strip(self._snapshot) if self._filled else None

    def fill(self, labels: NDArray[Any], base: NDArray[Any] | None = None) -> bool:
        """Put the first result into the layer, which was added with a placeholder.

        Parameters
        ----------
        labels : ndarray, integer, shape (*lead, H, W)
            What to show.
        base : ndarray, integer, same shape, optional
            What of it is the model's, where the rest is corrections carried over.

        Returns
        -------
        bool
            False if the person was quicker and changed or removed it.
        """
        if not self.pristine:
            return False
        self._assign(self.geometry.fit(labels))
        if base is not None:
            self._snapshot = self.geometry.fit(base).copy()
        self._filled = True
        self.filled.emit()
        return True

    def keep_all(self) -> None:
        """Let the whole layer count as a person's: nothing here writes into it any more."""
        self._touched = self.theirs = True

    def adopt(self) -> None:
        """Let the layer be what it shows: a mask that was there before, all of it a person's."""
        self._filled = True
        self.keep_all()

    def select(self) -> None:
        """Make the layer the one that people paint on, unless it is gone."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.selection.active = layer

    def show(self) -> None:
        """Make the layer visible, unless it is gone."""
        layer: Any = self.layer
        if layer is not None:
            layer.visible = True

    def move(self, geometry: Geometry) -> None:
        """Let the layer lie where its image lies now."""
        layer = self.layer
        if layer is not None:
            move(layer, self.geometry, geometry)
            self.geometry = geometry

    def write(self, labels: NDArray[Any], region: tuple[slice, ...]) -> bool:
        """Replace our last result inside `region`, without harm to edits or to undo.

        Parameters
        ----------
        labels : ndarray, integer, shape (*lead, H, W)
            The whole mask; only `region` of it counts.
        region : tuple of slice, one per axis of `labels`
            What was computed anew.

        Returns
        -------
        bool
            False where that is impossible: edited there, removed, other shape or type, or too
            many changes on top of an undo history. The caller makes a new layer then.
        """
        new, inside = self.geometry.fit(labels), self.geometry.fit_region(region)
        if (new.shape, new.dtype) != (self._snapshot.shape, self._snapshot.dtype):
            return False
        if self.edited_in(inside):
            return False
        if self.pristine:
            self._assign(new)
            return True
        return self._write_undoable(new, inside)

    def _assign(self, new: NDArray[Any]) -> None:
        """Exchange the array: quick at any size, and right only while there is no history."""
        layer = self.layer
        self._snapshot = new.copy()
        self._guarded(lambda: setattr(layer, "data", new))

    def refresh(
        self,
        index: Index,
        labels: NDArray[Any],
        turned: Callable[[bool], None] = ignore_turn,
    ) -> int | None:
        """Write a newer result where the layer still shows the last one, as one step of undo.

        Parameters
        ----------
        index : tuple of ndarray
            Pixels along the axes (*lead, y, x) of the labels.
        labels : ndarray, integer, shape (N,)
            Their new labels.
        turned : callable
            Called with False when this is undone, with True when it is redone.

        Returns
        -------
        int or None
            How many pixels changed; None if they are too many for the history.
        """
        layer = self.layer
        if self.theirs or layer is None or np.shape(layer.data) != self._snapshot.shape:
            return 0
        accepted = self._accepted(index)
        index = self.geometry.fit_index(index)
        shown, base = np.asarray(layer.data)[index], self._snapshot[index]
        free = (shown == base) & (labels != base) & ~accepted
        place = tuple(axis[free] for axis in index)
        new = labels[free].astype(shown.dtype)
        done = self._change(place, new, moves_base=True, turned=turned)
        self.edited.emit()
        return done

    def _accepted(self, index: Index) -> NDArray[np.bool_]:
        """Return which of some pixels, along the axes (*lead, y, x), people accepted."""
        found = np.zeros(index[0].shape, bool)
        for region in self.reviewed:
            inside = np.ones(found.shape, bool)
            for axis, part in zip(index, region, strict=False):
                inside &= (axis >= (part.start or 0)) & (axis < (part.stop or sys.maxsize))
            found |= inside
        return found

    def reset(self, turned: Callable[[bool], None] = ignore_turn) -> int | None:
        """Bring back what we last wrote, as one step of undo.

        Returns
        -------
        int or None
            How many pixels changed; None if they are too many for the history, or to compare.
        """
        layer = self.layer
        if layer is None or np.shape(layer.data) != self._snapshot.shape:
            return 0
        if self._snapshot.size > DIFF_LIMIT:
            return None
        index = np.nonzero(np.asarray(layer.data) != self._snapshot)
        done = self._change(index, self._snapshot[index], moves_base=False, turned=turned)
        if done is not None:
            self._kept = None
        self.edited.emit()
        return done

    def _write_undoable(self, new: NDArray[Any], inside: tuple[slice, ...]) -> bool:
        """Change pixels through napari's history: old undo steps stay valid."""
        changed = np.nonzero(new[inside] != self._snapshot[inside])
        changed = tuple(i + s.start for i, s in zip(changed, inside, strict=True))
        return self._change(changed, new[changed], moves_base=True) is not None

    def _change(
        self,
        index: Index,
        labels: NDArray[Any],
        moves_base: bool,
        turned: Callable[[bool], None] = ignore_turn,
    ) -> int | None:
        """Write pixels through napari's history and into our own; None if they are too many."""
        if index[0].size > UNDOABLE_LIMIT:
            return None
        if not index[0].size:
            return 0
        layer: Any = self.layer
        old, base = np.asarray(layer.data)[index], self._snapshot[index]
        after = labels if moves_base else base
        self._touched = True
        self._guarded(lambda: layer.data_setitem(index, labels))
        self._snapshot[index] = after
        self._writes.add(OwnWrite(index, old, labels, base, after, turned))
        return int(index[0].size)

    def _guarded(self, write: Callable[[], None]) -> None:
        self._writing = True
        try:
            write()
        finally:
            self._writing = False

    def _painted(self, event: object = None) -> None:
        """Take note of a stroke, a fill, a polygon; some set their pixels right after this."""
        if not self._writing:
            self._touched = self._expecting = True
            self._keep_changes()

    def _updated(self, event: object = None) -> None:
        """Take note of pixels set after their announcement; ignore a stroke still going on."""
        if self._expecting and not self._writing:
            self._expecting = False
            self._keep_changes()

    def _keep_changes(self) -> None:
        """Remember which pixels people changed, even where they change them back."""
        data = np.asarray(getattr(self.layer, "data", self._snapshot))
        if data.shape == self._snapshot.shape and data.size <= DIFF_LIMIT:
            changed = data != self._snapshot
            self._kept = changed if self._kept is None else self._kept | changed
        else:
            self._kept = np.broadcast_to(np.True_, self._snapshot.shape)
        if data.shape == self._snapshot.shape:
            self._writes.painted(data)
        self.edited.emit()

    def _redrawn(self, event: object = None) -> None:
        """Take note of undo and redo, which look like a change of slice."""
        if self._touched and not self._writing:
            data = np.asarray(getattr(self.layer, "data", self._snapshot))
            if data.shape == self._snapshot.shape:
                self._writes.follow(data, self._snapshot)
            self.edited.emit()
