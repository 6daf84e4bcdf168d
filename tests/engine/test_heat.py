"""Heat maps hold the weights of the trace, where the tokens lie."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rwkvseg.engine.explain import Explanation, explain
from napari_rwkvseg.engine.heat import field_heat, percent
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.engine.tiles import Tile
from napari_rwkvseg.network.receptive_field import ReceptiveField
from tests.recording import scanning_model

PIXEL = (37, 61)


@pytest.fixture(scope="module")
def found() -> Explanation:
    image = interpret(np.random.default_rng(3).random((50, 70)), name="noise")
    return finish(explain(scanning_model(), image))


def test_a_look_is_the_mean_weight_over_the_channels_of_the_head(found: Explanation) -> None:
    heat = found.look(0, 3, PIXEL)  # stride 8, 8 × 12 cells, 7 × 9 shown
    token = 4 * 12 + 7
    weights = found.trace.layers[0].weights(3, token).mean(1).reshape(8, 12)[:7, :9]
    np.testing.assert_allclose(heat.values, weights.numpy(), rtol=1e-6)
    assert (heat.stride, heat.origin) == (8, (3.5, 3.5))


def test_what_the_padding_takes_is_told(found: Explanation) -> None:
    heat = found.look(0, 3, PIXEL)
    outside = 1 - heat.values.sum()
    assert outside > 0.005
    assert heat.text.endswith(f"{percent(outside)} on the padding beyond the image")


def test_a_window_is_all_a_windowed_head_looks_at(found: Explanation) -> None:
    values = found.look(0, 0, PIXEL).values  # row snake in 8 × 8 windows
    assert values[:, 8:].sum() == 0
    assert values[:, :8].sum() > 0


def test_a_block_adds_its_heads_by_their_gates(found: Explanation) -> None:
    layer = found.trace.layers[1]
    parts = [
        found.look(1, head, PIXEL).values * float(layer.gate[0, head]) / 4 for head in range(4)
    ]
    np.testing.assert_allclose(found.look(1, None, PIXEL).values, sum(parts), rtol=1e-5, atol=1e-9)


def test_words_show_the_four_quarters_of_their_cell(found: Explanation) -> None:
    heat = found.words(2, PIXEL)  # sentences of 8 pixels: rows 32..39, columns 56..63
    assert (heat.stride, heat.origin) == (4, (33.5, 57.5))
    sentence = 4 * 12 + 7
    weights = found.trace.words[2].weights(sentence)[1 + 3].mean(1)  # lower right word
    np.testing.assert_allclose(heat.values.ravel(), weights[1:].numpy(), rtol=1e-6)
    assert heat.text == (
        f"its sentence (the whole cell) {percent(float(weights[0]))}, "
        f"itself {percent(float(weights[4]))}"
    )


def test_a_field_tells_its_radii_in_the_units_of_the_image() -> None:
    gradient = np.zeros((31, 31), np.float32)
    gradient[10, 10] = gradient[10, 20] = 0.5
    field = ReceptiveField(10, 10, gradient)
    heat = field_heat(field, Tile(100, 200, 31, 31), 0.5, "µm")
    assert heat.text == "50 % within 0 µm, 95 % within 5 µm"
    assert (heat.stride, heat.origin, heat.values.shape) == (1, (100, 200), (31, 31))
    assert heat.values[10, 20] == pytest.approx(heat.values[10, 10])


@pytest.mark.parametrize(
    ("share", "text"), [(0.314, "31 %"), (0.01, "1 %"), (0.0042, "0.4 %"), (0, "0 %")]
)
def test_shares_are_told_in_percent(share: float, text: str) -> None:
    assert percent(share) == text
