"""The window: the only place that imports napari or Qt."""
