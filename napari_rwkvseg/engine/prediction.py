"""What is asked of a run, and what a model found: probabilities for any later threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import ModelCard
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.objects import MaskOptions, likeliest, make_mask
from napari_rwkvseg.engine.progress import CancelToken
from napari_rwkvseg.engine.uncertainty import entropy


@dataclass(frozen=True)
class PredictOptions:
    """How to compute; none of it changes what is found by more than rounding, except `flips`.

    Attributes
    ----------
    tile, overlap : int
        Side of a tile and smallest overlap of neighbours, pixels.
    batch : int
        Tiles at a time.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to compute.
    threads : int, optional
        Threads on the processor; by default one less than there are cores.
    flips : bool, optional
        Whether to average over the image and its mirror images: four times the work, a little
        better. By default where the network shrinks its images, so that the work is little.

    Raises
    ------
    ValueError
        If numbers do not fit together.
    """

    tile: int = 512
    overlap: int = 64
    batch: int = 1
    device: str = "auto"
    threads: int | None = None
    flips: bool | None = None

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if self.tile < 32:
            raise ValueError(f"tile must be at least 32 pixels, got {self.tile}")
        if not 0 <= self.overlap <= self.tile // 2:
            raise ValueError(f"overlap must be 0 to {self.tile // 2} pixels, got {self.overlap}")

    @classmethod
    def for_tile(
        cls,
        tile: int,
        device: str = "auto",
        threads: int | None = None,
        flips: bool | None = None,
    ) -> PredictOptions:
        """Return the options for tiles of a side; small ones overlap less than others."""
        overlap = min(cls.overlap, tile // 4)
        return cls(tile=tile, overlap=overlap, device=device, threads=threads, flips=flips)

    def grown(self, factor: float) -> PredictOptions:
        """Return the options for an image whose pixels are smaller by a factor of at least 1."""
        return replace(self, tile=round(factor * self.tile), overlap=int(factor * self.overlap))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probabilities of the foreground classes in a region of an image.

    Attributes
    ----------
    probability : ndarray, float16, shape (K, *lead, H, W)
        0 to 1 for each of the K foreground classes, only inside the region; 0 where the image is
        not finite.
    region : tuple of slice
        Where it lies in a mask of the whole image; one slice with start and stop per axis.
    shape : tuple of int
        Shape of a mask of the whole image.
    card : ModelCard
        Of the model that made it.
    model_sha256 : str
        Checksum of that model; empty if it was never saved.
    notes : tuple of str
        What the user should see, full sentences.
    device : str
        Where it was computed: "cpu", "cuda:0".
    """

    probability: NDArray[np.float16]
    region: tuple[slice, ...]
    shape: tuple[int, ...]
    card: ModelCard
    model_sha256: str = ""
    notes: tuple[str, ...] = ()
    device: str = "cpu"

    def foreground(self) -> NDArray[np.float16]:
        """Return the probability of being any class, shape (*lead, H, W), 0 to 1."""
        if len(self.probability) == 1:
            single: NDArray[np.float16] = self.probability[0]
            return single
        total: NDArray[np.float32] = np.add.reduce(self.probability, axis=0, dtype=np.float32)
        return np.minimum(total, 1, out=total).astype(np.float16)

    def uncertainty(self) -> NDArray[np.float32]:
        """Return the entropy, shape (*lead, H, W), 0 certain to 1 undecided."""
        return entropy(self.probability)

    def classes(self, threshold: float = 0.5) -> NDArray[np.uint8]:
        """Return the likeliest class where the foreground reaches a threshold.

        Parameters
        ----------
        threshold : float
            0 to 1.

        Returns
        -------
        ndarray, uint8, shape (*lead, H, W)
            0 background, 1 to K the classes in the order of the card; only the region.
        """
        return likeliest(self.probability, threshold)

    def mask(
        self, image: ImageData, options: MaskOptions, token: CancelToken | None = None
    ) -> NDArray[np.uint8] | NDArray[np.int32]:
        """Return the labels that options, and the model where they leave it to it, ask for.

        Parameters
        ----------
        image : ImageData
            What was segmented: its axes tell slices from frames, and its spacing lengths.
        options : MaskOptions
            How probabilities become labels.
        token : CancelToken, optional
            Polled at every stack or plane.

        Returns
        -------
        ndarray, shape (*lead, H, W)
            As of `make_mask`; only the region.
        """
        # make_mask wants slices next to rows, whatever lies between them in the image
        order = sorted(range(len(image.lead_axes)), key=lambda axis: image.lead_axes[axis] == "z")
        last = len(order)
        shown = self.probability.transpose(0, *(1 + axis for axis in order), last + 1, last + 2)
        stacked = "z" in image.lead_axes
        lengths = [*order, last, last + 1][-3 if stacked else -2 :]
        same = len({image.units[axis] for axis in lengths}) == 1
        spacing = tuple(image.spacing[axis] for axis in lengths) if same else ()
        wanted = options.for_model(self.card)
        labels = make_mask(shown, wanted, stacked, token, spacing)
        return labels.transpose(*np.argsort([*order, last, last + 1]))
