"""Networks against held-out corrections: pixels that are right, found and wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_rwkvseg.api import Segmenter
from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.comparison import (
    HeldOut,
    block_pixels,
    block_places,
    count_pixels,
    quarters,
    through_planes,
)
from napari_rwkvseg.engine.doubt import Limits
from napari_rwkvseg.engine.evidence import UNSEEN
from napari_rwkvseg.engine.holdout import block_areas
from napari_rwkvseg.engine.image import interpret
from napari_rwkvseg.engine.prediction import PredictOptions
from napari_rwkvseg.engine.progress import Cancelled, CancelToken, finish
from napari_rwkvseg.engine.scale import with_shrink
from tests.corrected import CPU, corrected, model, network

WHOLE = (slice(None), slice(None))


def test_only_held_out_pixels_with_evidence_are_counted() -> None:
    plane = corrected()
    levels = plane.levels.copy()
    levels[:8] = UNSEEN
    truth = np.where(levels == UNSEEN, 1, plane.truth)
    held = HeldOut(
        replace(plane, levels=levels, truth=truth),
        ((slice(0, 16), slice(0, 16)), (slice(16, 32), slice(0, 64))),
    )
    found = finish(count_pixels(network(), [held], [1], CPU))
    truth = np.where(levels == UNSEEN, 0, plane.truth)
    wanted = [
        [truth[rows : rows + 8, :8].sum(), truth[rows : rows + 8, 8:16].sum()] for rows in (0, 8)
    ]
    assert found.shape == (2, 4, 1, 3)
    assert found[0, :, 0].tolist() == [[pixels] * 3 for row in wanted for pixels in row]
    assert found[1].sum(axis=0).tolist() == [[truth[16:32].sum()] * 3]
    assert block_pixels([held]).tolist() == [[0, 0, 64, 64], [8 * 32] * 4]
    assert [(place.image, place.rows) for place in block_places([held])] == [
        ("image 0", (0, 16)),
        ("image 0", (16, 32)),
    ]


def test_a_block_is_one_through_all_planes_of_an_image() -> None:
    left, right = (slice(0, 64), slice(0, 32)), (slice(0, 64), slice(32, 64))
    stack = [HeldOut(corrected(0, plane=plane), (left, right)) for plane in range(3)]
    places = block_places([*stack, HeldOut(corrected(1), (left,)), HeldOut(corrected(1), (right,))])
    counts = np.arange(8.0)[:, None] * [1, 10]
    assert through_planes(counts, places).tolist() == [[6, 60], [9, 90], [6, 60], [7, 70]]
    again = replace(stack[0], replay=True)
    assert len(set(block_places([stack[0], again]))) == 4


def test_a_class_the_model_does_not_know_is_not_found() -> None:
    plane = corrected()
    both = replace(plane, truth=plane.truth * 2)
    found = finish(count_pixels(network(), [HeldOut(both, (WHOLE,))], [1, None], CPU))
    wanted = plane.truth.sum()
    assert found[0].sum(axis=0).tolist() == [[0, wanted, 0], [0, 0, wanted]]


@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_quarters_cover_a_block_once(height: int, width: int) -> None:
    block = np.arange(height * width).reshape(height, width)
    assert sorted(np.concatenate([part.ravel() for part in quarters(block)])) == list(
        range(height * width)
    )


def test_large_planes_are_read_block_by_block_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = HeldOut(corrected(), ((slice(16, 32), slice(48, 64)), (slice(32, 48), slice(0, 16))))
    whole = finish(count_pixels(network(), [held], [1], CPU))
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.WHOLE", 32)
    assert (finish(count_pixels(network(), [held], [1], CPU)) == whole).all()


@pytest.mark.parametrize(("grown", "sides"), [(1, [24, 24]), (1.5, [28, 28]), (2, [64])])
def test_what_is_read_at_once_grows_with_the_scale(
    grown: float, sides: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.WHOLE", 32)
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.CONTEXT", 4)
    judged, seen = network(), list[int]()
    judged.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].shape[-1]))
    held = HeldOut(corrected(), ((slice(16, 32), slice(8, 24)), (slice(32, 48), slice(40, 56))))
    finish(count_pixels(judged, [held], [1], CPU, grown=grown))
    assert seen == sides


def test_specks_do_not_count_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = corrected()
    truth = plane.truth.copy()
    parts = ndimage.label(truth)[0]
    sizes = np.bincount(parts.ravel())[1:]
    least = int(np.median(sizes)) + 1
    kept = sizes[sizes >= least].sum()
    held = HeldOut(plane, (WHOLE,))
    found = finish(count_pixels(network(), [held], [1], CPU, limits=Limits(min_size=least)))
    assert found[0].sum(axis=0).tolist() == [[kept, kept, truth.sum()]]
    assert 0 < kept < truth.sum()
    # a part that a window of a large plane cuts may be large: of it nothing is left out
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.WHOLE", 32)
    monkeypatch.setattr("napari_rwkvseg.engine.comparison.CONTEXT", 0)
    held = HeldOut(plane, tuple(block_areas(truth.shape).values()))
    found = finish(count_pixels(network(), [held], [1], CPU, limits=Limits(min_size=10_000)))
    cut = sum(_touching(truth[area]) for area in held.blocks)
    assert found.sum(axis=(0, 1)).tolist() == [[cut, cut, truth.sum()]]


def _touching(mask: np.ndarray) -> int:
    """Pixels of the parts of a mask that touch its border."""
    parts, _ = ndimage.label(mask)
    edges = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return int(np.isin(parts, edges[edges > 0]).sum())


@pytest.mark.parametrize(("shrink", "passes"), [(1, 1), (2, 4)])
def test_a_network_is_judged_as_it_will_segment(shrink: int, passes: int) -> None:
    judged = with_shrink(network(), shrink)
    seen: list[torch.Tensor] = []
    judged.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    plane = corrected()
    plane.image[:] -= plane.image.min()
    plane.image[:] /= plane.image.max()
    found = finish(count_pixels(judged, [HeldOut(plane, (WHOLE,))], [1], CPU))
    assert len(seen) == passes
    segmenter = Segmenter(Model(judged, model().card), PredictOptions(device="cpu", threads=1))
    image = interpret(plane.image[..., 0], name="image")
    assert found[0, :, 0, 1].sum() == segmenter.predict(image).sum()


def test_a_comparison_can_be_cancelled() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        finish(count_pixels(network(), [HeldOut(corrected(), (WHOLE,))], [1], CPU, token))
