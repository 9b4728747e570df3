"""Image layers: resizing, contrast, and augmentation on the host."""

from . import clahe, color_augmentation, contrast, geometric_augmentation, mix_augmentation, resizing

__all__ = ["clahe", "color_augmentation", "contrast", "geometric_augmentation", "mix_augmentation", "resizing"]
