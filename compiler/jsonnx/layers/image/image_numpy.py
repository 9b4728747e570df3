"""NumPy functions of the augmentation layers, on float32 arrays [images, rows, columns, channels].

The only module of this package that imports NumPy at module level; layers import it when they run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray

# -- sampling ----------------------------------------------------------------------------------------------------------


def _mirror_index(index: Array, size: int) -> Array:
    last = size - 1
    return abs((index + last) % (2 * last) - last) if last else np.zeros_like(index)


EDGE_INDEX: dict[str, Callable[[Array, int], Array]] = {
    "constant": lambda index, size: np.clip(index, 0, size - 1),
    "nearest": lambda index, size: np.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "reflect": lambda index, size: _mirror_index(2 * index + 1, 2 * size + 1) // 2,
    "mirror": _mirror_index,
}
"""Maps the indices of pixels outside the image to pixels inside, by fill mode."""


def sample_pixels(images: Array, rows: Array, columns: Array, interpolation: str, mode: str, fill: float) -> Array:
    """Samples the images at fractional coordinates [images, rows, columns]."""
    if interpolation == "nearest":
        return _gather_pixels(images, _round_half_away(rows), _round_half_away(columns), mode, fill)
    top, left = np.floor(rows), np.floor(columns)
    row_weight, column_weight = (rows - top)[..., None], (columns - left)[..., None]
    result = np.zeros((*rows.shape, images.shape[-1]), np.float32)
    for i, vertical in enumerate((1 - row_weight, row_weight)):
        for j, horizontal in enumerate((1 - column_weight, column_weight)):
            result += vertical * horizontal * _gather_pixels(images, top + i, left + j, mode, fill)
    return result


def _round_half_away(index: Array) -> Array:
    return np.where(index >= 0, np.floor(index + 0.5), np.ceil(index - 0.5))


def _gather_pixels(images: Array, rows: Array, columns: Array, mode: str, fill: float) -> Array:
    count, height, width, channels = images.shape
    rows, columns = rows.astype(np.int32), columns.astype(np.int32)
    first_row = np.arange(count)[:, None, None] * height
    index = (first_row + EDGE_INDEX[mode](rows, height)) * width + EDGE_INDEX[mode](columns, width)
    values = images.reshape(-1, channels).take(index, axis=0)
    if mode != "constant":
        return np.asarray(values)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside[..., None], values, np.float32(fill))


def pixel_grid(images: Array) -> tuple[Array, Array]:
    """The row and the column of every pixel."""
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]].astype(np.float32)
    return rows, columns


def projective_transform(images: Array, transforms: Array, interpolation: str, mode: str, fill: float) -> Array:
    """Applies a projective transform [a0, a1, a2, b0, b1, b2, c0, c1] per image.

    The pixel (x, y) is taken from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), with k = c0 x + c1 y + 1.
    """
    y, x = pixel_grid(images)
    a0, a1, a2, b0, b1, b2, c0, c1 = np.asarray(transforms, np.float32).T[..., None, None]
    k = c0 * x + c1 * y + 1
    return sample_pixels(images, (b0 * x + b1 * y + b2) / k, (a0 * x + a1 * y + a2) / k, interpolation, mode, fill)


def homography(start: Array, end: Array) -> Array:
    """The transforms that map four corners [images, 4, 2] from `end` back to `start`."""
    (x, y), (u, v) = np.moveaxis(end, -1, 0), np.moveaxis(start, -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1),
        ],
        axis=1,
    )
    return np.asarray(np.linalg.solve(rows, np.concatenate([u, v], -1)[..., None])[..., 0])


def resize_bilinear(images: Array, height: int, width: int) -> Array:
    """Resizes bilinearly, like the layer Resizing."""
    vertical, horizontal = (
        resize_weights(n, size, "bilinear", False) for n, size in zip(images.shape[1:3], (height, width), strict=True)
    )
    return np.einsum("nhwc,hi,wj->nijc", images, vertical, horizontal, optimize=True).astype(np.float32)


def resize_weights(n: int, size: int, interpolation: str, antialias: bool) -> Array:
    """Interpolation weights [n, size] of n input elements for `size` output elements, in float32 as in JAX.

    With `antialias`, the kernel is as wide as an output element.
    """
    step = np.float32(n / size)
    centers = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5)
    distance = np.abs(centers - np.arange(n, dtype=np.float32)[:, None])
    if antialias:
        distance /= np.maximum(step, np.float32(1))
    if interpolation == "bilinear":
        weights = np.maximum(0, 1 - distance)
    else:  # Keys' kernel
        inner = (1.5 * distance - 2.5) * distance**2 + 1
        outer = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
        weights = np.where(distance < 1, inner, np.where(distance < 2, outer, 0))
    return weights / weights.sum(0)


def separable_blur(images: Array, vertical: Array, horizontal: Array) -> Array:
    """Convolves each channel with an odd number of weights per axis, with zeros outside the image."""
    for axis, weights in ((1, vertical), (2, horizontal)):
        half, size = len(weights) // 2, images.shape[axis]
        padding = [(half, half) if index == axis else (0, 0) for index in range(4)]
        padded = np.moveaxis(np.pad(images, padding), axis, 0)
        total = sum(weight * padded[offset : offset + size] for offset, weight in enumerate(weights))
        images = np.moveaxis(np.asarray(total), 0, axis)
    return images


def gaussian_kernel(size: int, sigma: float) -> Array:
    """Gaussian weights that sum to 1."""
    x = np.arange(size, dtype=np.float32) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / max(sigma, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def box_masks(images: Array, x: Array, y: Array) -> Array:
    """One mask per image, true inside the box from x[0] to x[1] and y[0] to y[1]."""
    rows, columns = pixel_grid(images)
    x, y = x[..., None, None], y[..., None, None]
    return ((columns >= x[0]) & (columns < x[1]) & (rows >= y[0]) & (rows < y[1]))[..., None]


def random_intervals(rng: np.random.Generator, length: int, fractions: Array) -> Array:
    """Draws the start and end of a box that spans these fractions of a length: [2, images]."""
    size = np.asarray(fractions * length, np.float32)
    start = rng.random(len(size), np.float32) * (length - size)
    return np.stack([start, start + size])


# -- colors ------------------------------------------------------------------------------------------------------------


def rescale_range(images: Array, source: tuple[float, float], target: tuple[float, float]) -> Array:
    """Rescales values from one range to another."""
    if tuple(source) == tuple(target):
        return images
    fraction = (images - np.float32(source[0])) / np.float32(source[1] - source[0])
    return np.asarray(fraction * np.float32(target[1] - target[0]) + np.float32(target[0]))


def to_grayscale(images: Array) -> Array:
    """The luminance of RGB images, as one channel."""
    if images.shape[-1] == 1:
        return images
    return np.asarray(images @ np.array([[0.2989], [0.5870], [0.1140]], np.float32))


def rgb_to_hsv(images: Array) -> Array:
    images = np.where(abs(images) < np.finfo(np.float32).eps, np.float32(0), images)
    r, g, b = np.moveaxis(images, -1, 0)
    value = images.max(-1)
    spread = value - images.min(-1)
    is_positive, has_hue = value > 0, spread > 0
    norm = 1 / (6 * np.where(has_hue, spread, 1))
    hue = np.where(value == g, norm * (b - r) + 2 / 6, norm * (r - g) + 4 / 6)
    hue = np.where(value == r, norm * (g - b), hue)
    hue = np.where(has_hue, hue, 0) + (hue < 0)
    saturation = np.where(is_positive, spread / np.where(is_positive, value, 1), 0)
    return np.stack([hue, saturation, value], -1).astype(np.float32)


def hsv_to_rgb(images: Array) -> Array:
    hue, saturation, value = np.moveaxis(images, -1, 0)
    sector = np.mod(hue, 1) * 6
    parts = abs(sector - 3) - 1, 2 - abs(sector - 2), 2 - abs(sector - 4)
    channels = [value * (1 - saturation + saturation * np.clip(part, 0, 1)) for part in parts]
    return np.stack(channels, -1).astype(np.float32)


def stretch_contrast(images: Array) -> Array:
    """Stretches each channel of each image to 0 to 255; constant channels are not changed."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    is_constant = low == high
    scale = 255 / np.where(is_constant, 1, high - low)
    return np.where(is_constant, images, np.clip(images * scale - low * scale, 0, 255)).astype(np.float32)


def equalize_histogram(images: Array, bins: int = 256) -> Array:
    """Equalizes the histogram of each channel over all images, for values from 0 to 255."""
    result = images.copy()
    for channel in range(images.shape[-1]):
        values = images[..., channel]
        counts = np.bincount(np.clip((values * (bins - 1) / 255).astype(int), 0, bins - 1).ravel(), minlength=bins)
        if np.count_nonzero(counts) > 1:
            total = np.cumsum(counts)
            first = total[np.argmax(total > 0)]
            table = np.clip(np.round((total - first) * 255 / max(total[-1] - first, 1)), 0, 255)
            result[..., channel] = table[np.clip(values / 255 * (bins - 1), 0, bins - 1).astype(int)]
    return result
