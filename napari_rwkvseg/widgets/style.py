"""Spacing, colours and small building blocks that all tabs share."""

from __future__ import annotations

from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QWidget,
)

MARGIN = 10  # px around a tab
GAP = 6  # px between rows
SECTION = 12  # px above a new section
LABEL_WIDTH = 80  # px of the column of row names
DOCK_WIDTH = 280  # px, the narrowest supported


def dock_stylesheet(theme_id: str) -> str:
    """Return the style sheet of the dock, in the colours of a napari theme.

    Parameters
    ----------
    theme_id : str
        "dark", "light" or the name of any other theme.
    """
    theme = get_theme(theme_id)
    text, muted = theme.text.as_hex(), mixed(theme.text, theme.background, 0.35)
    dark = _is_dark(theme.background)
    accent = theme.current.as_hex()
    on_accent = "white" if _is_dark(theme.current) else text
    link = "#7aa7ff" if dark else "#1f5fc4"
    stripe = mixed(theme.background, theme.foreground, 0.45)
    tones = {"error": "#e5484d", "note": "#d9902f", "done": "#3aa76d", "hint": muted}
    messages = "".join(
        f'#message[tone="{tone}"] {{ border-left: 3px solid {color}; }}'
        for tone, color in tones.items()
    )
    verdicts = "".join(
        f'#verdict[tone="{tone}"] {{ border-left: 4px solid {color}; }}'
        for tone, color in tones.items()
    )
    return f"""
    QLabel, QCheckBox {{ padding: 0; margin: 0; }}
    QTabBar::tab {{ padding: 5px 3px; margin: 0; min-width: 0; }}
    #muted {{ color: {muted}; }}
    #section {{ color: {text}; font-weight: 600; }}
    #rule {{ background: {mixed(theme.text, theme.background, 0.8)}; border: none; }}
    #primary {{ background: {accent}; color: {on_accent}; font-weight: 600; padding: 7px;
               border-radius: 4px; border: none; }}
    #primary:hover {{ background: {mixed_hex(accent, "#ffffff", 0.12)}; }}
    #primary:pressed {{ background: {mixed_hex(accent, "#000000", 0.15)}; }}
    #primary:disabled {{ background: {theme.primary.as_hex()}; color: {muted}; border: none; }}
    #primary[running="true"] {{ background: {theme.primary.as_hex()}; color: {text}; }}
    #primary[running="true"]:hover {{ background: {theme.highlight.as_hex()}; }}
    #choice {{ padding: 5px 2px; border-radius: 4px; }}
    #choice:checked {{ background: {theme.current.as_hex()}; color: {text}; font-weight: 600; }}
    #link {{ background: transparent; border: none; color: {link}; padding: 0; }}
    #link:hover {{ text-decoration: underline; background: transparent; }}
    #bar {{ background: {theme.foreground.as_hex()}; border: none; border-radius: 3px; }}
    #bar::chunk {{ background: {accent}; border-radius: 3px; }}
    #results, QListWidget {{ background: {theme.background.as_hex()}; border: none;
        alternate-background-color: {stripe}; selection-background-color: {accent};
        selection-color: {on_accent}; }}
    QListWidget::item {{ padding: 4px 6px; border: none; }}
    QListWidget::item:selected, #results::item:selected {{ background: {accent};
        color: {on_accent}; }}
    #results QHeaderView::section {{ background: {theme.background.as_hex()}; color: {muted};
        border: none; padding: 3px 6px; }}
    #verdict {{ font-weight: 700; font-size: 15px; padding-left: 8px; }}
    {verdicts}
    #message {{ color: {text}; padding: 2px 0 2px 8px; border: none; }}
    {messages}
    """


def mixed(color: Any, other: Any, share: float) -> str:
    """Return `color` with `share` (0..1) of `other` in it, as hex; both pydantic colours."""
    return mixed_hex(color.as_hex(), other.as_hex(), share)


def mixed_hex(color: str, other: str, share: float) -> str:
    """Return the same for hex strings "#rgb" or "#rrggbb"."""
    parts = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in parts)


def _channels(color: str) -> list[int]:
    digits = color.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def _is_dark(color: Any) -> bool:
    return sum(_channels(color.as_hex())) < 3 * 128


def muted(text: str = "") -> QLabel:
    """Return a wrapping label in the quiet colour; what files say is shown, never interpreted."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setObjectName("muted")
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def small_button(text: str, tooltip: str) -> QPushButton:
    """Return a button that shares a row with others and never widens the dock."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button


def section(title: str) -> QWidget:
    """Return a heading followed by a thin line."""
    widget = QWidget()
    row = QHBoxLayout(widget)
    row.setContentsMargins(0, SECTION - GAP, 0, 0)
    label, rule = QLabel(title), QFrame()
    label.setObjectName("section")
    rule.setObjectName("rule")
    rule.setFixedHeight(1)
    row.addWidget(label)
    row.addWidget(rule, stretch=1)
    return widget


def combo(tooltip: str) -> QComboBox:
    """Return a combo box that elides long entries instead of widening the dock."""
    box = QComboBox()
    box.setToolTip(tooltip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def form(parent: QWidget) -> QGridLayout:
    """Return a two-column layout: row names of one width, so that all forms line up."""
    grid = QGridLayout(parent)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(GAP)
    grid.setColumnMinimumWidth(0, LABEL_WIDTH)
    grid.setColumnStretch(1, 1)
    return grid


def name_row(grid: QGridLayout, row: int, name: str, widget: QWidget) -> None:
    """Put a named widget into a form; the name carries the widget's tooltip and mnemonic."""
    label = QLabel(name)
    label.setBuddy(widget)
    label.setToolTip(widget.toolTip())
    widget.setAccessibleName(name)
    grid.addWidget(label, row, 0)
    grid.addWidget(widget, row, 1)
