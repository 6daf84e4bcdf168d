"""What the trace reports is what the operator computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import SegmentationNetwork, build_network
from napari_rwkvseg.network.trace import LayerTrace, record, scanning_layers, trace, word_scans
from napari_rwkvseg.wkv import bi_wkv
from tests.recording import record_operator, visited

ODD = [(50, 70), (33, 97), (64, 64), (41, 200)]

CONFIG = NetworkConfig(widths=(8, 8, 12, 16), depths=(1, 2, 1, 1), stem_width=8, detail_width=4)


def traced(height: int, width: int, config: NetworkConfig = CONFIG) -> tuple[LayerTrace, ...]:
    return trace(small_network(config), torch.rand(2, 3, height, width))


def small_network(config: NetworkConfig) -> SegmentationNetwork:
    torch.manual_seed(3)
    network = build_network(config).eval()
    for name, parameter in network.named_parameters():
        if "score" in name:
            parameter.data = torch.randn(parameter.shape)
    return network


def test_layers_come_in_order_with_grid_stride_and_pooling() -> None:
    found = [
        (t.place.part, t.place.level, t.place.block, t.grid, t.stride, t.pooled)
        for t in traced(64, 96)
    ]
    assert found == [
        ("encoder", 0, 0, (8, 12), 8, 2),
        ("encoder", 1, 0, (8, 12), 8, 1),
        ("encoder", 1, 1, (8, 12), 8, 1),
        ("encoder", 2, 0, (4, 6), 16, 1),
        ("encoder", 3, 0, (2, 3), 32, 1),
        ("decoder", 3, 0, (2, 3), 32, 1),
        ("decoder", 2, 0, (4, 6), 16, 1),
        ("decoder", 1, 0, (8, 12), 8, 1),
    ]


def test_the_stride_counts_the_padding() -> None:
    first = traced(50, 70)[0]  # padded to 64 x 96
    assert (first.grid, first.stride) == ((8, 12), 8)


def test_orders_are_those_of_the_schedule() -> None:
    for layer in traced(64, 96):
        for head, scan in enumerate(layer.heads):
            for sequence in scan.sequences(*layer.grid):
                token = int(sequence[len(sequence) // 2])
                assert layer.sequence(head, token).tolist() == sequence.tolist()


def test_weights_sum_to_one_and_rebuild_what_the_operator_returned() -> None:
    for layer in traced(50, 70):
        mixed = bi_wkv(layer.decay, layer.bonus, layer.key, layer.value, layer.plan)
        for head in range(len(layer.heads)):
            channels = layer.channels(head)
            for token in (0, layer.plan.tokens - 1):
                weights = layer.weights(head, token, image=1)
                one = torch.ones(weights.shape[1], dtype=torch.float64)
                torch.testing.assert_close(weights.sum(0), one, rtol=0, atol=1e-6)
                rebuilt = (weights * layer.value[1, :, channels]).sum(0)
                torch.testing.assert_close(
                    rebuilt, mixed[1, token, channels].double(), rtol=1e-5, atol=1e-5
                )


def test_gates_average_to_one_and_differ_between_images() -> None:
    for layer in traced(64, 64):
        assert layer.gate.shape == (2, 4)
        torch.testing.assert_close(layer.gate.mean(1), torch.ones(2))
        assert not torch.equal(layer.gate[0], layer.gate[1])


def test_without_a_gate_all_heads_weigh_the_same() -> None:
    layer = traced(32, 32, replace(CONFIG, gate=False))[0]
    assert torch.equal(layer.gate, torch.ones(2, 4))


def test_half_length_is_where_the_weight_has_halved() -> None:
    layer = traced(64, 64)[0]
    steps = layer.half_length(1)
    left = torch.exp(-layer.decay[layer.channels(1)] * steps)
    torch.testing.assert_close(left, torch.full_like(left, 0.5))


def test_hooks_are_gone_afterwards() -> None:
    network = small_network(CONFIG)
    trace(network, torch.rand(1, 3, 32, 32))
    assert all(not mix.mixer._forward_pre_hooks for _, mix in scanning_layers(network))
    assert all(not words.mix._forward_hooks for _, words in word_scans(network))


@pytest.mark.parametrize("decoder", ["nested", "shuffle", "convolution"])
def test_a_decoder_without_recurrence_has_no_layers_to_show(decoder: str) -> None:
    parts = {layer.place.part for layer in traced(32, 32, replace(CONFIG, decoder=decoder))}
    assert parts == ({"encoder", "decoder"} if decoder == "nested" else {"encoder"})


def test_convolutions_have_nothing_to_show() -> None:
    config = replace(CONFIG, decoder="shuffle", mixer="convolution")
    assert traced(32, 32, config) == ()


@pytest.mark.parametrize(("height", "width"), ODD)
@pytest.mark.parametrize("pooled", [(2, 1, 1, 1), (3, 2, 1, 1)])
def test_traces_are_the_operators_own_tensors_and_sequences(
    height: int, width: int, pooled: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network(replace(CONFIG, pooled_keys=pooled))
    calls = record_operator(monkeypatch)
    seen = record(network, torch.rand(1, 3, height, width))
    outer = [call for call in calls if call.plan.heads == 4]
    inner = [call for call in calls if call.plan.heads == 1]
    assert (len(outer), len(inner)) == (len(seen.layers), len(seen.words)) == (8, 3)
    for layer, call in zip(seen.layers, outer, strict=True):
        assert layer.plan is call.plan
        assert torch.equal(layer.key, call.key)
        for head in range(4):
            assert [s.tolist() for s in layer.sequences(head)] == visited(call.plan, head)
    for words, call in zip(seen.words, inner, strict=True):
        assert words.plan is call.plan
        assert torch.equal(words.key.flatten(1, 2), call.key)


def test_all_weights_of_every_head_rebuild_the_operators_own_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = record_operator(monkeypatch)
    seen = record(small_network(CONFIG), torch.rand(1, 3, 50, 70))
    outer = [call for call in calls if call.plan.heads == 4]
    for layer, call in zip(seen.layers, outer, strict=True):
        for head in range(4):
            channels = layer.channels(head)
            for token in range(0, layer.plan.tokens, 5):
                weights = layer.weights(head, token)
                assert (weights.sum(0) - 1).abs().max() <= 1e-6
                rebuilt = (weights * call.value[0, :, channels].double()).sum(0)
                error = (rebuilt - call.output[0, token, channels].double()).abs().max()
                assert error <= 1e-5


def test_weights_of_words_rebuild_the_nested_scans_output(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_operator(monkeypatch)
    seen = record(small_network(CONFIG), torch.rand(2, 3, 50, 70))
    inner = [call for call in calls if call.plan.heads == 1]
    for words, call in zip(seen.words, inner, strict=True):
        rows, columns = words.grid
        for sentence in (0, rows * columns - 1):
            weights = words.weights(sentence, image=1)  # (5, 5, C)
            assert (weights.sum(1) - 1).abs().max() <= 1e-6
            rebuilt = torch.einsum("tic,ic->tc", weights, words.value[1, sentence].double())
            output = call.output.view(2, rows * columns, 5, -1)[1, sentence].double()
            assert (rebuilt - output).abs().max() <= 1e-5


def test_words_are_the_cells_of_the_next_finer_level() -> None:
    seen = record(small_network(CONFIG), torch.rand(1, 3, 50, 70))
    assert [(w.level, w.grid, w.stride) for w in seen.words] == [
        (3, (2, 3), 32),
        (2, (4, 6), 16),
        (1, (8, 12), 8),
    ]


def test_a_layers_look_is_that_of_its_heads_weighted_by_the_gate() -> None:
    layer = traced(64, 64)[0]
    whole = sum(layer.gate[0, head] / 4 * layer.look(head, 9) for head in range(4))
    torch.testing.assert_close(layer.look(None, 9), whole)
    assert float(layer.look(None, 9).sum()) == pytest.approx(1, abs=1e-6)


def test_logits_are_those_of_the_network_left_alone() -> None:
    network, image = small_network(CONFIG), torch.rand(1, 3, 33, 41)
    with torch.no_grad():
        assert torch.equal(record(network, image).logits, network(image))
