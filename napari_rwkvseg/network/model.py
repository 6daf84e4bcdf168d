"""The whole network: stem, encoder, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_rwkvseg.network.config import NetworkConfig
from napari_rwkvseg.network.decoder import ConvolutionDecoder, Decoder, build_decoder
from napari_rwkvseg.network.encoder import Encoder, Stem


class SegmentationNetwork(nn.Module):
    """Dynamic-scan Vision-RWKV for segmentation.

    Parameters
    ----------
    config : NetworkConfig
        What was built, for the model file.
    stem, encoder, decoder : Module
        The parts.
    """

    def __init__(
        self,
        config: NetworkConfig,
        stem: Stem,
        encoder: Encoder,
        decoder: Decoder | ConvolutionDecoder,
    ) -> None:
        super().__init__()
        self.config = config
        self.stem = stem
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, n_classes, H, W) of images (B, in_channels, H, W), about 0 to 1.

        Parameters
        ----------
        image : Tensor, shape (B, in_channels, H, W), float32
            Normalised. Sides of any length; they are padded to a multiple of the deepest cell by
            reflection.

        Raises
        ------
        ValueError
            If the number of channels is not the network's.
        """
        if image.ndim != 4 or image.shape[1] != self.config.in_channels:
            raise ValueError(
                f"the network reads (B, {self.config.in_channels}, H, W), got {tuple(image.shape)}"
            )
        # By less than one stride, at the bottom and right only: pixel (0, 0) stays where it was.
        padded = pad_to_stride(image, self.config.stride)
        detail, half, grid = self.stem(padded)
        logits: Tensor = self.decoder(self.encoder(grid), half, detail)
        return logits[..., : image.shape[2], : image.shape[3]]


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right by reflection to multiples of `stride`.

    The result is channels-last in memory.
    """
    height, width = image.shape[2:]
    below, beside = -height % stride, -width % stride
    if below or beside:
        # A reflection cannot be longer than what it reflects.
        mode = "reflect" if below < height and beside < width else "replicate"
        image = functional.pad(image, (0, beside, 0, below), mode=mode)
    # Channels-last from the first convolution: the views of `mixing.py` are then free.
    return image.contiguous(memory_format=torch.channels_last)


def build_network(config: NetworkConfig) -> SegmentationNetwork:
    """Return a fresh network of this shape; the only place where numbers become modules."""
    return SegmentationNetwork(config, Stem(config), Encoder(config), build_decoder(config))


def rebuilt(network: SegmentationNetwork, config: NetworkConfig) -> SegmentationNetwork:
    """Return a copy of a network in another shape, in evaluation mode, on the processor.

    Parameters
    ----------
    network : SegmentationNetwork
        Not changed.
    config : NetworkConfig
        Of the copy. Weights of the same name and shape are kept, others are fresh.
    """
    with torch.random.fork_rng(devices=[]):
        fresh = build_network(config)
    shapes = {name: weight.shape for name, weight in fresh.state_dict().items()}
    kept = {k: old for k, old in network.state_dict().items() if shapes.get(k) == old.shape}
    fresh.load_state_dict(kept, strict=False)
    return fresh.eval()
