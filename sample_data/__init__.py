"""Programs that make the sample images, and the images they made."""
