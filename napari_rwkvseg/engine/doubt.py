"""Which finds are to be doubted, learnt from the objects that people corrected.

A network that has seen three lesions finds some in healthy tissue too. Most of these are much
smaller than any that it was shown, or the network is nowhere as sure of them as it is of those.
Such finds are left out, unless people ask for them. The second rule is a threshold with hysteresis
(Canny, IEEE TPAMI 8:679, 1986): one probability decides how far an object reaches, a higher one
whether it is there at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load at first use: in a worker, not while the dock opens
from numpy.typing import NDArray

from napari_rwkvseg.engine.evidence import Evidence

# Of a size: half of the width. Who knows a single lesion or polyp would lose a quarter of all
# others by that, with five a tenth; hence of one object the square, and so on, see `least_size`.
SHARE = 0.25
SMALL = 0.05  # quantile of the sizes: a stray dab of the brush is no object
# No more is asked for: networks are surer of what they were taught than of the rest. Where objects
# were seen only in part, less: another part, which may be most of an image, would be lost.
SUREST, SUREST_OF_PARTS = 0.98, 0.95


@dataclass(frozen=True)
class Limits:
    """What a connected find must have to be an object.

    Attributes
    ----------
    min_size : int
        Pixels, or voxels in a stack.
    peak : float
        Probability that it reaches somewhere, 0 to 1, where its border lies at 0.5.
    """

    min_size: int = 0
    peak: float = 0.0

    def at(self, threshold: float) -> Limits:
        """Return the limits for another border: the peak moves by as much, in logits."""
        if threshold == 0.5 or not 0 < self.peak < 1 or not 0 < threshold < 1:
            return self  # to the bit: an object that is exactly as sure as the peak stays
        odds = self.peak / (1 - self.peak) * threshold / (1 - threshold)
        return Limits(self.min_size, odds / (1 + odds))

    def doubted(
        self, mask: NDArray[np.bool_], probability: NDArray[np.floating], cut: bool = False
    ) -> NDArray[np.bool_]:
        """Return the connected parts of a mask that are no objects.

        Parameters
        ----------
        mask : ndarray, bool, shape (H, W) or (D, H, W)
            Of one class.
        probability : ndarray, float, same shape
            Of that class, 0 to 1.
        cut : bool
            Whether a plane goes on beyond its borders: parts that touch them may be larger and
            surer there, and are not doubted.
        """
        if self.min_size <= 1 and self.peak <= 0:
            return np.zeros_like(mask)
        parts, count = scipy.ndimage.label(mask)
        doubtful = np.bincount(parts[mask], minlength=1 + count) < self.min_size
        sure = probability >= np.float64(self.peak)  # in this precision, not in that of the map
        doubtful |= np.bincount(parts[sure], minlength=1 + count) == 0
        doubtful[0] = False
        if cut:
            doubtful[parts[_beside_unknown(np.ones_like(mask))]] = False
        inside: NDArray[np.bool_] = doubtful[parts]
        return inside


KEEP_ALL = Limits()


def least_size(pieces: Sequence[Evidence]) -> int:
    """Return the least number of pixels that an object should have, by those in corrected images.

    Parameters
    ----------
    pieces : sequence of Evidence
        Corrections to learn from.

    Returns
    -------
    int
        A quarter of the size of the smallest of many objects, an eighth of that of two, a sixteenth
        of that of one: the fewer are known, the smaller may others be. 0, where nothing is left
        out, if no object is seen whole: one that a border or pixels without evidence cut may be of
        any size.
    """
    sizes = np.concatenate([[], *map(_whole_sizes, pieces)])
    if not len(sizes):
        return 0
    share = SHARE ** (1 + 1 / len(sizes))
    return int(share * np.quantile(sizes, SMALL, method="lower"))


def least_peak(pieces: Sequence[tuple[Evidence, NDArray[np.floating]]]) -> float:
    """Return how sure a network should be of an object somewhere, by those that it was taught.

    Parameters
    ----------
    pieces : sequence of (Evidence, ndarray of shape (K, H, W))
        Corrections that it has learnt from, with the probabilities that it gives to the classes.

    Returns
    -------
    float
        0 to `SUREST`: the peak of the object of which it is least sure, so that none is lost that
        was taught; slivers and dabs, below `SHARE` of the usual size, aside. 0 without any object.
        It may be surer of an object than of parts of it: where no object of an image is whole,
        the piece that shows them best counts, and where some are, only these. If none is whole in
        any image, as in a network of membranes, at most `SUREST_OF_PARTS`.
    """
    found = [_taught_peaks(piece, probability) for piece, probability in pieces]
    _, sizes, _ = np.concatenate([np.zeros((3, 0)), *found], axis=1)
    if not len(sizes):
        return 0.0
    # of the usual size are those that most of the foreground belongs to, not most of the parts
    usual = np.quantile(sizes, 0.5, weights=sizes, method="inverted_cdf")
    images: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    for (piece, _), objects in zip(pieces, found, strict=True):
        large = objects[:, objects[1] >= SHARE * usual]
        if large.size:
            images.setdefault((piece.image_id, piece.plane), []).append(large)
    whole = any(piece[2].any() for pieces in images.values() for piece in pieces)
    most = SUREST if whole else SUREST_OF_PARTS
    return _stored(min(most, *map(_image_peak, images.values())))


def _stored(probability: float) -> float:
    """Return the highest value of a map in half precision that is not above a probability.

    Predictions are kept in half precision: an object that is exactly as sure as the peak must not
    fall below it there.
    """
    half = np.float16(probability)
    above = float(half) > probability  # as floats: beside one, NumPy compares in half precision
    return float(np.nextafter(half, np.float16(0)) if above else half)


def _image_peak(pieces: Sequence[NDArray[np.float64]]) -> float:
    """Return how sure a network is of the objects of an image, from those (3, n) in its pieces."""
    peaks, _, whole = np.concatenate(pieces, axis=1)
    if whole.any():
        return float(peaks[whole > 0].min())
    return max(float(piece[0].min()) for piece in pieces)


def _whole_sizes(piece: Evidence) -> NDArray[np.intp]:
    """Return the pixels of each object of a plane that is seen whole."""
    found = [np.zeros(0, np.intp)]
    for _, _, sizes, whole in _objects(piece):
        found.append(sizes[whole])
    return np.concatenate(found)


def _taught_peaks(piece: Evidence, found: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return, per object, peak of the probabilities (K, H, W), pixels, and if whole, (3, n)."""
    objects = [np.zeros((3, 0))]
    for k, parts, sizes, whole in _objects(piece):
        peaks = scipy.ndimage.maximum(found[k - 1], parts, np.arange(len(sizes)))
        objects.append(np.stack([peaks, sizes, whole])[:, 1:])
    return np.concatenate(objects, axis=1)


def _objects(
    piece: Evidence,
) -> Iterator[tuple[int, NDArray[np.integer], NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield each class with its objects, numbered from 1; their pixels, and which are whole.

    Whole are those that lie apart from what is not known. In both arrays 0 is the background.
    """
    border = _beside_unknown(piece.seen)
    for k in np.unique(piece.truth[piece.seen & (piece.truth > 0)]):
        parts, count = scipy.ndimage.label(piece.seen & (piece.truth == k))
        whole = np.arange(1 + count) > 0
        whole[parts[border]] = False
        yield int(k), parts, np.bincount(parts.ravel()), whole


def _beside_unknown(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) with a neighbour of which nothing is known, the border's too."""
    beside: NDArray[np.bool_] = ~scipy.ndimage.binary_erosion(seen)
    return beside
