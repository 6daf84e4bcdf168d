"""The scale at which a network reads: found from the objects, the weights kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.evidence import CHANGED, REVIEWED, UNSEEN, Evidence
from napari_rwkvseg.engine.progress import Cancelled, CancelToken
from napari_rwkvseg.engine.scale import (
    LEAST_SIDE,
    MEASURED_SIDE,
    MOST_SHRUNK,
    at_frame,
    evidence_width,
    fitting_shrink,
    frame_side,
    shrunk,
    shrunk_sample,
    size_before,
    with_shrink,
)
from napari_rwkvseg.engine.widths import object_width
from napari_rwkvseg.network.model import rebuilt
from tests.corrected import CONFIG, model, network
from tests.engine.shapes import disc, stripe


def piece(truth: np.ndarray, levels: np.ndarray, name: str = "a") -> Evidence:
    return Evidence(name, 0, np.zeros((*truth.shape, 1)), truth, levels)


def test_what_nobody_saw_is_no_object() -> None:
    truth = np.maximum(disc(20), np.roll(stripe(40), 40, axis=1))
    levels = np.where(np.indices(truth.shape)[1] < 76, REVIEWED, UNSEEN).astype(np.uint8)
    assert evidence_width([piece(truth, levels)]) == pytest.approx(object_width([disc(20)]))


def test_pieces_of_an_image_are_one_image() -> None:
    seen = np.full((128, 128), REVIEWED, np.uint8)
    pieces = [piece(disc(20), seen, name) for name in "aaabc"] + [piece(disc(80), seen, "d")]
    assert evidence_width(pieces) == pytest.approx(object_width([disc(20)]))
    assert evidence_width(pieces * 100) == pytest.approx(object_width([disc(20)]))


def test_slivers_of_objects_that_are_held_out_do_not_count() -> None:
    seen = np.full((128, 128), REVIEWED, np.uint8)
    sliver = np.zeros((128, 128), np.uint8)
    sliver[60:70, :2] = 1
    shown = [piece(disc(60), seen, "a"), piece(disc(80), seen, "b")]
    cut_off = [piece(sliver, seen, name) for name in "cde"]
    nothing = [piece(np.zeros_like(sliver), seen, name) for name in "fgh"]
    expected = evidence_width(shown)
    assert evidence_width([*shown, *nothing]) == expected
    assert evidence_width([*shown, *cut_off[:1], *nothing]) == expected
    assert evidence_width(cut_off) > 0  # where there is nothing else


def test_of_a_large_piece_the_part_around_its_middle_object_is_measured() -> None:
    truth = np.zeros((40, 4 * MEASURED_SIDE), np.uint8)
    truth[:, -40:] = disc(20, 40)
    truth[18:21, :30] = 1  # so far away that it is not seen
    seen = np.full(truth.shape, REVIEWED, np.uint8)
    assert evidence_width([piece(truth, seen)]) == pytest.approx(object_width([disc(20, 40)]))
    nothing = piece(np.zeros_like(truth), seen)
    assert evidence_width([nothing]) == 0


def test_measuring_can_be_cancelled() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        evidence_width([piece(disc(20), np.full((128, 128), REVIEWED, np.uint8))], token)


@pytest.mark.parametrize(
    ("shrink", "learnt", "wanted", "side", "expected"),
    [
        (1, 20, 22, 512, 1),
        (1, 20, 60, 512, 4),
        (1, 20, 40, 512, 2),
        (1, 20, 27, 512, 1),  # near enough: nothing that was learnt is given up
        (1, 20, 50, 512, 4),  # between two and four: the coarser costs less and shows more
        (4, 60, 38, 512, 4),
        (1, 20, 1000, 4096, MOST_SHRUNK),
        (1, 20, 100, 3 * LEAST_SIDE, 2),  # four would be too much for images of this size
        (4, 60, 55, 512, 4),
        (4, 60, 15, 512, 1),
        (2, 120, 30, 512, 1),
        (1, 20, 5, 512, 1),
        (4, 60, 70, LEAST_SIDE, 4),
        (1, 0, 100, 512, 1),
        (1, 20, 0, 512, 1),
    ],
)
def test_objects_are_to_look_as_wide_as_those_learnt(
    shrink: int, learnt: float, wanted: float, side: int, expected: int
) -> None:
    config = replace(CONFIG, shrink=shrink)
    assert fitting_shrink(config, learnt, wanted, side) == expected


def test_a_network_that_enlarges_stays_as_it_is() -> None:
    assert fitting_shrink(replace(CONFIG, enlarge=2), 10, 100, 512) == 1


@given(
    learnt=st.floats(1, 500),
    wanted=st.floats(1, 500),
    shrink=st.sampled_from([1, 2, 4, 8]),
    side=st.integers(16, 4096),
)
def test_the_scale_is_a_power_of_two_and_stays_once_it_fits(
    learnt: float, wanted: float, shrink: int, side: int
) -> None:
    config = replace(CONFIG, shrink=shrink)
    found = fitting_shrink(config, learnt, wanted, side)
    assert found in (1, 2, 4, 8)
    assert found == shrink or found <= max(shrink, side // LEAST_SIDE)
    assert fitting_shrink(replace(config, shrink=found), wanted, wanted, side) == found


def test_the_weights_are_kept_and_what_is_read_is_smaller() -> None:
    start = network()
    half = with_shrink(start, 2)
    assert half.config.shrink == 2
    assert start.config.shrink == 1
    state = half.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in start.state_dict().items())
    image = torch.rand(1, 1, 64, 64)  # whole cells at both scales: nothing is padded
    coarse = torch.nn.functional.avg_pool2d(image, 2)
    with torch.inference_mode():
        expected = torch.nn.functional.interpolate(
            start(coarse), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        assert torch.allclose(half(image), expected, atol=1e-5)


def test_a_shrunk_piece_shows_what_the_network_would_average() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((6, 10, 3), np.float32)
    nothing = np.zeros((6, 10), np.uint8)
    found = shrunk(Evidence("a", 3, image, nothing, nothing), 2)
    pixels = torch.from_numpy(image).movedim(-1, 0)
    expected = torch.nn.functional.avg_pool2d(pixels, 2).movedim(0, -1)
    np.testing.assert_allclose(found.image, expected.numpy(), rtol=1e-6)
    assert (found.image_id, found.plane, found.truth.shape) == ("a", 3, (3, 5))


def test_a_block_counts_if_any_pixel_does_as_what_most_of_these_are() -> None:
    truth = np.array([[2, 2, 1, 0], [2, 1, 1, 0], [0, 0, 2, 2], [0, 0, 2, 2]], np.uint8)
    levels = np.zeros_like(truth)
    levels[:2] = REVIEWED
    levels[0, 0] = UNSEEN  # two votes for 2 and one for 1, so that it stays 2
    levels[1, 3] = UNSEEN  # two votes for 1 against one for background
    levels[2, 0] = CHANGED  # a single pixel, erased by hand
    found = shrunk(piece(truth, levels), 2)
    assert found.truth[found.seen].tolist() == [2, 1, 0]
    assert found.levels.tolist() == [[REVIEWED, REVIEWED], [CHANGED, UNSEEN]]


def test_pixels_that_nobody_saw_have_no_vote() -> None:
    truth = np.array([[2, 2], [2, 1]], np.uint8)
    levels = np.array([[UNSEEN, UNSEEN], [UNSEEN, REVIEWED]], np.uint8)
    assert shrunk(piece(truth, levels), 2).truth.tolist() == [[1]]


@given(
    side=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    shrink=st.sampled_from([1, 2, 4, 8]),
    value=st.floats(0, 1, width=16),
)
def test_the_edge_of_a_shrunk_piece_is_neither_darkened_nor_lost(
    side: tuple[int, int], shrink: int, value: float
) -> None:
    image = np.full((*side, 1), value, np.float16)
    ones = np.ones(side, np.uint8)
    found = shrunk(Evidence("a", 0, image, ones, REVIEWED * ones), shrink)
    assert found.truth.shape == tuple(-(-length // shrink) for length in side)
    assert found.image.dtype == np.float16
    np.testing.assert_allclose(found.image, value, atol=1e-3)
    assert found.seen.all()
    assert (found.truth == 1).all()


def test_a_shrunk_sample_is_what_a_reviewed_piece_of_it_is() -> None:
    rng = np.random.default_rng(1)
    image = rng.random((7, 10, 3), np.float32).astype(np.float16)
    truth = rng.integers(0, 3, (7, 10)).astype(np.uint8)
    found = shrunk_sample(Sample("a", image, truth, record="r", source="s"), 2)
    expected = shrunk(Evidence("a", 0, image, truth, np.full_like(truth, REVIEWED)), 2)
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.truth, expected.truth)
    assert (found.name, found.record, found.source) == ("a", "r", "s")
    assert (found.image.dtype, found.truth.dtype) == (np.float16, np.uint8)


def test_a_sample_that_is_not_shrunk_is_not_copied() -> None:
    sample = Sample("a", np.zeros((2, 2, 1), np.float32), np.zeros((2, 2), np.uint8))
    assert shrunk_sample(sample, 1) is sample


def of_frames(side: float, shrink: int = 2, **card: float) -> Model:
    made = model(frame_side=side, **card)
    return replace(made, network=with_shrink(made.network, shrink))


def test_the_side_of_a_frame_is_that_of_a_square_as_large() -> None:
    assert frame_side((90, 160)) == 120


@pytest.mark.parametrize(
    ("side", "shrink"),
    [(352, 2), (470, 2), (480, 3), (704, 4), (1056, 6), (1240, 7), (200, 2), (10, 2)],
)
def test_larger_frames_are_brought_to_the_size_of_those_learnt(side: float, shrink: int) -> None:
    start = of_frames(352, object_width=100, min_size=30)
    fitted = at_frame(start, side)
    assert fitted.network.config.shrink == shrink
    assert fitted.card.frame_side == pytest.approx(352 * shrink / 2)
    assert fitted.card.object_width == pytest.approx(100 * shrink / 2)
    assert (fitted is start) == (shrink == 2)
    assert (fitted.sha256, fitted.card.min_size) == (start.sha256, math.ceil(30 * shrink**2 / 4))
    assert (start.network.config.shrink, start.card.frame_side) == (2, 352)


def test_a_model_that_has_learnt_no_frames_or_enlarges_stays_as_it_is() -> None:
    without = of_frames(0)
    assert at_frame(without, 4000) is without
    enlarging = model(frame_side=64)
    config = replace(enlarging.network.config, enlarge=2)
    enlarging = replace(enlarging, network=rebuilt(enlarging.network, config))
    assert at_frame(enlarging, 4000) is enlarging


@given(size=st.integers(0, 10**6), side=st.floats(1, 20_000), shrink=st.integers(1, 8))
def test_sizes_go_to_larger_frames_and_back(size: int, side: float, shrink: int) -> None:
    fitted = at_frame(of_frames(352, shrink, min_size=size), side)
    assert size_before(fitted.card.min_size, fitted.network.config.shrink, shrink) == size


@given(learnt=st.floats(32, 2000), side=st.floats(1, 20_000), shrink=st.integers(1, 8))
def test_a_frame_that_was_fitted_fits(learnt: float, side: float, shrink: int) -> None:
    start = of_frames(learnt, shrink)
    fitted = at_frame(start, side)
    assert at_frame(fitted, side) is fitted
    read = side / fitted.network.config.shrink  # pixels that the network sees
    if side >= learnt:
        assert 0.84 <= read / (learnt / shrink) <= 1.71
    else:
        assert fitted is start
