"""Why a pixel is wrong: what the network saw of the structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.objects import MaskOptions
from napari_rwkvseg.engine.predict import PredictOptions
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.said import Cause, Change, Said
from napari_rwkvseg.engine.why import structure_at, why
from napari_rwkvseg.network.trace import NetworkTrace
from tests.fakes import BrightnessNetwork
from tests.recording import scanning_model

SIDE = 96


def explained() -> Explanation:
    """Scans in windows of 8 cells of 8 pixels; the answer itself depends on 7 × 7 pixels."""
    image = interpret(np.random.default_rng(4).random((SIDE, SIDE)), name="noise")
    found = finish(explain(scanning_model(), image))
    logits = BrightnessNetwork(1, context=7)(found.trace.logits[:, :1] * 0 + 0.6)
    trace = NetworkTrace(found.trace.layers, found.trace.words, logits.detach())
    return replace(found, network=BrightnessNetwork(1, context=7), trace=trace)  # type: ignore[arg-type]


def labels(rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), np.uint8)
    found[rows, columns] = 1
    return found


EMPTY = labels(slice(0), slice(0))
LINE = labels(slice(20, 21), slice(10, 90))


def changed(before: np.ndarray, after: np.ndarray, objects: bool = False) -> Change:
    return Change((20, 20), before, after, ("cell",), objects)


def said(cell: float, shown: int, *causes: Cause, options: MaskOptions | None = None) -> Said:
    probability = np.array([1 - cell, cell], np.float32)
    return Said(probability, int(cell >= 0.5), shown, causes, options or MaskOptions())


def test_a_small_structure_inside_a_window_was_within_reach() -> None:
    found = why(explained(), changed(labels(slice(19, 22), slice(19, 22)), EMPTY))
    assert (found.predicted, found.corrected, found.size) == ("cell", "background", 9)
    assert found.probability == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    assert found.corrected_probability == pytest.approx(1 - found.probability, abs=1e-6)
    assert found.most == pytest.approx(18**0.5)
    assert (found.seen, found.crossed) == (1, ())
    assert found.sentences == (
        "The model said cell with 88 %; background had 12 %. It was sure.",
        "Its answer here depends to 50 % on the 2.8 px around, to 95 % on 4.2 px.",
        "The structure lies within its reach.",
        "No window border cuts it: that is not the reason.",
    )


def test_a_long_structure_is_cut_by_windows_and_out_of_reach() -> None:
    found = why(explained(), changed(EMPTY, LINE))
    assert found.seen == pytest.approx(9 / 80)
    assert ("encoder level 1", 2) in found.crossed  # 12 cells of 8 px: windows of 8 and 4
    assert "Of the structure it saw only 11 %: the rest lies out of reach." in found.sentences
    assert any("(2 parts)" in sentence for sentence in found.sentences)
    assert found.structure.sum() == 80


def test_the_structure_of_an_erased_pixel_is_what_was_predicted_there() -> None:
    before = labels(slice(10, 20), slice(10, 20))
    after = before.copy()
    after[10:15] = 0
    assert structure_at((12, 12), before, after).sum() == 100


def test_the_structure_of_a_painted_pixel_is_the_connected_piece() -> None:
    after = labels(slice(10, 20), slice(10, 20))
    after[40:42, 40:42] = 1
    assert structure_at((40, 41), EMPTY, after).sum() == 4


def test_an_unchanged_pixel_has_nothing_to_explain() -> None:
    with pytest.raises(ValueError, match=r"\(20, 20\) was not changed"):
        why(explained(), changed(EMPTY, EMPTY))


def test_lengths_are_told_in_the_units_of_the_image() -> None:
    found = explained()
    known = replace(found, image=replace(found.image, spacing=(2.0, 2.0), units=("µm", "µm")))
    told = why(known, changed(EMPTY, LINE)).sentences[1]
    assert told == "Its answer here depends to 50 % on the 5.7 µm around, to 95 % on 8.5 µm."


def test_a_structure_is_as_large_as_in_the_plane_where_only_a_tile_was_read() -> None:
    image = interpret(np.random.default_rng(4).random((SIDE, 4 * SIDE)), name="noise")
    options = PredictOptions(tile=SIDE, overlap=8)
    found = finish(explain(scanning_model(), image, focus=(20, 20), options=options))
    assert (found.tile.width, found.tiles) == (SIDE, 5)
    empty = np.zeros((SIDE, 4 * SIDE), np.uint8)
    line = empty.copy()
    line[20] = 1
    told = why(found, changed(empty, line))
    assert told.size == 4 * SIDE
    assert told.seen <= 1 / 4  # no more of it lies in the tile
    assert any("it saw only" in sentence for sentence in told.sentences)
    assert {count for _, count in told.crossed} <= {2, 3}  # by the windows of this tile


def test_what_the_mask_was_made_of_counts_not_what_is_read_now() -> None:
    told = why(explained(), changed(LINE, EMPTY), said(0.75, 1))  # read now: 88 %
    assert (told.probability, told.corrected_probability) == (0.75, 0.25)
    assert told.sentences[0] == ("The model said cell with 75 %; background had 25 %. It was sure.")


@pytest.mark.parametrize(
    ("cause", "options", "reason"),
    [
        (Cause.SIZE, MaskOptions(min_size=40), "it is smaller than 40 px (Smallest)"),
        (Cause.DOUBT, MaskOptions(peak=0.99), "it is nowhere as sure as 99 % (Keep doubtful)"),
        (Cause.THRESHOLD, MaskOptions(threshold=0.99), "it is below the threshold of 99 %"),
    ],
)
def test_a_find_that_was_left_out_is_not_called_background(
    cause: Cause, options: MaskOptions, reason: str
) -> None:
    told = why(explained(), changed(EMPTY, LINE), said(0.98, 0, cause, options=options))
    assert told.sentences[0] == (
        f"The model found cell here with 98 %, but the mask leaves it out: {reason}."
    )


def test_a_find_may_be_left_out_for_two_reasons() -> None:
    options = MaskOptions(min_size=40, peak=0.99)
    left_out = said(0.98, 0, Cause.SIZE, Cause.DOUBT, options=options)
    assert why(explained(), changed(EMPTY, LINE), left_out).sentences[0] == (
        "The model found cell here with 98 %, but the mask leaves it out: it is smaller than 40 px "
        "(Smallest) and it is nowhere as sure as 99 % (Keep doubtful)."
    )


@pytest.mark.parametrize(
    ("cause", "options", "what"),
    [
        (Cause.HOLES, MaskOptions(fill_holes=True), "Fill holes"),
        (Cause.THRESHOLD, MaskOptions(threshold=0.1), "the threshold of 10 %"),
    ],
)
def test_what_only_the_mask_has_is_not_called_the_models(
    cause: Cause, options: MaskOptions, what: str
) -> None:
    told = why(explained(), changed(LINE, EMPTY), said(0.2, 1, cause, options=options))
    assert told.sentences[0] == f"The model said background with 80 %, but {what} made it cell."


def test_a_mask_from_an_older_reading_is_told_apart_from_the_model() -> None:
    told = why(explained(), changed(EMPTY, LINE))  # of which the model now says 88 %
    assert told.sentences[0] == (
        "The mask had background here, but not from what the model says now: it gives background "
        "12 % and cell 88 %."
    )


def test_touching_objects_are_structures_of_their_own() -> None:
    before = 5 * labels(slice(10, 30), slice(10, 30))
    after = before.copy()
    after[:, 20:] *= 2
    told = why(explained(), changed(before, after, objects=True), said(0.9, 1))
    assert (told.predicted, told.corrected, told.size) == ("cell", "cell", 200)
    assert told.sentences[0] == (
        "The model said cell with 90 %, as you do: which object a pixel belongs to is settled "
        "afterwards, where touching objects are parted."
    )
