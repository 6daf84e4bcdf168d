"""Split touching objects: a seeded watershed on height, where height is depth inside the mask.

Height falls from the middle of an object to its outline, and in the waist between two touching
ones. Every summit seeds a basin; then basins grow together where the pass between them is nearly
as high as the lower summit, for such a pass is a bump in an outline rather than a waist. Heights
are compared as ratios and distances in radii, so that nothing depends on the magnification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
import skimage  # likewise
from numpy.typing import NDArray

from napari_rwkvseg.engine.progress import CancelToken

PASS = 0.92  # of the lower summit: higher ones part nothing
SMOOTHING = 0.15  # radii, standard deviation
REACH = 0.4  # radii: no second summit this near
SPECK = 9  # pixels: a smaller part has no waist


def separate(
    mask: NDArray[np.bool_],
    probability: NDArray[np.floating],
    spacing: Sequence[float],
    seed_distance: float = 0.0,
    min_size: int = 0,
    token: CancelToken | None = None,
) -> NDArray[np.int32]:
    """Give each object of a mask a number, touching ones apart.

    Each connected part is split by itself, so that only the largest one needs memory for more than
    labels; all share the radius of the typical object.

    Parameters
    ----------
    mask : ndarray, bool, shape ([D,] H, W)
        Foreground of one class.
    probability : ndarray, float, same shape
        Its probability, 0 to 1: a dip between two objects helps to part them.
    spacing : sequence of float, one per axis
        Steps, in one unit.
    seed_distance : float
        Smallest distance between two summits, in steps of the last axis; 0 derives it.
    min_size : int
        A basin with fewer pixels joins its neighbour.
    token : CancelToken, optional
        Polled at every connected part.

    Returns
    -------
    ndarray, int32, same shape
        0 background, 1 to N the objects; each lies in one connected part of the mask.

    Raises
    ------
    Cancelled
        If the token asks to stop.
    """
    token = token or CancelToken()
    if mask.all():
        return np.ones(mask.shape, np.int32)  # no outline, no depth
    parts, n = scipy.ndimage.label(mask)
    sizes = np.bincount(parts[mask], minlength=n + 1)
    boxes = scipy.ndimage.find_objects(parts)
    large = {int(part): _with_rim(boxes[part - 1]) for part in np.flatnonzero(sizes >= SPECK)}
    depths = {part: _depth(parts[box] == part, spacing, token) for part, box in large.items()}
    radius = _typical_radius(depths, sizes, min(spacing))
    scale = _Scale.of(radius, spacing, seed_distance)
    labels, last = np.zeros(mask.shape, np.int32), 0
    for part, box in large.items():
        token.raise_if_cancelled()
        inside = parts[box] == part
        found = _split(inside, depths[part], probability[box], scale, min_size)
        labels[box][inside] = found + last
        last += int(found.max())
    return _with_specks(labels, parts, sizes, last)


def _with_specks(
    labels: NDArray[np.int32], parts: NDArray[np.int32], sizes: NDArray[np.intp], last: int
) -> NDArray[np.int32]:
    """Add the parts without a waist, which may be thousands in a noisy mask, as they are."""
    specks = (sizes > 0) & (sizes < SPECK)
    if specks.any():
        labels += np.where(specks, last + np.cumsum(specks), 0).astype(np.int32)[parts]
    return labels


@dataclass(frozen=True)
class _Scale:
    """What the typical object sets.

    Attributes
    ----------
    smoothing : tuple of float
        Standard deviation of the smoothing of heights, in steps of each axis.
    reach : tuple of float
        No second summit is this near, in steps of each axis.
    """

    smoothing: tuple[float, ...]
    reach: tuple[float, ...]

    @classmethod
    def of(cls, radius: float, spacing: Sequence[float], seed_distance: float) -> _Scale:
        """Return the scale of a typical radius; a seed distance, in last steps, goes before."""
        reach = seed_distance * spacing[-1] / 2 if seed_distance else REACH * radius
        return cls(
            tuple(SMOOTHING * radius / step for step in spacing),
            tuple(reach / step for step in spacing),
        )


def _with_rim(box: tuple[slice, ...]) -> tuple[slice, ...]:
    """Return a bounding box with one pixel of background around, where the image has one."""
    return tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)


def _depth(
    inside: NDArray[np.bool_], spacing: Sequence[float], token: CancelToken
) -> NDArray[np.float32]:
    """Return how deep the pixels of a part (P,) lie in it, in units of spacing."""
    token.raise_if_cancelled()
    depth = scipy.ndimage.distance_transform_edt(inside, sampling=spacing)
    return np.asarray(depth[inside], np.float32)


def _typical_radius(
    depths: Mapping[int, NDArray[np.float32]], sizes: NDArray[np.intp], least: float
) -> float:
    """Return the depth of the part that holds the median pixel: specks count little.

    `depths` are those of the parts that are no specks, `sizes` the pixels of all, by number.
    """
    deepest = np.full(len(sizes), least, np.float32)
    for part, depth in depths.items():
        deepest[part] = depth.max()
    return float(np.median(np.repeat(deepest, sizes))) if sizes.any() else 0.0


def _height(
    inside: NDArray[np.bool_],
    depth: NDArray[np.float32],
    probability: NDArray[np.floating],
    smoothing: Sequence[float],
) -> NDArray[np.float32]:
    """Return the height of each pixel of a part, 0 around it."""
    height = np.zeros(inside.shape, np.float32)
    height[inside] = depth * probability[inside]
    smooth: NDArray[np.float32] = scipy.ndimage.gaussian_filter(height, smoothing)
    smooth[~inside] = 0
    return smooth


def _split(
    inside: NDArray[np.bool_],
    depth: NDArray[np.float32],
    probability: NDArray[np.floating],
    scale: _Scale,
    min_size: int,
) -> NDArray[np.int32]:
    """Return the object of each pixel of a part (P,), 1 to n; (1,) if there is only one."""
    height = _height(inside, depth, probability, scale.smoothing)
    size = [2 * max(1, round(reach)) + 1 for reach in scale.reach]
    summits = inside & (scipy.ndimage.maximum_filter(height, size=size) == height)
    seeds, n = scipy.ndimage.label(summits)
    if n == 1:
        return np.ones(1, np.int32)
    flooded = skimage.segmentation.watershed(-height, seeds, mask=inside)  # type: ignore[no-untyped-call]
    basins: NDArray[np.int32] = np.asarray(flooded)
    return _joined(basins, height, min_size)[basins[inside]]


def _highest(values: NDArray[np.float32], groups: NDArray[np.int32], n: int) -> NDArray[np.float32]:
    """Return the highest of the values (P,) in each of the groups (P,) 0 to n, at least 0."""
    highest = np.zeros(n + 1, np.float32)
    np.maximum.at(highest, groups, values)
    return highest


def _joined(
    basins: NDArray[np.int32], height: NDArray[np.float32], min_size: int
) -> NDArray[np.int32]:
    """Return the object of each basin, 0 for 0: objects are numbered without gaps."""
    sizes = np.bincount(basins.ravel())
    inside = basins > 0
    summits = _highest(height[inside], basins[inside], len(sizes) - 1)
    union = _Union(summits, sizes)
    for first, second, level in _passes(basins, height):
        union.consider(first, second, level, min_size)
    roots = [union.root(basin) for basin in range(1, len(sizes))]
    objects = np.unique(roots, return_inverse=True)[1] + 1
    return np.concatenate([[0], objects]).astype(np.int32)


class _Union:
    """Basins that grow together, each group known by its highest basin.

    Parameters
    ----------
    summits : ndarray, float, shape (n + 1,)
        Highest height of each basin.
    sizes : ndarray, int, shape (n + 1,)
        Pixels of each basin.
    """

    def __init__(self, summits: NDArray[np.floating], sizes: NDArray[np.integer]) -> None:
        self._parent = list(range(len(sizes)))
        self._summit = summits.tolist()
        self._size = sizes.tolist()

    def root(self, basin: int) -> int:
        """Return the basin that stands for a basin's group."""
        while self._parent[basin] != basin:
            self._parent[basin] = self._parent[self._parent[basin]]
            basin = self._parent[basin]
        return basin

    def consider(self, first: int, second: int, level: float, min_size: int) -> None:
        """Join the groups of two basins if the pass between them is high or one of them small."""
        lower, upper = sorted((self.root(first), self.root(second)), key=self._summit.__getitem__)
        small = min(self._size[lower], self._size[upper]) < min_size
        if lower != upper and (small or level >= PASS * self._summit[lower]):
            self._parent[lower] = upper
            self._size[upper] += self._size[lower]


def _passes(basins: NDArray[np.int32], height: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Return every pair of touching basins with the height of their pass, the highest first."""
    n = int(basins.max()) + 1
    borders = [_border(basins, height, axis) for axis in range(basins.ndim)]
    pairs = np.concatenate([pair for pair, _ in borders])
    levels = np.concatenate([level for _, level in borders])
    order = np.argsort(-levels, kind="stable")
    pairs, levels = pairs[order], levels[order]
    first = np.sort(np.unique(pairs, return_index=True)[1])  # the highest place of each border
    return [(*divmod(int(pairs[i]), n), float(levels[i])) for i in first]


def _border(
    basins: NDArray[np.int32], height: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where basins touch along an axis: pairs as ``lower * n + higher``, and the height."""
    here, there = (
        (slice(None),) * axis + (slice(None, -1),),
        (slice(None),) * axis + (slice(1, None),),
    )
    a, b = basins[here], basins[there]
    touch = (a != b) & (a > 0) & (b > 0)
    level = np.minimum(height[here][touch], height[there][touch])
    a, b = a[touch].astype(np.int64), b[touch].astype(np.int64)
    return np.minimum(a, b) * (int(basins.max()) + 1) + np.maximum(a, b), level
