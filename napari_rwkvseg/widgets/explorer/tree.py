"""Encoder level > block > head: what there is to see, and what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_rwkvseg.widgets.listen import listen
from napari_rwkvseg.widgets.style import GAP, muted
from napari_rwkvseg.workflow.explorer import Explorer, Shown

if TYPE_CHECKING:
    from napari_rwkvseg.engine.explain import Explanation

HEIGHT = 210  # px, about ten rows
SHOWN = Qt.ItemDataRole.UserRole


class ScanTree(QWidget):
    """The heads of the model; a click on one draws it on the image."""

    def __init__(self, explorer: Explorer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explorer = explorer

        self.tree = QTreeWidget()
        self.tree.setColumnCount(1)
        self.tree.setHeaderHidden(True)
        self.tree.setIndentation(14)
        self.tree.setFixedHeight(HEIGHT)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.tree.setAccessibleName("Heads of the model")
        self.details = muted()

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.tree)
        column.addWidget(self.details)

        self.tree.currentItemChanged.connect(self._choose)
        events = explorer.state.events
        listen(self, events.explanation, self._fill)
        listen(self, events.shown, self._select)
        listen(self, events.details, self._tell)
        self._fill(explorer.state.explanation)
        self._tell(explorer.state.details)

    def heads(self) -> dict[Shown, QTreeWidgetItem]:
        """Return the item of each head."""
        found = {}
        pending = [self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount())]
        while pending:
            item = pending.pop()
            if item.data(0, SHOWN) is not None:
                found[item.data(0, SHOWN)] = item
            pending += [item.child(i) for i in range(item.childCount())]
        return found

    def _fill(self, explanation: Explanation | None) -> None:
        with signals_blocked(self.tree):
            self.tree.clear()
            levels: dict[tuple[str, int], QTreeWidgetItem] = {}
            for number, layer in enumerate(explanation.trace.layers if explanation else ()):
                key = (layer.place.part, layer.place.level)
                if key not in levels:
                    rows, columns = layer.grid
                    name = f"{key[0].capitalize()} level {key[1] + 1}"
                    levels[key] = _item(
                        self.tree, f"{name} · {columns}×{rows} of {layer.stride} px"
                    )
                block = _item(levels[key], f"Block {layer.place.block + 1}")
                for head, scan in enumerate(layer.heads):
                    item = _item(block, f"{head + 1} {scan.describe()}")
                    item.setToolTip(0, f"{scan.describe()}: {scan.direction()}")
                    item.setData(0, SHOWN, Shown(number, head))
            for item in levels.values():
                item.setExpanded(True)
        self._select(self._explorer.state.shown)

    def _tell(self, details: str) -> None:
        self.details.setText(details)

    def _select(self, shown: Shown | None) -> None:
        item = self.heads().get(shown) if shown is not None else None
        if item is not None:
            with signals_blocked(self.tree):
                self.tree.setCurrentItem(item)
                self.tree.scrollToItem(item)

    def _choose(self, item: QTreeWidgetItem | None, _: object = None) -> None:
        shown = None if item is None else item.data(0, SHOWN)
        if shown is not None:
            self._explorer.choose(shown)


def _item(parent: QTreeWidget | QTreeWidgetItem, text: str) -> QTreeWidgetItem:
    item = QTreeWidgetItem(parent, [text])
    item.setToolTip(0, text)
    return item
