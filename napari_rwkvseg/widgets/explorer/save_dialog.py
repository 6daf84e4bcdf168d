"""Asking under which name to save what the explorer shows."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

PICTURES = "Pictures (*.png *.svg)"
TABLES = "Tables (*.csv)"


def ask_path(parent: QWidget, title: str, name: str, kinds: str) -> Path | None:
    """Return where to save a file, None if the person gave up.

    Parameters
    ----------
    parent : QWidget
        The dialog lies over its window.
    title : str
        Of the dialog.
    name : str
        Proposed; a name that is typed without an ending gets the ending of this one, before the
        dialog asks whether to replace a file.
    kinds : str
        Which files it lists.
    """
    dialog = QFileDialog(parent, title, "", kinds)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(Path(name).suffix)
    dialog.selectFile(name)
    accepted = dialog.exec()
    dialog.deleteLater()
    return Path(dialog.selectedFiles()[0]) if accepted else None
