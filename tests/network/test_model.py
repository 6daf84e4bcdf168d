"""The whole network: shapes, sizes, switches, gradients."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_rwkvseg.network.config import SIZES, NetworkConfig, base, tiny
from napari_rwkvseg.network.encoder import ConvolutionUnit, PooledMerge
from napari_rwkvseg.network.model import SegmentationNetwork, build_network, pad_to_stride
from napari_rwkvseg.network.trace import trace
from napari_rwkvseg.scan.schedule import global_schedule, uniform_schedule
from napari_rwkvseg.wkv import use_path

SMALL = NetworkConfig(widths=(8, 8, 12, 16), depths=(1, 1, 1, 1), stem_width=8, detail_width=4)


def network(config: NetworkConfig = SMALL, seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_network(config).eval()


def image(height: int, width: int, batch: int = 1, channels: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, height, width, generator=generator)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"decoder": "nested", "downsampling": "strided"},
        {"decoder": "shuffle", "downsampling": "strided"},
    ],
)
@pytest.mark.parametrize(
    ("size", "parameters", "gmac"), [("tiny", 0.35e6, 0.3), ("base", 1.45e6, 1.5)]
)
def test_sizes_stay_within_their_budgets(
    size: str, parameters: float, gmac: float, shape: dict[str, Any]
) -> None:
    net = network(replace(SIZES[size](3, 2), **shape))
    count = sum(parameter.numel() for parameter in net.parameters())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(image(256, 256))
    assert parameters / 2 < count <= parameters
    assert counter.get_total_flops() / 2e9 <= gmac


@pytest.mark.parametrize("shape", [(32, 32), (16, 40), (37, 101), (64, 96), (33, 129)])
def test_logits_have_the_size_of_any_image(shape: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = network()(image(*shape))
    assert logits.shape == (1, 2, *shape)
    assert torch.isfinite(logits).all()


def test_channels_and_classes_are_those_of_the_configuration() -> None:
    net = network(replace(SMALL, in_channels=1, n_classes=4))
    assert net(image(32, 32, channels=1)).shape == (1, 4, 32, 32)
    with pytest.raises(ValueError, match=r"reads \(B, 1, H, W\), got \(1, 3, 32, 32\)"):
        net(image(32, 32))


@pytest.mark.parametrize(
    "switch",
    [
        {"gate": False},
        {"schedule": uniform_schedule()},
        {"schedule": global_schedule()},
        {"pooled_keys": (1, 1, 1, 1)},
        {"attention_side": 0},
        {"detail_width": 0},
        {"decoder": "shuffle"},
        {"decoder": "convolution"},
        {"decoder": "convolution", "detail_width": 0},
        {"decoder": "shuffle", "mixer": "convolution"},
        {"downsampling": "pooled"},
    ],
)
def test_every_part_can_be_switched_off_and_still_learns(switch: dict[str, object]) -> None:
    config = NetworkConfig.from_dict(SMALL.to_dict() | _plain(switch))
    net = network(config).train()
    net(image(32, 64)).square().mean().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None]
    assert silent == []
    assert _differs(config)


def _plain(switch: dict[str, object]) -> dict[str, object]:
    return {
        name: value.to_dict() if hasattr(value, "to_dict") else value
        for name, value in switch.items()
    }


def _differs(config: NetworkConfig) -> bool:
    with torch.inference_mode():
        x = image(96, 160)
        ours, full = network(config), network()
        _wake(ours), _wake(full)
        return not torch.allclose(ours(x), full(x), atol=1e-6)


def _wake(net: SegmentationNetwork) -> None:
    """Give the gates and scales of a fresh network something to say."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in net.named_parameters():
        if "score" in name or name.endswith("scale"):
            parameter.data = torch.randn(parameter.shape, generator=generator)


def test_one_image_is_enough_to_train_on() -> None:
    net = network().train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    x = image(64, 64)
    truth = (x.mean(1) > 0.5).long()
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), truth)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_class_is_ahead_wherever_a_fresh_network_sees_anything(
    seed: int, n_classes: int
) -> None:
    votes = network(replace(SMALL, n_classes=n_classes), seed).decoder.classify
    torch.testing.assert_close(votes.weight.sum(dim=1), torch.zeros(n_classes))
    assert not votes.bias.any()
    for one, other in pairwise(votes.weight):  # of what is seen some speaks for either
        assert (one - other).min() < 0 < (one - other).max()


def test_images_of_a_batch_do_not_see_each_other() -> None:
    net, pair = network(), torch.cat([image(64, 32), image(64, 32, seed=2)])
    with torch.inference_mode():
        together = net(pair)
        alone = torch.cat([net(pair[:1]), net(pair[1:])])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_network_is_the_same_by_either_path_of_the_operator() -> None:
    net = network()
    _wake(net)
    x = image(32, 32)
    with torch.no_grad():
        fast = net(x)
        with use_path("reference"):
            exact = net.double()(x.double())
    torch.testing.assert_close(fast.double(), exact, rtol=1e-3, atol=1e-3)


def test_padding_reflects_to_multiples_of_the_stride_and_keeps_the_image() -> None:
    x = image(40, 64)
    padded = pad_to_stride(x, 32)
    assert padded.shape == (1, 3, 64, 64)
    assert torch.equal(padded[:, :, :40], x)
    assert torch.equal(padded[:, :, 40], x[:, :, 38])


