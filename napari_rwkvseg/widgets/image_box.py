"""Which image, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QComboBox, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import combo, form, muted, name_row
from napari_rwkvseg.workflow import Reading, Workflow

AXIS_WORDS = {"z": "slices (Z)", "t": "time (T)", "c": "channels (C)", "n": "separate images"}


class ImageBox(QWidget):
    """The rows Image, Axes and Channel; the last two only where there is something to choose."""

    def __init__(self, workflow: Workflow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workflow = workflow

        self.images = combo("The layer to segment. Follows the selection in the layer list.")
        self.reading = muted()
        self.axes = combo("What the axes of this image mean. It cannot be told from the file.")
        self.channel = combo("Which channel to segment: the model reads one at a time.")

        grid = form(self)
        name_row(grid, 0, "Image", self.images)
        grid.addWidget(self.reading, 1, 1)
        name_row(grid, 2, "Axes", self.axes)
        name_row(grid, 3, "Channel", self.channel)
        self._optional = {
            box: (grid.itemAtPosition(row, 0).widget(), box)
            for row, box in ((2, self.axes), (3, self.channel))
        }

        self.images.activated.connect(self._choose_image)
        self.axes.activated.connect(self._choose_axes)
        self.channel.activated.connect(self._choose_channel)
        events = workflow.state.events
        listen(self, events.images, self._show_images)
        listen(self, events.image, self._show_images)
        listen(self, events.reading, self._show_reading)
        self._show_images()
        self._show_reading(workflow.state.reading)

    def _show_images(self, _: object = None) -> None:
        state = self._workflow.state
        with signals_blocked(self.images):
            self.images.clear()
            for layer in state.images:
                self.images.addItem(layer.name)
            if not state.images:
                self.images.addItem("No image")
            elif state.image in state.images:
                self.images.setCurrentIndex(state.images.index(state.image))
        self.images.setEnabled(bool(state.images))

    def _show_reading(self, reading: Reading) -> None:
        self.reading.setText(reading.text)
        self._fill(self.axes, [(axes_words(axes), axes) for axes in reading.choices], reading.axes)
        if reading.choices and reading.axes is None:
            self.axes.setCurrentIndex(-1)
            self.axes.setPlaceholderText("Choose…")
        n = reading.n_channels
        channels = [(f"{i + 1} of {n}", i) for i in range(n)] if n > 1 else []
        self._fill(self.channel, channels, reading.channel)

    def _fill(self, box: QComboBox, entries: Sequence[tuple[str, object]], chosen: object) -> None:
        """Show `entries` (text, value) with one chosen; hide the row if there are none."""
        with signals_blocked(box):
            box.clear()
            for text, value in entries:
                box.addItem(text, value)
            box.setCurrentIndex(next((i for i, e in enumerate(entries) if e[1] == chosen), 0))
        for widget in self._optional[box]:
            widget.setVisible(bool(entries))

    def _choose_image(self, index: int) -> None:
        images = self._workflow.state.images
        if 0 <= index < len(images):
            self._workflow.selection.choose(images[index])

    def _choose_axes(self, index: int) -> None:
        self._workflow.selection.choose_axes(self.axes.itemData(index))

    def _choose_channel(self, index: int) -> None:
        self._workflow.selection.choose_channel(self.channel.itemData(index))


def axes_words(axes: str) -> str:
    """Return axes in words: "zyx" -> "Slices (Z)", "tczyx" -> "Time (T), channels (C), …"."""
    words = [AXIS_WORDS[letter] for letter in axes if letter in AXIS_WORDS]
    text = ", ".join(words) or axes
    return text[0].upper() + text[1:]
