"""A model card as people read it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.widgets.style import GAP, muted


class ModelCardView(QWidget):
    """All entries of a card that are filled in, as rows."""

    def __init__(self, card: ModelCard | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(GAP)
        self._rows.setHorizontalSpacing(10)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.show_card(card)

    def show_card(self, card: ModelCard | None) -> None:
        """Show another card; nothing for None."""
        while self._rows.rowCount():
            self._rows.removeRow(0)
        for name, text in [] if card is None else card_rows(card):
            value = QLabel(text)
            value.setWordWrap(True)
            value.setTextFormat(Qt.TextFormat.PlainText)  # cards are written by anyone
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            key = muted(name)
            key.setWordWrap(False)
            key.setMinimumWidth(key.sizeHint().width())
            self._rows.addRow(key, value)


def headline(card: ModelCard) -> str:
    """Return the line below the model's name: what it reads and how well it did."""
    parts = [card.modality, score(card)]
    return " · ".join(part for part in parts if part)


def score(card: ModelCard) -> str:
    """Return like "Dice 0.92 on 87 images"; empty if never measured."""
    if "dice_mean" not in card.metrics:
        return ""
    text = f"Dice {card.metrics['dice_mean']:.2f}"
    if "n" in card.metrics:
        text += f" on {card.metrics['n']:.0f} images"
    return text


def card_rows(card: ModelCard) -> list[tuple[str, str]]:
    """Return (name, text) of every entry that says something."""
    lineage = f"Fine-tuned from {card.parent[:8]}" if card.parent else "Trained from scratch"
    rows = [
        ("Reads", card.modality),
        ("Finds", ", ".join(card.class_names) + (" (separate objects)" if card.objects else "")),
        ("Scores", scores(card)),
        ("Data", card.data),
        ("Licence", card.data_licence),
        ("Credit", card.attribution),
        ("Size", card.size),
        ("Lineage", lineage),
        ("Made", card.created),
        ("Use", card.notice),
    ]
    return [(name, text) for name, text in rows if text]


def scores(card: ModelCard) -> str:
    """Return Dice and IoU with the number of test images."""
    parts = [
        f"{title} {card.metrics[key]:.3f}"
        for title, key in (("Dice", "dice_mean"), ("IoU", "iou_mean"))
        if key in card.metrics
    ]
    if parts and "n" in card.metrics:
        parts.append(f"{card.metrics['n']:.0f} validation images")
    return ", ".join(parts)
