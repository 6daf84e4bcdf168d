"""Why a pixel is wrong: what the network saw of the structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import finish
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


def test_a_small_structure_inside_a_window_was_within_reach() -> None:
    found = why(explained(), (20, 20), labels(slice(19, 22), slice(19, 22)), EMPTY)
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
    found = why(explained(), (20, 20), EMPTY, labels(slice(20, 21), slice(10, 90)))
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
    with pytest.raises(ValueError, match=r"\(1, 1\) was not changed"):
        why(explained(), (1, 1), EMPTY, EMPTY)


def test_lengths_are_told_in_the_units_of_the_image() -> None:
    found = explained()
    known = replace(found, image=replace(found.image, spacing=(2.0, 2.0), units=("µm", "µm")))
    told = why(known, (20, 20), EMPTY, labels(slice(19, 22), slice(19, 22))).sentences[1]
    assert told == "Its answer here depends to 50 % on the 5.7 µm around, to 95 % on 8.5 µm."
