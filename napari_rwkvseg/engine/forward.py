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

MIRRORS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))  # axes of (B, C, H, W)


class Forward:
    """A network on a device, ready for inference.

    Parameters
    ----------
    model : Model
        Copied: the original may be trained or used elsewhere meanwhile.
    device : torch.device
        Where to compute.
    flips : bool
        Whether to average over mirror images.
    token : CancelToken
        Polled before each pass.
    """

    def __init__(self, model: Model, device: torch.device, flips: bool, token: CancelToken) -> None:
        network: nn.Module = copy.deepcopy(model.network).eval().requires_grad_(False)
        network.to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network, self._name = network, model.card.name
        self._device, self._token = device, token
        self._mirrors = MIRRORS if flips else MIRRORS[:1]

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
            total = self._mirrored(images, self._mirrors[0])
            for axes in self._mirrors[1:]:
                total = total + self._mirrored(images, axes)
            found: NDArray[np.float32] = (total / len(self._mirrors)).cpu().numpy()
        return found

    def _mirrored(self, images: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return probabilities (B, K, H, W) found in the mirror images, mirrored back."""
        self._token.raise_if_cancelled()
        mirrored = images.flip(axes).contiguous(memory_format=torch.channels_last)
        logits = self._network(mirrored)  # (B, 1 + K, H, W)
        if not torch.isfinite(logits).all():
            raise RwkvSegError(
                f'Model "{self._name}" returned values that are not finite. '
                "Choose another model, or train this one again."
            )
        foreground: Tensor = logits.softmax(1)[:, 1:].flip(axes)
        return foreground
