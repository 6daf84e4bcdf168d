"""The receptive field of networks made by hand, whose reach is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from napari_rwkvseg.network.config import base
from napari_rwkvseg.network.model import build_network
from napari_rwkvseg.network.receptive_field import ReceptiveField, receptive_field
from tests.fakes import BrightnessNetwork


def box_field(context: int, row: int = 20, column: int = 20, side: int = 41) -> ReceptiveField:
    """Of a network that averages a square of `context` pixels and nothing else."""
    network = BrightnessNetwork(in_channels=1, context=context)
    return receptive_field(network, torch.zeros(1, 1, side, side), row, column, label=1)


def test_an_average_over_a_square_depends_on_that_square_evenly() -> None:
    gradient = box_field(7).gradient
    expected = np.zeros((41, 41), np.float32)
    expected[17:24, 17:24] = 1 / 49
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_radii_are_those_of_the_square() -> None:
    # 49 pixels by distance: 1 at 0, 4 at 1, 4 at √2, 4 at 2, 8 at √5, 4 at √8: 25 of 49 > half
    field = box_field(7)
    assert field.radius(0.5) == pytest.approx(math.sqrt(8))
    # the four corners, at √18, hold the last 8.2 %
    assert field.radius(0.95) == pytest.approx(math.sqrt(18))
    assert field.radius(45 / 49) == pytest.approx(math.sqrt(13))


def test_a_point_network_looks_at_one_pixel() -> None:
    field = box_field(1, row=3, column=5)
    assert field.gradient[3, 5] == 1
    assert field.radius(0.95) == 0
    assert field.within(0).sum() == 1


def test_the_field_lies_around_its_pixel_at_the_border_too() -> None:
    rows, columns = np.nonzero(box_field(5, row=0, column=40).gradient)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 2, 38, 40)


def test_a_shift_by_hand_is_found_where_it_points() -> None:
    network = nn.Conv2d(2, 2, (1, 9), padding=(0, 4), bias=False)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[1, 0, 0, 8] = -3.0  # four columns to the right, one channel
    field = receptive_field(network, torch.zeros(1, 2, 16, 16), 8, 8, label=1)
    assert np.argwhere(field.gradient).tolist() == [[8, 12]]
    assert field.radius(0.5) == 4


def test_log_odds_of_two_classes_are_opposite_so_their_fields_agree() -> None:
    network = nn.Conv2d(1, 2, 5, padding=2)
    image = torch.rand(1, 1, 16, 16)
    fields = [receptive_field(network, image, 8, 8, label).gradient for label in (0, 1)]
    np.testing.assert_allclose(*fields, rtol=1e-5)


def test_smoothing_moves_nothing_out_of_the_middle() -> None:
    field = box_field(1)
    smooth = field.smoothed(2)
    assert smooth.sum() == pytest.approx(1, abs=1e-3)
    assert np.unravel_index(smooth.argmax(), smooth.shape) == (20, 20)
    assert smooth[20, 22] == pytest.approx(smooth[20, 20] * math.exp(-0.5), rel=0.02)


def test_a_pixel_that_depends_on_nothing_has_no_reach() -> None:
    network = BrightnessNetwork(in_channels=1)
    nn.init.zeros_(network.head.weight)
    field = receptive_field(network, torch.zeros(1, 1, 8, 8), 2, 2, label=1)
    assert field.gradient.sum() == 0
    assert field.radius(0.95) == 0


def test_gradients_are_found_without_touching_the_parameters() -> None:
    torch.manual_seed(4)
    network = build_network(base()).eval()
    with torch.no_grad():
        field = receptive_field(network, torch.rand(1, 3, 40, 48), 20, 24, label=1)
    assert field.gradient.shape == (40, 48)
    assert field.gradient.sum() == pytest.approx(1, abs=1e-5)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(("row", "column", "label"), [(-1, 0, 1), (0, 41, 1), (0, 0, 2)])
def test_pixels_and_classes_that_are_not_there_are_refused(
    row: int, column: int, label: int
) -> None:
    network = BrightnessNetwork(in_channels=1)
    with pytest.raises(ValueError, match=r"outside an image of 41×41|label must be 0 to 1"):
        receptive_field(network, torch.zeros(1, 1, 41, 41), row, column, label)
