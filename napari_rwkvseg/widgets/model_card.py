"""A model card as people read it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.widgets.style import form, muted

SEEDS = ("seeds", "dice_seeds_mean", "dice_seeds_sd")


class ModelCardView(QWidget):
    """All entries of a card that are filled in, as rows."""

    def __init__(self, card: ModelCard | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = form(self)
        self.show_card(card)

    def show_card(self, card: ModelCard | None) -> None:
        """Show another card; nothing for None."""
        while (item := self._rows.takeAt(0)) is not None:
            item.widget().deleteLater()
        for row, (name, text) in enumerate([] if card is None else card_rows(card)):
            value = muted()
            value.setObjectName("value")
            value.setText(text)  # only now: a text that comes later makes height follow width
            key = QLabel(name)
            key.setObjectName("muted")
            self._rows.addWidget(key, row, 0, Qt.AlignmentFlag.AlignTop)
            self._rows.addWidget(value, row, 1, Qt.AlignmentFlag.AlignTop)


def score(card: ModelCard) -> str:
    """Return like "Dice 0.92 (n = 87)"; empty if never measured."""
    if "dice_mean" not in card.metrics:
        return ""
    text = f"Dice {card.metrics['dice_mean']:.2f}"
    if "n" in card.metrics:
        text += f" (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{card.metrics['n']:.0f})"
    return text


def card_rows(card: ModelCard) -> list[tuple[str, str]]:
    """Return (name, text) of every entry that says something."""
    lineage = f"Fine-tuned from {card.parent[:8]}" if card.parent else "Trained from scratch"
    rows = [
        ("Reads", card.modality),
        ("Finds", ", ".join(card.class_names) + (" (separate objects)" if card.objects else "")),
        ("Leaves out", left_out(card)),
        ("Scores", scores(card)),
        ("Limits", card.limits),
        ("Data", card.data),
        ("Licence", card.data_licence),
        ("Credit", card.attribution),
        ("Size", card.size),
        ("Lineage", lineage),
        ("Made", card.created),
        ("Use", card.notice),
    ]
    return [(name, text) for name, text in rows if text]


def left_out(card: ModelCard) -> str:
    """Return which finds a model leaves out unless people want them."""
    parts = [
        f"objects below {card.min_size} px" if card.min_size else "",
        f"objects of which it is nowhere {100 * card.peak:.0f} % sure" if card.peak else "",
    ]
    return ", ".join(filter(None, parts)).capitalize()


def scores(card: ModelCard) -> str:
    """Return Dice and IoU with the number of test images, and Dice over the seeds trained."""
    parts = [
        f"{title} {card.metrics[key]:.3f}"
        for title, key in (("Dice", "dice_mean"), ("IoU", "iou_mean"))
        if key in card.metrics
    ]
    if parts and "n" in card.metrics:
        parts.append(f"{card.metrics['n']:.0f} validation images")
    if set(SEEDS) <= set(card.metrics):
        seeds, mean, spread = (card.metrics[name] for name in SEEDS)
        parts.append(f"{seeds:.0f} seeds {mean:.3f} ± {spread:.3f}")
    return ", ".join(parts)
