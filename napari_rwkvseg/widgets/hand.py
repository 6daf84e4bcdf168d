"""How people use a mouse, where Qt takes more from it than they mean."""

from __future__ import annotations

from qtpy.QtCore import QElapsedTimer, QEvent, QObject
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QScrollBar,
    QWidget,
)


class DoubleClick:
    """Tells the second half of a double click from a click that is meant by itself."""

    def __init__(self) -> None:
        self._since = QElapsedTimer()

    def begin(self) -> None:
        """Take note of a first click."""
        self._since.start()

    @property
    def over(self) -> bool:
        """Whether a click now would be another one than that."""
        interval = QApplication.doubleClickInterval()
        return not self._since.isValid() or self._since.elapsed() > interval


class WheelGuard(QObject):
    """Leaves the wheel to the page, unless the widget below the pointer was chosen before.

    Parameters
    ----------
    page : QWidget
        Lists, sliders and boxes in it are guarded.
    """

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        for kind in (QComboBox, QAbstractSlider, QAbstractSpinBox):
            for widget in page.findChildren(kind):
                if not isinstance(widget, QScrollBar):
                    widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Pass a wheel event on to the parent, as if the widget did not want it."""
        if event.type() != QEvent.Type.Wheel or _has_focus(watched):
            return False
        event.ignore()
        return True


def _has_focus(widget: QObject) -> bool:
    focused = QApplication.focusWidget()
    return isinstance(widget, QWidget) and (
        widget is focused or (focused is not None and widget.isAncestorOf(focused))
    )
