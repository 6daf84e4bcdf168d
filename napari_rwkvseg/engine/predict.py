"""From an image to probabilities: tile by tile through the network, as the machine can bear."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rwkvseg.engine.card import Model
from napari_rwkvseg.engine.device import choose_device, limit_threads
from napari_rwkvseg.engine.effort import RETREATS, Effort, is_out_of_memory
from napari_rwkvseg.engine.forward import Forward
from napari_rwkvseg.engine.image import ImageData
from napari_rwkvseg.engine.intensity import Window, check_channels, measure_window, to_channels
from napari_rwkvseg.engine.prediction import Prediction, PredictOptions
from napari_rwkvseg.engine.progress import CancelToken, Job, Progress
from napari_rwkvseg.engine.scale import at_frame, frame_side
from napari_rwkvseg.engine.source import PlaneSource, shifted, widened
from napari_rwkvseg.engine.tiles import Blender, Tile, plan_tiles
from napari_rwkvseg.errors import BadImageError, RwkvSegError

__all__ = ["PredictOptions", "Prediction", "as_read", "predict"]

ONE_TILE = 1.25  # a plane hardly larger than a tile is computed whole: faster, and no seam


Events = Generator[Progress, None, None]


DEFAULTS = PredictOptions()


def predict(
    model: Model,
    image: ImageData,
    options: PredictOptions = DEFAULTS,
    token: CancelToken | None = None,
    region: Sequence[slice] | None = None,
) -> Job[Prediction]:
    """Compute the probabilities of a model's classes in an image.

    Parameters
    ----------
    model : Model
        Not changed; it may be used elsewhere meanwhile.
    image : ImageData
        Read tile by tile where it is large. The intensity window is that of the whole image.
    options : PredictOptions
        How to compute.
    token : CancelToken, optional
        Polled at every tile.
    region : sequence of slice, optional
        Part of ``image.spatial_shape``, one slice per axis, step 1; all of it by default. Pixels
        around the region serve as context.

    Yields
    ------
    Progress
        At every batch of tiles.

    Returns
    -------
    Prediction
        Its notes include those of the image; the `min_size` of its card is in pixels of that.

    Raises
    ------
    BadImageError
        If the image does not fit the model or cannot be read.
    RwkvSegError
        If memory does not suffice, or the network returns values that are not finite.
    Cancelled
        If the token asks to stop.
    """
    token = token or CancelToken()
    check_channels(image, model.network.config.in_channels, model.card.name)
    where = _resolved(region, image)
    yield Progress(0, 1, "Reading intensities")
    window, notes = measure_window(image, model.card.percentiles, token)
    device, note = choose_device(options.device)
    fitted, options = as_read(model, image, options)
    run = _Run(fitted, options, image, token, window, where, device)
    threads_before = limit_threads(options.threads)
    try:
        if not window.constant:
            yield from run.planes()
    finally:
        torch.set_num_threads(threads_before)
    return Prediction(
        probability=run.probability,
        region=where,
        shape=image.spatial_shape,
        card=replace(model.card, min_size=fitted.card.min_size),
        model_sha256=model.sha256,
        notes=tuple(filter(None, (*image.notes, *notes, note, *run.notes))),
        device=str(run.effort.device),
    )


def as_read(
    model: Model, image: ImageData, options: PredictOptions
) -> tuple[Model, PredictOptions]:
    """Return the model at the scale at which it reads an image, and tiles that grow with it."""
    fitted = at_frame(model, frame_side(image.plane_shape))
    return fitted, options.grown(fitted.network.config.shrink / model.network.config.shrink)


def _room_for(shape: tuple[int, ...], name: str) -> NDArray[np.float16]:
    """Return the array for a result of some shape.

    Raises
    ------
    RwkvSegError
        If there is not as much memory: smaller tiles would not help.
    """
    try:
        return np.zeros(shape, np.float16)
    except MemoryError as error:
        size = 2 * math.prod(shape) / 1e9
        raise RwkvSegError(
            f"{name}: the result takes {size:.0f} GB, more than there is. Segment a part of it."
        ) from error


class _Run:
    """One prediction on its way: the result so far, and the effort that memory allows.

    Parameters
    ----------
    model, options
        From `as_read`.
    image, token
        As for `predict`.
    window : Window
        Intensities that become 0 and 1.
    where : tuple of slice
        Region with start and stop, one per spatial axis.
    device : torch.device
        Where to start.
    """

    def __init__(
        self,
        model: Model,
        options: PredictOptions,
        image: ImageData,
        token: CancelToken,
        window: Window,
        where: tuple[slice, ...],
        device: torch.device,
    ) -> None:
        self._model, self._image, self._options = model, image, options
        self._token, self._window = token, window
        self._lead, self._inner = where[:-2], where[-2:]
        self._box = widened(self._inner, image.plane_shape, options.overlap)
        longest = max(part.stop - part.start for part in self._box)
        self._full_tile = longest if longest <= ONE_TILE * options.tile else options.tile
        self._forward: Forward | None = None
        self.effort = Effort(options.batch, self._full_tile, device)
        shape = tuple(part.stop - part.start for part in where)
        n_foreground = model.network.config.n_classes - 1
        self.probability = _room_for((n_foreground, *shape), image.name)
        self.notes: list[str] = []

    def planes(self) -> Events:
        """Fill `probability` plane by plane; a plane that does not fit in memory is tried again."""
        indices = list(itertools.product(*(range(p.start, p.stop) for p in self._lead)))
        for number, index in enumerate(indices):
            while (yield from self._lacks_memory(index, number, len(indices))):
                self._retreat()

    def _lacks_memory(
        self, index: tuple[int, ...], number: int, count: int
    ) -> Generator[Progress, None, bool]:
        """Compute one plane; return whether memory ran out.

        The caller retreats after the error, and with it all that its traceback held, is gone.
        """
        try:
            yield from self._plane(index, number, count)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return True
        return False

    def _plane(self, index: tuple[int, ...], number: int, count: int) -> Events:
        """Compute one plane into its place."""
        start = tuple(i - part.start for i, part in zip(index, self._lead, strict=True))
        place = self.probability[(slice(None), *start)]  # (K, H, W)
        height, width = (part.stop - part.start for part in self._box)
        whole = np.zeros((len(place), height, width), np.float16) if self._cropped else place
        overlap = min(self._options.overlap, self.effort.tile // 2)
        tiles = plan_tiles((height, width), self.effort.tile, overlap)
        blender = Blender(whole, tiles, overlap)
        source = PlaneSource(self._image, index, self._box, self._window)
        for done, batch in _batches(tiles, self.effort.batch):
            for tile, found in zip(batch, self._compute(source, batch), strict=True):
                blender.add(tile, found)
            what = f"Plane {number + 1} of {count}" if count > 1 else f"Tile {done} of {len(tiles)}"
            yield Progress(number * len(tiles) + done, count * len(tiles), what)
        blender.finish()
        if self._cropped:
            corner = (-part.start for part in self._box)
            place[:] = whole[(slice(None), *map(shifted, self._inner, corner))]

    def _compute(self, source: PlaneSource, batch: tuple[Tile, ...]) -> NDArray[np.float32]:
        """Return probabilities (B, K, height, width) of some tiles, 0 where not finite."""
        self._token.raise_if_cancelled()
        if self._forward is None:
            device = self.effort.device
            self._forward = Forward(self._model, device, self._options.flips, self._token)
        read = [source.read(tile) for tile in batch]
        n = self._model.network.config.in_channels
        planes = np.stack([to_channels(values, n, self._image.name) for values, _ in read])
        found = self._forward(planes)
        for probability, (_, finite) in zip(found, read, strict=True):
            probability[:, ~finite] = 0
        return found

    def _retreat(self) -> None:
        """Ask for less memory, or give up with a message."""
        smaller = self.effort.less(self._full_tile)
        if smaller is None or len(self.notes) >= RETREATS:
            raise RwkvSegError(
                f"{self._image.name}: not enough memory, even for tiles of {self.effort.tile} "
                "pixels. Close other programs, or segment a smaller region."
            )
        self.notes.append(smaller.describe(self.effort))
        self._forward = None
        if self.effort.device.type == "cuda":
            torch.cuda.empty_cache()
        self.effort = smaller

    @property
    def _cropped(self) -> bool:
        """Whether more is computed than wanted, for context."""
        return self._box != self._inner


def _resolved(region: Sequence[slice] | None, image: ImageData) -> tuple[slice, ...]:
    """Return the region with start and stop on every axis."""
    shape = image.spatial_shape
    parts = (slice(None),) * len(shape) if region is None else tuple(region)
    if len(parts) != len(shape) or any(part.step not in (None, 1) for part in parts):
        raise ValueError(f"region needs {len(shape)} slices of step 1, got {parts}")
    bounds = [part.indices(side)[:2] for part, side in zip(parts, shape, strict=True)]
    if any(stop <= start for start, stop in bounds):
        raise BadImageError(image.name, "empty region", "Choose a region inside the image")
    return tuple(slice(start, stop) for start, stop in bounds)


def _batches(tiles: tuple[Tile, ...], size: int) -> Iterator[tuple[int, tuple[Tile, ...]]]:
    """Yield tiles in groups, each with the number of tiles done after it."""
    for first in range(0, len(tiles), size):
        batch = tiles[first : first + size]
        yield first + len(batch), batch
