"""What of a newer result may replace the mask, and under which numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.workflow.correct.material import Material
from napari_rwkvseg.workflow.correct.merging import merge, translated
from tests.corrected import model

WHOLE = (slice(0, 1), slice(0, 8))
FIRST = ((slice(0, 1), slice(0, 1)),)
IMAGE = ImageData(np.zeros((1, 8), np.float32), "yx", (1.0, 1.0), ("pixel", "pixel"), "row")


def material(
    mask: list[int], written: list[int], reviewed: Any = (), objects: bool = True
) -> Material:
    """One row of eight pixels."""
    shown, base = (np.array([values], np.int32) for values in (mask, written))
    prediction = Prediction(np.zeros((1, 1, 8), np.float16), WHOLE, (1, 8), model().card)
    return Material(IMAGE, shown, base, reviewed, ("disc",), objects, prediction)


def merged(what: Material, new: list[int], region: Any = WHOLE) -> list[int]:
    labels, index = merge(what, np.array([new], np.int32), region)
    result: NDArray[Any] = what.mask.copy()
    result[index] = labels[index]
    found: list[int] = result[0].tolist()
    return found


def test_an_object_of_which_a_part_was_accepted_stays_whole() -> None:
    row = [5, 5, 5, 0, 0, 7, 7, 0]
    assert merged(material(row, row), [0, 0, 0, 0, 1, 1, 1, 0]) == [0, 0, 0, 0, 7, 7, 7, 0]
    assert merged(material(row, row, FIRST), [0, 0, 0, 0, 1, 1, 1, 0]) == [5, 5, 5, 0, 7, 7, 7, 0]


def test_what_was_painted_stays() -> None:
    what = material([0, 0, 9, 0, 0, 0, 0, 0], [0] * 8)
    assert merged(what, [0, 1, 1, 1, 0, 0, 0, 0]) == [0, 10, 9, 10, 0, 0, 0, 0]


def test_objects_keep_their_numbers_and_new_ones_get_free_ones() -> None:
    what = material([4, 4, 4, 0, 0, 2, 2, 0], [4, 4, 4, 0, 0, 2, 2, 0])
    assert merged(what, [1, 1, 2, 2, 0, 3, 0, 4]) == [4, 4, 6, 6, 0, 2, 0, 8]


def test_nothing_changes_outside_of_the_region() -> None:
    what = material([0] * 8, [0] * 8, objects=False)
    assert merged(what, [1] * 8, (slice(0, 1), slice(2, 4))) == [0, 0, 1, 1, 0, 0, 0, 0]


def test_classes_are_matched_by_name() -> None:
    card = model(class_names=("a", "b")).card
    probability = np.stack([np.full((1, 8), p, np.float16) for p in (0.25, 0.5)])
    found = translated(Prediction(probability, WHOLE, (1, 8), card), ("b", "c"))
    assert found.probability[:, 0, 0].tolist() == [0.5, 0.0]
    assert found.card.class_names == ("b", "c")
