"""The contrast of colors, as the Web Content Accessibility Guidelines define it."""

from __future__ import annotations


def contrast(first: str, second: str) -> float:
    """The contrast of two colors such as `#1f2328`: from 1 to 21. Text needs 4.5, lines need 3."""
    darker, lighter = sorted(map(luminance, (first, second)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
