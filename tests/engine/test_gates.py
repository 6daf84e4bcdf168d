"""Gates as tables: shares, means, differences."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rwkvseg.engine.explain import explain
from napari_rwkvseg.engine.gates import GateTable, compare, evenness, gate_table, mean_table
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.progress import finish
from napari_rwkvseg.network.trace import LayerPlace
from tests.recording import scanning_model


def table(name: str, *weights: float) -> GateTable:
    """One level of two blocks, two heads each, the first of them local."""
    places = tuple(LayerPlace("encoder", 0, block) for block in range(2))
    pairs = tuple(np.array(weights[i : i + 2]) for i in (0, 2))
    return GateTable(name, places, pairs, ((True, False),) * 2)


def test_a_level_is_local_by_the_weight_of_its_windowed_heads() -> None:
    assert table("a", 1.5, 0.5, 0.5, 1.5).local_share("encoder", 0) == 0.5
    assert table("a", 2.0, 0.0, 1.0, 1.0).local_share("encoder", 0) == 0.75


def test_the_distance_is_the_mean_difference_of_all_gates() -> None:
    assert table("a", 1, 1, 1, 1).distance(table("b", 1.2, 0.8, 1, 1)) == pytest.approx(0.1)


def test_a_mean_lies_between_its_images() -> None:
    mean = mean_table("both", [table("a", 2, 0, 1, 1), table("b", 0, 2, 1, 1)])
    assert (mean.name, [w.tolist() for w in mean.weights]) == ("both", [[1, 1], [1, 1]])


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        mean_table("none", [])


def test_the_difference_is_told_and_so_is_that_there_is_hardly_any() -> None:
    even = table("a", 1, 1, 1, 1)
    assert compare(even, table("b", 1.4, 0.6, 1, 1)) == (
        "The weights differ by 0.20 on average (1 is an even share)."
    )
    assert "hardly chooses by the image" in compare(even, table("b", 1.02, 0.98, 1, 1))


def test_tables_hold_the_gates_that_ran() -> None:
    image = interpret(np.random.default_rng(0).random((40, 40)), name="noise")
    layers = finish(explain(scanning_model(), image)).trace.layers
    found = gate_table("noise", layers)
    assert found.places == tuple(layer.place for layer in layers)
    np.testing.assert_array_equal(found.weights[1], layers[1].gate[0].double().numpy())
    assert found.local[0] == (True, True, True, False)
    assert found.local[2] == (False,) * 4


def test_heads_that_weigh_the_same_are_told_of_and_others_are_not() -> None:
    assert evenness(table("a", 1.02, 0.98, 1, 1)) == (
        "All heads weigh nearly the same here (1 ± 0.01): the network hardly chooses."
    )
    assert evenness(table("a", 1.4, 0.6, 1, 1)) == ""
