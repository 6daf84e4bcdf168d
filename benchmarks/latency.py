"""Our networks against others: forward passes and a training step, on one CPU thread.

    python -m benchmarks.latency [--json FILE] [--sizes 256 512 1024] [--rounds 5] [--only NAME ...]

`base / this` is the time of our base network divided by that of the row, round by round: less than
1 means that ours is faster. Weights are random; a training step is forward, loss, backward, AdamW.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import PEERS
from benchmarks.timing import Race, gmac, parameters, peak_megabytes, report
from napari_rwkvseg.network.config import SIZES
from napari_rwkvseg.network.model import build_network

OURS = "base"
TRAINING_BATCH = (4, 3, 256, 256)
SECONDS = 5.0  # of CPU time per comparison, at least
COUNTED_SIZE = 256  # at which multiply-adds are counted


def build(only: Sequence[str]) -> tuple[dict[str, nn.Module], list[str]]:
    """Return the networks, ours first, and why others are missing; all if `only` is empty."""
    networks: dict[str, nn.Module] = {
        name: build_network(size(3, 2)) for name, size in SIZES.items() if name == OURS or not only
    }
    skipped = []
    for name, peer in PEERS.items():
        if only and name not in only:
            continue
        try:
            networks[name] = peer()
        except ImportError as error:
            skipped.append(f"{name}: {error}; it comes with the extra bench")
    return networks, skipped


def forward(network: nn.Module, image: Tensor) -> None:
    """Predict once."""
    with torch.inference_mode():
        network(image)


class TrainingStep:
    """A call that trains a network for one step on random images."""

    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        self.network = network.train()
        self.image = torch.randn(*shape)
        self.truth = torch.randint(0, 2, (shape[0], *shape[2:]))
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def __call__(self) -> None:
        """Do one step."""
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.network(self.image), self.truth)
        torch.autograd.backward(loss)
        self.optimizer.step()


def race_rows(
    what: str, calls: Mapping[str, Callable[[], None]], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield a row per network: milliseconds, ratio to ours, peak memory."""
    race = Race(calls, rounds, at_least=SECONDS)
    for name, call in calls.items():
        yield {
            "what": what,
            "network": name,
            "ms": race.median(name) * 1e3,
            "base / this": race.ratio(OURS, name),
            "peak MB": peak_megabytes(call),
        }


def measure(
    networks: Mapping[str, nn.Module], sizes: Sequence[int], training: Sequence[int], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield what the networks cost: once per network, then per size, then per training step."""
    for name, network in networks.items():
        network.eval()
        image = torch.randn(1, 3, COUNTED_SIZE, COUNTED_SIZE)
        figures = {"parameters": parameters(network), "GMAC at 256": gmac(network, image)}
        yield {"what": "budget", "network": name, **figures}
    for size in sizes:
        image = torch.randn(1, 3, size, size)
        calls = {name: partial(forward, network, image) for name, network in networks.items()}
        yield from race_rows(f"forward {size}x{size}", calls, rounds)
    steps = {name: TrainingStep(network, training) for name, network in networks.items()}
    shape = "x".join(str(side) for side in training)
    yield from race_rows(f"training step {shape}", steps, rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help='write the figures here; "-": print them')
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--training", type=int, nargs=4, default=TRAINING_BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", choices=[*PEERS])
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks, skipped = build(chosen.only)
    rows = measure(networks, chosen.sizes, chosen.training, chosen.rounds)
    report(rows, chosen.rounds, chosen.json, skipped)


if __name__ == "__main__":
    main()
