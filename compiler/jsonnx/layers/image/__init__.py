"""Image layers: resizing, contrast, and augmentation on the host."""
