"""The scan explorer behind its tab: what is read, drawn and asked, without Qt."""

from napari_rwkvseg.workflow.explorer.explorer import Explorer, ExplorerRunners
from napari_rwkvseg.workflow.explorer.state import ExplorerState, Look, Shown

__all__ = ["Explorer", "ExplorerRunners", "ExplorerState", "Look", "Shown"]
