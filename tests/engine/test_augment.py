"""Random views keep image and truth together and stay within their ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_rwkvseg.engine.augment import Augmentation, draw_view, expose
from napari_rwkvseg.engine.dataset import Sample

PLAIN = Augmentation(
    scale=1, free_rotation=0, gamma=1, contrast=0, brightness=0, colour=0,
    grey=0, invert=0, blur=0, noise=0,
)  # fmt: skip


def halves(height: int = 48, width: int = 64) -> Sample:
    """The left half bright and foreground."""
    truth = np.zeros((height, width), np.uint8)
    truth[:, : width // 2] = 1
    return Sample("halves", truth[..., None].repeat(3, 2).astype(np.float32), truth)


def test_calmer_views_differ_by_a_part_and_turn_as_before() -> None:
    whole = Augmentation(elastic=0.1)
    assert whole.calmer(1.0) == whole
    still = replace(PLAIN, free_rotation=whole.free_rotation)
    assert whole.calmer(0.0) == still
    half = whole.calmer(0.5)
    assert half.scale == pytest.approx(whole.scale**0.5)
    assert (half.noise, half.elastic) == pytest.approx((whole.noise / 2, 0.05))
    assert (half.turn, half.mirror, half.quarters) == (whole.turn, whole.mirror, whole.quarters)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), crop=st.integers(16, 80))
def test_image_and_truth_move_together(seed: int, crop: int) -> None:
    geometry = Augmentation(
        gamma=1, contrast=0, brightness=0, colour=0, grey=0, invert=0, blur=0, noise=0
    )
    view, label = draw_view(halves(), crop, geometry, np.random.default_rng(seed))
    assert view.shape == (3, crop, crop)
    assert label.dtype == torch.int64
    inside = view[0] > 0.99
    outside = view[0] < 0.01
    assert (label[inside] == 1).all()
    assert (label[outside] == 0).all()
    assert (inside | outside).float().mean() > 0.7  # the rest is the interpolated edge


@pytest.mark.parametrize("seed", range(8))
def test_plain_views_of_the_whole_image_are_its_eight_symmetries(seed: int) -> None:
    image = np.arange(32 * 32, dtype=np.float32).reshape(32, 32) / 1024
    sample = Sample("ramp", image[..., None], np.zeros((32, 32), np.uint8))
    view, _ = draw_view(sample, 32, PLAIN, np.random.default_rng(seed))
    turns = [np.rot90(side, k) for side in (image, image.T) for k in range(4)]
    assert any(np.allclose(view[0].numpy(), turn, atol=1e-3) for turn in turns)


def test_all_eight_symmetries_occur() -> None:
    image = np.arange(32 * 32, dtype=np.float32).reshape(32, 32) / 1024
    sample = Sample("ramp", image[..., None], np.zeros((32, 32), np.uint8))
    corners = {
        tuple(view[0, [0, 0, -1], [0, -1, 0]].mul(100).round().int().tolist())
        for view, _ in (draw_view(sample, 32, PLAIN, np.random.default_rng(s)) for s in range(60))
    }
    assert len(corners) == 8


def test_magnification_stays_within_its_range() -> None:
    widths = []
    for seed in range(40):
        geometry = Augmentation(**{**PLAIN.__dict__, "scale": 2.0})
        _, label = draw_view(halves(200, 200), 64, geometry, np.random.default_rng(seed))
        widths.append(float(label.float().mean()))
    assert min(widths) < 0.3 < 0.7 < max(widths)


def test_a_plain_exposure_changes_nothing() -> None:
    image = torch.rand(3, 8, 8)
    assert torch.allclose(expose(image, PLAIN, np.random.default_rng(0)), image, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"invert": 1.0}, lambda image: 1 - image),
        ({"grey": 1.0}, lambda image: image.mean(0, keepdim=True).expand(3, -1, -1)),
    ],
)
def test_single_exposures_do_what_they_say(change: dict[str, float], expected: object) -> None:
    image = torch.rand(3, 8, 8)
    augmentation = Augmentation(**{**PLAIN.__dict__, **change})
    assert callable(expected)
    exposed = expose(image, augmentation, np.random.default_rng(0))
    torch.testing.assert_close(exposed, expected(image), rtol=1e-5, atol=1e-5)


def test_defocus_keeps_the_mean_and_lowers_the_contrast() -> None:
    image = (torch.arange(32) % 2).float().expand(1, 32, 32)
    augmentation = Augmentation(**{**PLAIN.__dict__, "blur": 1.0})
    blurred = expose(image, augmentation, np.random.default_rng(0))
    assert blurred[:, 4:-4, 4:-4].std() < 0.5 * image.std()
    assert float(blurred[:, 4:-4, 4:-4].mean()) == pytest.approx(0.5, abs=0.02)


def test_noise_is_there_and_small() -> None:
    image = torch.full((1, 64, 64), 0.5)
    augmentation = Augmentation(**{**PLAIN.__dict__, "noise": 1.0})
    noisy = expose(image, augmentation, np.random.default_rng(0))
    assert 0.008 < float(noisy.std()) < 0.09
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.01)


def geometry(**changes: float | bool) -> Augmentation:
    return replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_without_quarters_and_mirror_a_plain_view_is_the_image() -> None:
    image = np.arange(32 * 32, dtype=np.float32).reshape(32, 32) / 1024
    sample = Sample("ramp", image[..., None], np.zeros((32, 32), np.uint8))
    for seed in range(10):
        upright = geometry(quarters=False, mirror=0.0)
        view, _ = draw_view(sample, 32, upright, np.random.default_rng(seed))
        assert np.allclose(view[0].numpy(), image, atol=1e-3)


def test_a_mirror_exchanges_left_and_right_only() -> None:
    always = geometry(quarters=False, mirror=1.0)
    view, label = draw_view(halves(64, 64), 64, always, np.random.default_rng(0))
    assert label[:, :30].sum() == 0
    assert label[:, 34:].min() == 1
    assert view[0, :, 34:].min() > 0.99


def test_free_turns_stay_within_their_angle() -> None:
    tilted = geometry(quarters=False, mirror=0.0, free_rotation=1.0, turn=20.0)
    angles = []
    for seed in range(40):
        _, label = draw_view(halves(128, 128), 64, tilted, np.random.default_rng(seed))
        widths = label.sum(dim=1).float()  # of the bright side, row by row
        if widths.min() > 0 and widths.max() < 64:  # the edge crosses every row
            slope = float(widths[-1] - widths[0]) / 63
            angles.append(np.degrees(np.arctan(slope)))
    assert len(angles) > 20
    assert -21 < min(angles) < -10
    assert 10 < max(angles) < 21


def test_a_deformation_bends_edges_smoothly_and_within_its_reach() -> None:
    soft = geometry(quarters=False, mirror=0.0, elastic=0.1)
    _, label = draw_view(halves(64, 64), 64, soft, np.random.default_rng(3))
    widths = label.sum(dim=1)
    assert widths.unique().numel() > 3
    assert (widths - 32).abs().max() <= 0.1 * 64 * 1.3 + 1  # cubic pieces overshoot a little
    assert widths.diff().abs().max() <= 2


def test_a_small_image_lies_anywhere_in_the_view() -> None:
    """Where it is segmented it lies in a corner; always in the middle would be another picture."""
    places = []
    for seed in range(20):
        sample = Sample("dot", np.zeros((9, 9, 1), np.float32), np.zeros((9, 9), np.uint8))
        sample.truth[4, 4] = 1
        _, label = draw_view(sample, 11, replace(PLAIN, mirror=0), np.random.default_rng(seed))
        places.append(int(label.flatten().argmax()))
    assert len(set(places)) > 4
