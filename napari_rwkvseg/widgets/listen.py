"""Connect widgets to the evented state for exactly as long as they live."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget

# Qt may destroy a widget after Python collected all that only the widget held: a function among
# that is empty by then, and calling it would crash. So what Qt calls is held here until it does.
_stops: set[Callable[[], None]] = set()


def listen(widget: QWidget, signal: SignalInstance, slot: Callable[..., object]) -> None:
    """Call `slot`, a method of `widget`, on `signal` until Qt destroys the widget.

    Parameters
    ----------
    widget : QWidget
        Whose life counts.
    signal : SignalInstance
        A psygnal signal.
    slot : callable
        A bound method; only a weak reference is kept.
    """
    signal.connect(slot)
    weak = weakref.WeakMethod(slot)  # a strong reference would keep the widget alive

    def stop() -> None:
        _stops.discard(stop)
        if (method := weak()) is not None:  # disconnect(None) would drop all listeners
            signal.disconnect(method, missing_ok=True)

    _stops.add(stop)
    widget.destroyed.connect(stop)
