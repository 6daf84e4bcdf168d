"""Part of the way from one network to another: what is learnt stays, what is forgotten comes back.

Along the straight line between the weights of a network and of its fine-tuned copy, most of the
new is there early, while the old is lost late: Wortsman et al., arXiv:2109.01903.
"""

from __future__ import annotations

import copy

import torch

from napari_rwkvseg.network.model import SegmentationNetwork


def blend(old: SegmentationNetwork, new: SegmentationNetwork, share: float) -> SegmentationNetwork:
    """Return a network between two others.

    Parameters
    ----------
    old, new : SegmentationNetwork
        Of the same shape; not changed.
    share : float
        Of the way from the old weights to the new ones, 0 to 1.

    Returns
    -------
    SegmentationNetwork
        On the device and in the mode of `new`.
    """
    between, before = copy.deepcopy(new), old.state_dict()
    with torch.no_grad():
        for name, value in between.state_dict().items():
            if value.is_floating_point():
                value.lerp_(before[name].to(value.device), 1 - share)
    return between
