"""A network that learns from corrections, step by step, and cannot be spoilt by one."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from napari_rwkvseg.engine.augment import Augmentation
from napari_rwkvseg.engine.evidence import UNSEEN
from napari_rwkvseg.engine.evidence_loss import Shared, distillation_loss, evidence_loss
from napari_rwkvseg.engine.evidence_views import Views
from napari_rwkvseg.engine.train import MAX_SKIPPED, TrainingDivergedError
from napari_rwkvseg.network.model import SegmentationNetwork, pad_to_stride

FALL = 10.0  # by which steps shrink after non-finite ones


@dataclass(frozen=True)
class FinetuneOptions:
    """How to fine-tune.

    Attributes
    ----------
    seconds : float
        For the whole run, about; unless `steps` is given.
    steps : int, optional
        Optimiser steps of both phases; by default as many as fit into the seconds.
    seed : int
        Of the views.
    batch, crop : int
        Views per step; largest side of a view in pixels, after the network has shrunk it.
    head_share : float
        Part of the steps in which only the decoder learns.
    head_rate, rate, encoder_rate : float
        Learning rates of AdamW: of the decoder in the first phase, of the decoder and of all else
        in the second, each at the top of its schedule.
    weight_decay : float
        Of matrices and kernels alike.
    cached : int
        Views whose features the first phase learns on.
    distillation, replay_share : float
        Weight of the old model's answers; chance of a view of an image learnt before.
    average : float
        Share of the old in the moving average of the weights.
    augmentation : Augmentation
        How far views differ: less than in training from scratch: corrected images are of a kind.
    """

    seconds: float = 45.0
    steps: int | None = None
    seed: int = 0
    batch: int = 2
    crop: int = 160
    head_share: float = 0.15
    head_rate: float = 3e-3
    rate: float = 2e-3
    encoder_rate: float = 2e-3
    weight_decay: float = 0.01
    cached: int = 16
    distillation: float = 1.0
    replay_share: float = 0.4
    average: float = 0.95
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            scale=1.5,
            elastic=0.03,
            gamma=1.25,
            contrast=0.2,
            brightness=0.1,
            colour=0.1,
            grey=0.05,
            invert=0,
        )
    )

    def __post_init__(self) -> None:
        for name in ("seconds", "steps", "batch", "crop", "cached"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")


class Tuner:
    """A network that learns, the average of its weights, and what to fall back to.

    Parameters
    ----------
    network : SegmentationNetwork
        Where to start; a copy learns.
    teacher : SegmentationNetwork
        The old model.
    shared : sequence of (int, int)
        Numbers of the classes that both know: here, there.
    options : FinetuneOptions
        How.
    device : torch.device
        Where.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        teacher: SegmentationNetwork,
        shared: Shared,
        options: FinetuneOptions,
        device: torch.device,
    ) -> None:
        self.options, self.device, self.shared = options, device, shared
        self.network = copy.deepcopy(network).to(device).eval()  # eval: batch statistics stay
        self.average = copy.deepcopy(self.network)
        self.teacher = copy.deepcopy(teacher).to(device).eval()
        for model in (self.average, self.teacher):
            model.requires_grad_(False)
        self._count = self._skipped = self._falls = 0
        self._scale = 1.0
        self.optimiser = self._optimiser()

    def begin_phase(self, head_only: bool) -> None:
        """Let the decoder learn, or everything."""
        self.network.requires_grad_(not head_only)
        self.network.decoder.requires_grad_(True)
        self.optimiser = self._optimiser()

    def step(self, views: Views, rate: float, logits: Callable[[], Tensor]) -> float:
        """Take one step at `rate` of the full step size (0 to 1); return the loss.

        Parameters
        ----------
        views : Views
            What to learn.
        rate : float
            Of the schedule.
        logits : callable
            The network's answer (B, K + 1, crop, crop) for the views.

        Raises
        ------
        TrainingDivergedError
            If losses stay non-finite even after a fall back with smaller steps.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * rate * self._scale
        self.drop_gradients()
        loss = self._loss(logits(), views)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._learning(), 1.0)
        value = float(loss.detach())
        if not (math.isfinite(value) and bool(torch.isfinite(norm))):
            self._skip()
            return value
        self._skipped = 0
        self._apply()
        self._update_average()
        return value

    def drop_gradients(self) -> None:
        """Free what a step that failed half way has left; the rest is as it was before it."""
        self.optimiser.zero_grad(set_to_none=True)

    def move_to(self, device: torch.device) -> None:
        """Go on elsewhere, with the same weights and state of the optimiser."""
        for model in (self.network, self.average, self.teacher):
            model.to(device)
        self.optimiser.load_state_dict(self.optimiser.state_dict())  # brings its state along
        self.device = device

    def rehearse(self, views: Views) -> None:
        """Do the work of a step without learning, to see how long it takes."""
        self._loss(self.network(views.images), views).backward()  # type: ignore[no-untyped-call]
        self.drop_gradients()

    def _loss(self, logits: Tensor, views: Views) -> Tensor:
        loss = evidence_loss(logits, views.truths, views.levels)
        where = (views.levels == UNSEEN) | views.replay[:, None, None]
        if not self.options.distillation or not bool(where.any()):
            return loss
        with torch.no_grad():
            old = self.teacher(views.images)
        return loss + self.options.distillation * distillation_loss(logits, old, self.shared, where)

    def _apply(self) -> None:
        """Let the optimiser step, as a whole or not at all: its first step takes memory."""
        if self.optimiser.state:
            self.optimiser.step()
            return
        before = copy.deepcopy(self.network.state_dict())
        try:
            self.optimiser.step()
        except (MemoryError, RuntimeError):
            self.network.load_state_dict(before)
            self.optimiser = self._optimiser()
            raise

    def _skip(self) -> None:
        """Count a non-finite step; after some go back to the average, with smaller steps."""
        self._skipped += 1
        if self._skipped < MAX_SKIPPED:
            return
        self._falls += 1
        if self._falls > 1:
            raise TrainingDivergedError(
                "Retraining diverged twice and was given up; the model is as it was. "
                "Check the corrected images for extreme values."
            )
        self._skipped, self._scale = 0, self._scale / FALL
        self.network.load_state_dict(self.average.state_dict())
        self.optimiser = self._optimiser()

    def _optimiser(self) -> torch.optim.Optimizer:
        options = self.options
        decoder = [p for p in self.network.decoder.parameters() if p.requires_grad]
        inside = {id(p) for p in decoder}
        others = [p for p in self._learning() if id(p) not in inside]
        top = options.rate if others else options.head_rate
        groups = [{"params": decoder, "top": top}]
        if others:
            groups.append({"params": others, "top": options.encoder_rate})
        return torch.optim.AdamW(groups, lr=top, weight_decay=options.weight_decay, fused=True)

    def _learning(self) -> list[nn.Parameter]:
        return [p for p in self.network.parameters() if p.requires_grad]

    @torch.no_grad()
    def _update_average(self) -> None:
        self._count += 1
        share = min(self.options.average, self._count / (10 + self._count))
        new = self.network.state_dict()
        for name, old in self.average.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name], 1 - share)


class EncodedViews:
    """Views with what the encoder makes of them, computed once and used in many steps.

    Parameters
    ----------
    network : SegmentationNetwork
        Its stem and encoder must not change afterwards.
    views : Views
        On the network's device.
    batch : int
        Views encoded at once.
    """

    def __init__(self, network: SegmentationNetwork, views: Views, batch: int) -> None:
        self.views = views
        with torch.no_grad():
            stems = [
                network.stem(pad_to_stride(part, network.config.stride))
                for part in torch.split(views.images, batch)
            ]
            levels = [network.encoder(grid) for _, _, grid in stems]
        details = [detail for detail, _, _ in stems if detail is not None]
        self._detail = torch.cat(details) if details else None
        self._half = torch.cat([half for _, half, _ in stems])
        self._grids = [torch.cat(level) for level in zip(*levels, strict=True)]

    def decode(self, network: SegmentationNetwork, chosen: Tensor) -> Tensor:
        """Return the logits (n, K + 1, crop, crop) of some of the views, by their numbers (n,)."""
        detail = None if self._detail is None else self._detail[chosen]
        grids = [level[chosen] for level in self._grids]
        logits: Tensor = network.decoder(grids, self._half[chosen], detail)
        height, width = self.views.images.shape[2:]
        return logits[..., :height, :width]
