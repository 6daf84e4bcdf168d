"""Going to a place moves what the place says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rwkvseg.workflow.correct.travel import look_at


@pytest.mark.parametrize(
    ("ndisplay", "order", "centre"),
    [(2, (0, 1, 2), (7, 9)), (3, (0, 1, 2), (3, 7, 9)), (2, (2, 0, 1), (3, 7))],
)
def test_axes_that_the_point_does_not_have_stay(
    ndisplay: int, order: tuple[int, ...], centre: tuple[float, ...]
) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((8, 32, 32), np.float32))
    viewer.dims.ndisplay, viewer.dims.order = ndisplay, order
    viewer.dims.set_point(0, 5)
    viewer.scene.camera.center = (2, 3, 4) if ndisplay == 2 else (3, 4, 5)
    look_at(viewer, (7, 9))
    assert viewer.scene.camera.center[-ndisplay:] == centre
    assert viewer.dims.point == (5, 7, 9)
