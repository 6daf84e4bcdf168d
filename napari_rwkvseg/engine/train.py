"""Training from scratch: random views in, the best validated average of the weights out.

A network may begin at the weights of another one, and learns at the scale at which it reads: images
that it shrinks are shrunk once, not in every step.

At the end it may settle: some steps at a smaller rate on views nearer to the images. One that
trains on strong augmentation is measured on images that look unlike all that it has seen; Touvron
et al., arXiv:1906.06423, found the same of scales.

The random state of a step is a function of seed and step alone, so that a resumed run draws what an
uninterrupted one would have drawn, and the same seed and thread count give the same weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_rwkvseg.engine.augment import draw_view
from napari_rwkvseg.engine.dataset import Sample
from napari_rwkvseg.engine.device import half_precision
from napari_rwkvseg.engine.losses import segmentation_loss
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.sampling import drawing_chances
from napari_rwkvseg.engine.scale import shrunk_sample, with_shrink
from napari_rwkvseg.engine.train_options import TrainOptions
from napari_rwkvseg.engine.validate import Score, validate
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.model import SegmentationNetwork, build_network, rebuilt

N = TypeVar("N", bound=nn.Module)

SETTLING_RATE = 0.5  # of the learning rate, at the top of the second schedule
SETTLING_AVERAGE = 0.99  # share of the old weights: there are fewer steps to average over
MAX_SKIPPED = 3  # non-finite steps in a row before training gives up


class TrainingDivergedError(RwkvSegError):
    """Loss or gradients stayed non-finite."""


class Keeper(Protocol):
    """Where a run keeps its state, so that it survives being killed."""

    def save(self, tensors: Mapping[str, Tensor], step: int, best: float) -> None:
        """Keep the state after `step` steps."""

    def load(self) -> tuple[Mapping[str, Tensor], int, float] | None:
        """Return what was kept last, if anything."""


class Trainer(Generic[N]):
    """A network, its optimiser, the average of its weights and the best average so far.

    Parameters
    ----------
    network : Module
        What to train: reads (B, C, H, W), returns logits (B, K + 1, H, W). It is changed.
    options : TrainOptions
        How.
    device : torch.device
        Where.
    """

    def __init__(self, network: N, options: TrainOptions, device: torch.device) -> None:
        self.options, self.device = options, device
        self.network = network.to(device)
        self.average = copy.deepcopy(self.network).eval()
        self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        self.best_score = -math.inf
        self.optimiser = self._fresh_optimiser()
        self._skipped = 0

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        options = self.options
        groups = _decay_groups(self.network, options.weight_decay)
        return torch.optim.AdamW(groups, lr=options.learning_rate)

    def settle(self) -> None:
        """Begin anew at the best average."""
        self.network.load_state_dict(self.best)
        self.average.load_state_dict(self.best)
        self.optimiser = self._fresh_optimiser()

    def step(self, images: Tensor, truths: Tensor, step: int) -> float:
        """Take one step on views (B, C, H, W) with truths (B, H, W); return the loss.

        Raises
        ------
        TrainingDivergedError
            After `MAX_SKIPPED` non-finite steps in a row.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, self.options)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        with half_precision(self.device):
            logits = self.network(images.to(self.device))
        loss = segmentation_loss(logits.float(), truths.to(self.device), self.options.loss)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        value = float(loss.detach())
        if not (math.isfinite(value) and bool(torch.isfinite(norm))):
            self._mend_statistics()
            return self._skip(value)
        self._skipped = 0
        self.optimiser.step()
        self._update_average(step)
        return value

    @torch.no_grad()
    def _mend_statistics(self) -> None:
        """Take back what views that are not finite did to the statistics of the batches."""
        averages = dict(self.average.named_buffers())
        for name, buffer in self.network.named_buffers():
            if buffer.is_floating_point() and not bool(torch.isfinite(buffer).all()):
                buffer.copy_(averages[name])

    def _skip(self, loss: float) -> float:
        self._skipped += 1
        if self._skipped >= MAX_SKIPPED:
            raise TrainingDivergedError(
                f"Training diverged: {MAX_SKIPPED} steps in a row gave no finite loss. "
                "Check the images and masks, or lower the learning rate."
            )
        return loss

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        most, since = self.options.average, self.options.since(step)
        if self.options.settles(step):
            most = min(most, SETTLING_AVERAGE)
        share = min(most, (1 + since) / (10 + since))  # young averages forget faster
        new = self.network.state_dict()
        for name, old in self.average.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name], 1 - share)
            else:
                old.copy_(new[name])

    def note_score(self, score: float) -> bool:
        """Keep the average as the best if its score is higher; return whether it was."""
        if score <= self.best_score:
            return False
        self.best_score = score
        self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        return True

    def best_network(self) -> N:
        """Return a network in evaluation mode with the best weights."""
        network = copy.deepcopy(self.average)
        network.load_state_dict(self.best)
        return network

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a resumed run needs, flat and named."""
        state = {f"network/{name}": t for name, t in self.network.state_dict().items()}
        state |= {f"average/{name}": t for name, t in self.average.state_dict().items()}
        state |= {f"best/{name}": t for name, t in self.best.items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser/{index}/{name}": t for name, t in values.items()}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor], best_score: float) -> None:
        """Take over what `tensors` returned."""
        self.network.load_state_dict(_below("network", tensors))
        self.average.load_state_dict(_below("average", tensors))
        self.best, self.best_score = _below("best", tensors), best_score
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("optimiser", tensors).items():
            index, _, key = name.partition("/")
            moments.setdefault(int(index), {})[key] = tensor
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": moments})


def train(
    samples: Sequence[Sample],
    held_out: Sequence[Sample],
    config: NetworkConfig,
    options: TrainOptions,
    device: torch.device,
    keeper: Keeper | None = None,
    token: CancelToken | None = None,
    start: SegmentationNetwork | None = None,
) -> Job[tuple[SegmentationNetwork, Score]]:
    """Train a network from scratch, or go on where a killed run stopped.

    Parameters
    ----------
    samples, held_out : sequence of Sample
        To train on; to choose the best step on.
    config : NetworkConfig
        What to train.
    options : TrainOptions
        How.
    device : torch.device
        Where.
    keeper : Keeper, optional
        Saves the state at each validation and hands back what an earlier run left.
    token : CancelToken, optional
        Polled at every step and every validation image.
    start : SegmentationNetwork, optional
        Whose weights are taken over where the shape is the same.

    Yields
    ------
    Progress
        One per step, with the metrics ``loss`` and ``learning_rate``, and after each validation
        ``val_dice`` and ``val_iou``.

    Returns
    -------
    network : SegmentationNetwork
        The best average, in evaluation mode.
    score : Score
        Its score on `held_out`.

    Raises
    ------
    TrainingDivergedError
        If the loss stays non-finite.
    ValueError
        If there is nothing to train on or to choose by.
    RwkvSegError
        If the levels of `start` are others.
    """
    if not samples or not held_out:
        raise ValueError("training needs at least one image to train on and one held out")
    token = token or CancelToken()
    shrink = config.shrink
    network = initial_network(replace(config, shrink=1), options.seed, start)
    trainer = Trainer(network, options, device)
    chances = drawing_chances(samples, options.empty)
    samples = [shrunk_sample(sample, shrink) for sample in samples]
    options = replace(options, crop=max(1, options.crop // shrink))
    for step in range(_resume(trainer, keeper), options.total):
        token.raise_if_cancelled()
        if step == options.steps:
            trainer.settle()
        loss = trainer.step(*draw_batch(samples, chances, options, step), step)
        metrics = [("loss", loss), ("learning_rate", learning_rate(step, options))]
        done = step + 1
        if done % options.validate_every == 0 or done in (options.steps, options.total):
            average = with_shrink(trainer.average, shrink).to(device)
            score = validate(average, held_out, device, token)
            trainer.note_score(score.dice_mean)
            metrics += [("val_dice", score.dice_mean), ("val_iou", score.iou_mean)]
            if keeper is not None:
                keeper.save(trainer.tensors(), done, trainer.best_score)
        yield Progress(done, options.total, "Training", tuple(metrics))
    network = with_shrink(trainer.best_network(), shrink).to(device)
    return network, validate(network, held_out, device, token)


def initial_network(
    config: NetworkConfig, seed: int, start: SegmentationNetwork | None = None
) -> SegmentationNetwork:
    """Return a network whose weights are a function of configuration and seed, or of `start`.

    Raises
    ------
    RwkvSegError
        If the levels of `start` are others.
    """
    torch.manual_seed(seed)
    if start is None:
        return build_network(config)
    if (start.config.widths, start.config.depths) != (config.widths, config.depths):
        raise RwkvSegError(
            f"A network with levels of {config.widths} channels and {config.depths} blocks cannot "
            f"start at one of {start.config.widths} and {start.config.depths}. Choose another "
            "size, or another start."
        )
    return rebuilt(start, config)


def _resume(trainer: Trainer[N], keeper: Keeper | None) -> int:
    kept = keeper.load() if keeper is not None else None
    if kept is None:
        return 0
    tensors, step, best = kept
    trainer.load_tensors(tensors, best)
    return step


def draw_batch(
    samples: Sequence[Sample], chances: NDArray[np.float64], options: TrainOptions, step: int
) -> tuple[Tensor, Tensor]:
    """Return the views (B, C, crop, crop) and truths (B, crop, crop) of a step."""
    rng = np.random.default_rng((options.seed, step))
    chosen = [samples[int(i)] for i in rng.choice(len(samples), options.batch, p=chances)]
    augmentation = options.views(step)
    views = [draw_view(sample, options.crop, augmentation, rng) for sample in chosen]
    return torch.stack([view for view, _ in views]), torch.stack([truth for _, truth in views])


def learning_rate(step: int, options: TrainOptions) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine; and once more."""
    top, count = options.learning_rate, options.steps
    if options.settles(step):
        top, count = SETTLING_RATE * top, options.settle
    since = options.since(step)
    if since < options.warmup:
        return top * (since + 1) / options.warmup
    progress = (since - options.warmup) / max(1, count - options.warmup)
    return top * 0.5 * (1 + math.cos(math.pi * progress))


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Let only matrices and kernels decay, not norms, biases, decays and scales."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}
