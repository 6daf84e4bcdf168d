"""How wide objects are, whatever their shape and number."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rwkvseg.engine.widths import median_width, object_width
from tests.engine.shapes import disc, stripe


@pytest.mark.parametrize("width", [12, 30, 90])
def test_the_width_of_a_disc_is_its_diameter(width: int) -> None:
    assert object_width([disc(width)]) == pytest.approx(width, rel=0.2)


def test_a_line_is_thin_however_long() -> None:
    assert object_width([stripe(8)]) == pytest.approx(1.5 * 8, rel=0.3)


def test_specks_and_classes_count_little() -> None:
    truth = disc(60)
    truth[::16, ::16] = 2
    assert object_width([truth]) == pytest.approx(object_width([disc(60)]), rel=0.1)


@pytest.mark.parametrize("truth", [np.zeros((9, 9), int), np.ones((9, 9), int)])
def test_without_a_border_there_is_no_width(truth: np.ndarray) -> None:
    assert object_width([truth]) == 0
    assert median_width([[truth]]) == 0


def test_images_count_alike_and_those_without_objects_not_at_all() -> None:
    images = [[disc(20)], [disc(20), disc(20)], [disc(90)], [np.zeros((8, 8), int)]]
    assert median_width(images) == pytest.approx(object_width([disc(20)]))