@pytest.mark.parametrize(
    ("scale", "cell", "stride"), [({}, 4, 32), ({"shrink": 2}, 8, 64), ({"enlarge": 4}, 1, 8)]
)
def test_a_resampled_image_has_other_cells_and_logits_of_its_own_size(
    scale: dict[str, int], cell: int, stride: int
) -> None:
    net = network(replace(SMALL, **scale))
    x = image(50, 33)
    assert (net.config.finest_cell, net.config.stride) == (cell, stride)
    assert net(x).shape == (1, 2, 50, 33)
    encoder = [layer for layer in trace(net, x) if layer.place.part == "encoder"]
    assert [layer.stride // layer.pooled for layer in encoder] == [cell << n for n in range(4)]


def test_a_shrunk_image_is_read_by_its_blocks_and_the_answer_interpolated() -> None:
    whole, shrunk = network(), network(replace(SMALL, shrink=2))
    x = image(64, 64)
    coarse = whole(torch.nn.functional.avg_pool2d(x, 2))
    expected = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(shrunk(x), expected)


def test_an_enlarged_image_is_interpolated_and_the_answer_averaged() -> None:
    whole, enlarged = network(), network(replace(SMALL, enlarge=2))
    x = image(32, 32)
    fine = whole(torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"))
    torch.testing.assert_close(enlarged(x), torch.nn.functional.avg_pool2d(fine, 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_around_the_operator_changes_little(dtype: torch.dtype) -> None:
    net = network()
    _wake(net)
    x = image(32, 32)
    exact = net(x)
    with torch.autocast("cpu", dtype):
        found = net(x)
        found.sum().backward()
    assert (found - exact).detach().abs().mean() < 0.05 * exact.detach().std()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_fresh_networks_have_what_the_ablations_support(size: str) -> None:
    config = SIZES[size](3, 2)
    assert (config.decoder, config.downsampling) == ("convolution", "pooled")
    assert (config.mixer, config.gate, config.attention_side > 0) == ("wkv", True, True)


def test_a_configuration_survives_json() -> None:
    for config in (
        base(1, 3),
        tiny(),
        replace(SMALL, schedule=uniform_schedule("column")),
        replace(SMALL, enlarge=2),
        replace(SMALL, downsampling="pooled", decoder="convolution"),
    ):
        assert NetworkConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (8, 8)}, "widths needs 4 numbers"),
        ({"widths": (8, 8, 8, 10)}, "4 heads do not divide"),
        ({"mixer": "attention"}, "choose one of wkv, convolution"),
        ({"mixer": "convolution"}, "nested decoder needs the mixer 'wkv'"),
        ({"decoder": "plain"}, "choose one of nested, shuffle, convolution"),
        ({"downsampling": "mean"}, "choose one of strided, pooled"),
        ({"heads": 2}, "must name 2 heads"),
        ({"shrink": 0}, "shrink must be at least 1"),
        ({"enlarge": 3}, "enlarge one of"),
        ({"shrink": 2, "enlarge": 2}, "and one of them 1; got 2 and 2"),
    ],
)
def test_numbers_that_do_not_fit_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_a_file_from_before_the_pooled_grids_is_read_as_it_was() -> None:
    stored = SMALL.to_dict()
    del stored["downsampling"]
    assert NetworkConfig.from_dict(stored) == replace(SMALL, downsampling="strided")


def test_an_unknown_entry_of_a_stored_configuration_is_named() -> None:
    with pytest.raises(ValueError, match="unknown entries in the network: colour"):
        NetworkConfig.from_dict({"colour": 1})


def test_a_pooled_merge_keeps_the_largest_of_each_four_cells() -> None:
    merge = PooledMerge(2, 2).eval()
    with torch.no_grad():
        merge.unit[0].weight.zero_()
        merge.unit[0].weight[[0, 1], [0, 1], 1, 1] = 1  # each cell is its own channel, unmixed
    grid = torch.rand(1, 4, 6, 2)
    largest = grid.view(1, 2, 2, 3, 2, 2).amax(dim=(2, 4))
    torch.testing.assert_close(merge(grid), largest, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", ["deepest", "middle", "half", "detail"])
def test_every_scale_reaches_the_logits_of_the_convolution_decoder(part: str) -> None:
    net = network(replace(SMALL, decoder="convolution", downsampling="pooled"))
    with torch.no_grad():
        detail, half, grid = net.stem(image(64, 64))
        grids = net.encoder(grid)
        before = net.decoder(grids, half, detail)
        changed = {"deepest": grids[3], "middle": grids[1], "half": half, "detail": detail}[part]
        changed += 1
        after = net.decoder(grids, half, detail)
    assert before.shape == (1, 2, 64, 64)
    assert not torch.allclose(before, after)


def test_folding_the_normalisation_into_the_kernel_changes_nothing() -> None:
    torch.manual_seed(0)
    unit = ConvolutionUnit(3, 5, stride=2)
    for _ in range(3):
        unit(torch.randn(4, 3, 16, 16) * 2 + 1)  # gives the normalisation something to remember
    unit[1].weight.data.uniform_(0.5, 2)
    unit[1].bias.data.uniform_(-1, 1)
    unit.eval()
    x = torch.randn(2, 3, 15, 16)
    plain = unit[2](unit[1](unit[0](x)))
    torch.testing.assert_close(unit(x), plain, rtol=1e-5, atol=1e-5)
    assert plain.max() > 0


@pytest.mark.parametrize("size", SIZES)
def test_a_lone_view_of_one_deepest_cell_can_be_learnt_from(size: str) -> None:
    torch.manual_seed(0)
    net = build_network(SIZES[size](3, 2)).train()
    net(image(32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
