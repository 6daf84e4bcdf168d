"""Split touching objects: a seeded watershed on height, where height is depth inside the mask.

Height falls from the middle of an object to its outline, and in the waist between two touching
ones. Every summit seeds a basin; then basins grow together where the pass between them is nearly
as high as the lower summit, for such a pass is a bump in an outline rather than a waist. Heights
are compared as ratios and distances in radii, so that nothing depends on the magnification.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
import skimage  # likewise
from numpy.typing import NDArray

PASS = 0.92  # of the lower summit: higher ones part nothing
SMOOTHING = 0.15  # radii, standard deviation
REACH = 0.4  # radii: no second summit this near


def separate(
    mask: NDArray[np.bool_],
    probability: NDArray[np.floating],
    spacing: Sequence[float],
    seed_distance: float = 0.0,
    min_size: int = 0,
) -> NDArray[np.int32]:
    """Give each object of a mask a number, touching ones apart.

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

    Returns
    -------
    ndarray, int32, same shape
        0 background, 1 to N the objects; each lies in one connected part of the mask.
    """
    labels = np.zeros(mask.shape, np.int32)
    if mask.all():
        labels += 1  # no outline, no depth
    elif mask.any():
        box = _surroundings(mask)
        inside = mask[box]
        height, radius = _height(inside, probability[box], spacing)
        reach = seed_distance * spacing[-1] / 2 if seed_distance else REACH * radius
        basins = _basins(height, inside, [reach / step for step in spacing])
        labels[box] = _joined(basins, height, min_size)[basins]
    return labels


def _surroundings(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the bounding box of a mask that is not empty, with one pixel of background."""
    (tight,) = scipy.ndimage.find_objects(mask.view(np.int8))
    return tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in tight)


def _height(
    mask: NDArray[np.bool_], probability: NDArray[np.floating], spacing: Sequence[float]
) -> tuple[NDArray[np.float32], float]:
    """Return the height of each pixel, and the radius of the typical object in units of spacing."""
    depth = scipy.ndimage.distance_transform_edt(mask, sampling=spacing).astype(np.float32)
    radius = _typical_radius(mask, depth)
    depth *= probability
    height = scipy.ndimage.gaussian_filter(depth, [SMOOTHING * radius / step for step in spacing])
    height[~mask] = 0
    return height, radius


def _typical_radius(mask: NDArray[np.bool_], depth: NDArray[np.float32]) -> float:
    """Return the depth of the connected part that holds the median pixel: specks count little."""
    parts, n = scipy.ndimage.label(mask)
    deepest = _highest(depth[mask], parts[mask], n)
    return float(np.median(deepest[parts[mask]]))


def _highest(values: NDArray[np.float32], groups: NDArray[np.int32], n: int) -> NDArray[np.float32]:
    """Return the highest of the values (P,) in each of the groups (P,) 0 to n, at least 0."""
    highest = np.zeros(n + 1, np.float32)
    np.maximum.at(highest, groups, values)
    return highest


def _basins(
    height: NDArray[np.float32], mask: NDArray[np.bool_], reach: Sequence[float]
) -> NDArray[np.int32]:
    """Return one basin per summit, 1 to n, that together cover the mask."""
    size = [2 * max(1, round(r)) + 1 for r in reach]
    summits = mask & (scipy.ndimage.maximum_filter(height, size=size) == height)
    seeds, n = scipy.ndimage.label(summits)
    flooded = skimage.segmentation.watershed(-height, seeds, mask=mask)  # type: ignore[no-untyped-call]
    basins = np.asarray(flooded)
    left, _ = scipy.ndimage.label(mask & (basins == 0))  # parts next to a higher one's summit
    return np.where(left > 0, left + n, basins).astype(np.int32)


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
