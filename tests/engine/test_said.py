"""What a model said of a pixel, and why its mask shows something else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.prediction import Prediction
from napari_rwkvseg.engine.said import Cause, Change, Said, Stored

SMALL, LARGE, HOLE, OUTSIDE = (2, 2), (8, 8), (8, 10), (14, 14)


def probabilities() -> NDArray[np.float16]:
    """Two finds: one small, one large with a hole."""
    found = np.full((16, 16), 0.1, np.float16)
    found[1:4, 1:4] = 0.75
    found[6:13, 6:13] = 0.875
    found[8, 10] = 0.25
    return found


def stored(
    options: MaskOptions, *found: NDArray[np.float16], axes: str = "yx", peak: float = 0.0
) -> Stored:
    """Return what is kept of an image whose classes have these probabilities."""
    probability = np.stack(found or (probabilities(),))
    shape = probability.shape[1:]
    names = tuple("abc"[: len(probability)])
    card = ModelCard("x", "X", "", names, min_size=0, peak=peak)
    region = tuple(slice(0, side) for side in shape)
    image = interpret(np.zeros(shape, np.uint8), axes=axes, name="x")
    return Stored(Prediction(probability, region, shape, card), image, options)


def said(options: MaskOptions, place: tuple[int, ...], peak: float = 0.0) -> Said:
    found = stored(options, peak=peak).at(place)
    assert found is not None
    return found


@pytest.mark.parametrize("place", [SMALL, LARGE, HOLE, OUTSIDE])
def test_the_mask_shows_the_likeliest_class_unless_asked_for_less(place: tuple[int, int]) -> None:
    found = said(MaskOptions(), place)
    value = float(probabilities()[place])
    assert found.probability.tolist() == pytest.approx([1 - value, value])
    assert (found.likeliest, found.shown, found.causes) == (int(value >= 0.5),) * 2 + ((),)


@pytest.mark.parametrize(
    ("options", "place", "causes"),
    [
        (MaskOptions(min_size=20), SMALL, (Cause.SIZE,)),
        (MaskOptions(peak=0.8), SMALL, (Cause.DOUBT,)),
        (MaskOptions(min_size=20, peak=0.8), SMALL, (Cause.SIZE, Cause.DOUBT)),
        (MaskOptions(min_size=20, separate=True), SMALL, (Cause.SIZE,)),
        (MaskOptions(threshold=0.8), SMALL, (Cause.THRESHOLD,)),
        (MaskOptions(threshold=0.2), HOLE, (Cause.THRESHOLD,)),
        (MaskOptions(fill_holes=True), HOLE, (Cause.HOLES,)),
        (MaskOptions(min_size=20), LARGE, ()),
    ],
)
def test_the_cause_is_what_was_asked_of_the_mask(
    options: MaskOptions, place: tuple[int, int], causes: tuple[Cause, ...]
) -> None:
    assert said(options, place).causes == causes


def test_what_is_left_to_the_model_is_what_its_card_says() -> None:
    found = said(MaskOptions(), SMALL, peak=0.8)
    assert (found.causes, found.options.peak) == ((Cause.DOUBT,), 0.8)


def test_finds_are_as_large_as_in_their_stack_but_not_in_others() -> None:
    frames = np.full((2, 3, 16, 16), 0.1, np.float16)  # (t, z, y, x)
    frames[0, :, 1:4, 1:4] = frames[1, 1, 1:4, 1:4] = 0.75
    kept = stored(MaskOptions(min_size=20), frames, axes="tzyx")
    through, alone = kept.at((0, 1, 2, 2)), kept.at((1, 1, 2, 2))
    assert through is not None
    assert alone is not None
    assert (through.shown, alone.shown, alone.causes) == (1, 0, (Cause.SIZE,))


def test_beyond_the_region_nothing_was_said() -> None:
    whole = stored(MaskOptions())
    lower = replace(
        whole.prediction,
        probability=whole.prediction.probability[:, 4:],
        region=(slice(4, 16), slice(0, 16)),
    )
    kept = replace(whole, prediction=lower)
    assert kept.at(SMALL) is None
    inside = kept.at(LARGE)
    assert inside is not None
    assert inside.of(1) == pytest.approx(0.875)


def test_an_object_is_of_the_class_that_the_model_gave_it() -> None:
    weak, strong = np.full((16, 16), 0.25, np.float16), np.full((16, 16), 0.625, np.float16)
    found = stored(MaskOptions(separate=True), weak, strong).at((1, 1))
    assert found is not None
    before, after = np.full((16, 16), 5), np.zeros((16, 16), int)
    assert Change((1, 1), before, after, ("a", "b"), objects=True).classes(found) == (2, 0)
    assert Change((1, 1), before, after + 7, ("a", "b"), objects=True).classes(found) == (2, 2)
    assert found.of(3) == 0  # a class that a person added
    assert Change((1, 1), before, after, ("a",)).names(0, 1, 2) == ("background", "a", "class 2")
