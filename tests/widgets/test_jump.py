"""A click in the table goes to the object, whatever else is in the viewer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.adapters.to_layers import Geometry
from napari_rwkvseg.widgets.jump import jump_to
from napari_rwkvseg.workflow.masks import MaskLink

BOX = (slice(8, 12), slice(20, 24))


@pytest.mark.parametrize(("ndisplay", "order"), [(2, (0, 1, 2)), (3, (0, 1, 2)), (2, (2, 0, 1))])
def test_a_flat_mask_beside_a_volume(ndisplay: int, order: tuple[int, ...]) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((8, 32, 32), np.float32))
    labels = np.zeros((32, 32), np.uint8)
    labels[BOX] = 7
    layer = viewer.add_labels(np.zeros((1, 1), np.uint8))
    link = MaskLink(viewer, layer, Geometry({}), True, lambda: None)
    link.fill(labels)
    viewer.dims.ndisplay, viewer.dims.order = ndisplay, order
    jump_to(viewer, layer, link, 7, BOX)
    assert layer.selected_label == 7
    assert viewer.dims.point[1:] == (9.5, 21.5)
    assert 9.5 in viewer.scene.camera.center
