"""The very first run of a process, for a test that starts a fresh one.

    python -m tests.widgets.first_run

Prints one JSON list: the longest hold of the event loop in each phase. Nothing here may import
torch before Segment is clicked, so the model that finds what is bright is built by the job.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import napari

from benchmarks.event_loop import SIDE, Session, as_row
from napari_rwkvseg.engine.card import Model, ModelCard
from napari_rwkvseg.widgets.dock import SegmentationDock

CARD = ModelCard("bright", "Bright things", "anything grey", ("cell",), objects=True)


class LateLibrary:
    """One model, which is built when it is loaded."""

    def names(self) -> tuple[str, ...]:
        return (CARD.name,)

    def card(self, name: str) -> ModelCard:
        return CARD

    def load(self, name_or_path: str | Path) -> Model:
        from tests.fakes import fake_model  # imports torch

        return fake_model(objects=True)


def open_dock(viewer: napari.Viewer) -> SegmentationDock:
    dock = SegmentationDock(viewer, library=LateLibrary())  # type: ignore[arg-type]
    viewer.window.add_dock_widget(dock, name="RWKV Segmentation")
    return dock


def main() -> None:
    session = Session(SIDE, open_dock, watch=False)
    rows = [as_row(phase) for phase in (*session.segmenting(), session.yardstick())]
    session.close()
    sys.stdout.write(json.dumps(rows))


if __name__ == "__main__":
    main()
