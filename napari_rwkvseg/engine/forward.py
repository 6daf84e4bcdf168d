"""Arrays through the network and back: foreground probabilities, checked."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.errors import RwkvSegError
from napari_rwkvseg.network.model import SegmentationNetwork

Mirrors = tuple[tuple[int, ...], ...]
MIRRORS: Mirrors = ((), (2,), (3,), (2, 3))  # axes of (B, C, H, W)


class Forward:
    """A network on a device, ready for inference.

    Parameters
    ----------
    model : Model
        Copied: the original may be trained or used elsewhere meanwhile.
    device : torch.device
        Where to compute.
    flips : bool or None
        Whether to average over mirror images, see `mirrors_for`.
    token : CancelToken
        Polled before each pass.
    """

    def __init__(
        self, model: Model, device: torch.device, flips: bool | None, token: CancelToken
    ) -> None:
        network: nn.Module = copy.deepcopy(model.network).eval().requires_grad_(False)
        network.to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network, self._name = network, model.card.name
        self._device, self._token = device, token
        self._mirrors = mirrors_for(model.network, flips)

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return foreground probabilities of some planes.

        Parameters
        ----------
        planes : ndarray, float32, shape (B, H, W, in_channels)
            Normalised.

        Returns
        -------
        ndarray, float32, shape (B, K, H, W)
            0 to 1, background left out.

        Raises
        ------
        RwkvSegError
            If the network returns values that are not finite.
        Cancelled
            If the token asks to stop.
        """
        with torch.inference_mode():
            images = torch.from_numpy(planes).to(self._device).permute(0, 3, 1, 2)  # (B, C, H, W)
            probability = mean_over_mirrors(self._network, images, self._mirrors, self._token)
        if not torch.isfinite(probability).all():
            raise RwkvSegError(
                f'Model "{self._name}" returned values that are not finite. '
                "Choose another model, or train this one again."
            )
        found: NDArray[np.float32] = probability[:, 1:].cpu().numpy()
        return found


def mirrors_for(network: SegmentationNetwork, flips: bool | None = None) -> Mirrors:
    """Return the axes along which images are mirrored, one tuple per pass.

    Parameters
    ----------
    network : SegmentationNetwork
        What is to be passed.
    flips : bool or None
        Whether to mirror at all. None leaves it to the network: one that shrinks its images passes
        four of them in the time that another one needs for one.
    """
    wanted = network.config.shrink > 1 if flips is None else flips
    return MIRRORS if wanted else MIRRORS[:1]


def mean_over_mirrors(
    network: nn.Module, images: Tensor, mirrors: Mirrors, token: CancelToken | None = None
) -> Tensor:
    """Return the mean of the probabilities that are found in mirror images, mirrored back.

    Parameters
    ----------
    network : Module
        In evaluation mode, where the images are.
    images : Tensor, float32, shape (B, C, H, W)
        Normalised.
    mirrors : sequence of tuple of int
        From `mirrors_for`.
    token : CancelToken, optional
        Polled before each pass.

    Returns
    -------
    Tensor, float32, shape (B, 1 + K, H, W)
        Background first; not finite where the network's answer is not.
    """
    found = []
    for axes in mirrors:
        if token is not None:
            token.raise_if_cancelled()
        mirrored = images.flip(axes).contiguous(memory_format=torch.channels_last)
        found.append(network(mirrored).softmax(1).flip(axes))
    return torch.stack(found).mean(0)
