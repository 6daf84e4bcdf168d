"""napari-shaped data without napari: layers to images, results to layers."""
