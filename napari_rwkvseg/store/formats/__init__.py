"""Image files in, masks out: every format behind four functions."""

from napari_rwkvseg.store.formats.opening import IMAGE_SUFFIXES, read_image, read_labels
from napari_rwkvseg.store.formats.saving import MASK_SUFFIXES, write_mask, write_probability

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "read_image",
    "read_labels",
    "write_mask",
    "write_probability",
]
