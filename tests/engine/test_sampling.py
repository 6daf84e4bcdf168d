"""Rare kinds of image are drawn more often than their share, without any chance involved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.sampling import drawing_chances, group_kinds


def picture(level: float, seed: int, channels: int = 3) -> Sample:
    rng = np.random.default_rng(seed)
    image = level + rng.normal(0, 0.02, (32, 32, channels))
    return Sample(f"{level} {seed}", image.astype(np.float16), np.zeros((32, 32), np.uint8))


def test_a_rare_kind_gets_the_square_root_of_its_share() -> None:
    common = [picture(0.1, seed=0)] * 9
    rare = [picture(0.9, 99)]
    labels = group_kinds(np.array([[0.0, 0.0]] * 9 + [[5.0, 5.0]]))
    assert sorted(np.bincount(labels).tolist()) == [1, 9]
    chances = drawing_chances([*common, *rare])
    assert chances.sum() == pytest.approx(1)
    assert chances[-1] == pytest.approx(3 * chances[0])


def test_equal_images_have_equal_chances() -> None:
    chances = drawing_chances([picture(0.5, 1)] * 20)
    assert np.allclose(chances, 1 / 20)


def test_one_image_is_always_drawn() -> None:
    assert drawing_chances([picture(0.5, 1)]).tolist() == [1.0]


def test_the_same_samples_give_the_same_chances() -> None:
    samples = [picture(level, seed) for seed, level in enumerate(np.linspace(0, 1, 30))]
    assert np.array_equal(drawing_chances(samples), drawing_chances(samples))


def test_colour_tells_kinds_apart() -> None:
    grey = [picture(0.5, seed) for seed in range(12)]
    red = []
    for seed in range(4):
        image = picture(0.5, 50 + seed).image.copy()
        image[..., 0] += 0.4
        image[..., 1:] -= 0.2
        red.append(Sample("red", image, np.zeros((32, 32), np.uint8)))
    chances = drawing_chances([*grey, *red])
    assert chances[12:].min() > chances[:12].max()


def test_data_folders_are_drawn_alike_whatever_their_size() -> None:
    many = [replace(picture(0.1, seed), source="many") for seed in range(9)]
    few = [replace(picture(0.9, 99), source="few")]
    chances = drawing_chances([*many, *few])
    assert chances[-1] == pytest.approx(0.5)
    assert chances.sum() == pytest.approx(1)


def test_images_without_foreground_are_drawn_as_often_as_asked_for() -> None:
    shown, empty = picture(0.5, 1), picture(0.5, 1)
    shown.truth[0, 0] = 1
    assert drawing_chances([shown, empty], empty=0.25).tolist() == pytest.approx([0.8, 0.2])
    assert drawing_chances([empty, empty], empty=0.25).tolist() == pytest.approx([0.5, 0.5])
