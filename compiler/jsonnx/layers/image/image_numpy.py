"""What augmentation layers do to images, in NumPy: arrays [images, rows, columns, channels] of float32.

The only file of this room that imports NumPy; the layers import it when they are run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray

# -- where values are taken from ---------------------------------------------------------------------------------------


def _mirror_index(place: Array, size: int) -> Array:
    last = size - 1
    return abs((place + last) % (2 * last) - last) if last else np.zeros_like(place)


EDGE_INDEX: dict[str, Callable[[Array, int], Array]] = {
    "constant": lambda place, size: np.clip(place, 0, size - 1),
    "nearest": lambda place, size: np.clip(place, 0, size - 1),
    "wrap": lambda place, size: place % size,
    "reflect": lambda place, size: _mirror_index(2 * place + 1, 2 * size + 1) // 2,
    "mirror": _mirror_index,
}
"""Which pixel stands for one beyond the edge, by fill mode."""


def sample_pixels(images: Array, rows: Array, columns: Array, interpolation: str, mode: str, fill: float) -> Array:
    """The images' values at places [images, rows, columns] between their pixels."""
    if interpolation == "nearest":
        return _gather_pixels(images, _round_half_away(rows), _round_half_away(columns), mode, fill)
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    result = np.zeros((*rows.shape, images.shape[-1]), np.float32)
    for i, vertical in enumerate((1 - down, down)):
        for j, horizontal in enumerate((1 - right, right)):
            result += vertical * horizontal * _gather_pixels(images, top + i, left + j, mode, fill)
    return result


def _round_half_away(place: Array) -> Array:
    return np.where(place >= 0, np.floor(place + 0.5), np.ceil(place - 0.5))


def _gather_pixels(images: Array, rows: Array, columns: Array, mode: str, fill: float) -> Array:
    count, height, width, channels = images.shape
    rows, columns = rows.astype(np.int32), columns.astype(np.int32)
    number = np.arange(count)[:, None, None] * height
    place = (number + EDGE_INDEX[mode](rows, height)) * width + EDGE_INDEX[mode](columns, width)
    taken = images.reshape(-1, channels).take(place, axis=0)
    if mode != "constant":
        return np.asarray(taken)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside[..., None], taken, np.float32(fill))


def pixel_grid(images: Array) -> tuple[Array, Array]:
    """The row and the column of every pixel."""
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]].astype(np.float32)
    return rows, columns


def projective_transform(images: Array, transforms: Array, interpolation: str, mode: str, fill: float) -> Array:
    """Every pixel (x, y) taken from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1; a transform
    [a0, a1, a2, b0, b1, b2, c0, c1] for every image."""
    y, x = pixel_grid(images)
    a0, a1, a2, b0, b1, b2, c0, c1 = np.asarray(transforms, np.float32).T[..., None, None]
    k = c0 * x + c1 * y + 1
    return sample_pixels(images, (b0 * x + b1 * y + b2) / k, (a0 * x + a1 * y + a2) / k, interpolation, mode, fill)


def homography(start: Array, end: Array) -> Array:
    """The transforms that take four corners [images, 4, 2] from `end` back to `start`."""
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
    """Bilinear, as the layer Resizing does it."""
    from .resizing import resize_weights

    down, across = (
        resize_weights(n, size, "bilinear", False) for n, size in zip(images.shape[1:3], (height, width), strict=True)
    )
    return np.einsum("nhwc,hi,wj->nijc", images, down, across, optimize=True).astype(np.float32)


def separable_blur(images: Array, down: Array, across: Array) -> Array:
    """Every channel by itself convolved with an odd number of weights on each axis, zeros around it."""
    for axis, weights in ((1, down), (2, across)):
        half, size = len(weights) // 2, images.shape[axis]
        around = [(half, half) if index == axis else (0, 0) for index in range(4)]
        padded = np.moveaxis(np.pad(images, around), axis, 0)
        total = sum(weight * padded[offset : offset + size] for offset, weight in enumerate(weights))
        images = np.moveaxis(np.asarray(total), 0, axis)
    return images


def gaussian_kernel(size: int, sigma: float) -> Array:
    """Normal weights of sum 1."""
    x = np.arange(size, dtype=np.float32) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / max(sigma, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def box_masks(images: Array, x: Array, y: Array) -> Array:
    """Masks of boxes from x[0] to x[1] and y[0] to y[1], one an image."""
    rows, columns = pixel_grid(images)
    x, y = x[..., None, None], y[..., None, None]
    return ((columns >= x[0]) & (columns < x[1]) & (rows >= y[0]) & (rows < y[1]))[..., None]


def random_intervals(rng: np.random.Generator, length: int, shares: Array) -> Array:
    """Where a box of these shares of a length begins and ends, at random: [2, images]."""
    size = np.asarray(shares * length, np.float32)
    start = rng.random(len(size), np.float32) * (length - size)
    return np.stack([start, start + size])


# -- colours -----------------------------------------------------------------------------------------------------------


def rescale_range(images: Array, source: tuple[float, float], target: tuple[float, float]) -> Array:
    """Values of one range in another."""
    if tuple(source) == tuple(target):
        return images
    share = (images - np.float32(source[0])) / np.float32(source[1] - source[0])
    return np.asarray(share * np.float32(target[1] - target[0]) + np.float32(target[0]))


def to_grayscale(images: Array) -> Array:
    """The luminance of red, green and blue, as one channel."""
    if images.shape[-1] == 1:
        return images
    return np.asarray(images @ np.array([[0.2989], [0.5870], [0.1140]], np.float32))


def rgb_to_hsv(images: Array) -> Array:
    images = np.where(abs(images) < np.finfo(np.float32).eps, np.float32(0), images)
    r, g, b = np.moveaxis(images, -1, 0)
    value = images.max(-1)
    spread = value - images.min(-1)
    some, apart = value > 0, spread > 0
    norm = 1 / (6 * np.where(apart, spread, 1))
    hue = np.where(value == g, norm * (b - r) + 2 / 6, norm * (r - g) + 4 / 6)
    hue = np.where(value == r, norm * (g - b), hue)
    hue = np.where(apart, hue, 0) + (hue < 0)
    return np.stack([hue, np.where(some, spread / np.where(some, value, 1), 0), value], -1).astype(np.float32)


def hsv_to_rgb(images: Array) -> Array:
    hue, saturation, value = np.moveaxis(images, -1, 0)
    turn = np.mod(hue, 1) * 6
    parts = abs(turn - 3) - 1, 2 - abs(turn - 2), 2 - abs(turn - 4)
    mixed = [value * (1 - saturation + saturation * np.clip(part, 0, 1)) for part in parts]
    return np.stack(mixed, -1).astype(np.float32)


def stretch_contrast(images: Array) -> Array:
    """Every channel of every image from 0 to 255; even ones stay."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    even = low == high
    scale = 255 / np.where(even, 1, high - low)
    return np.where(even, images, np.clip(images * scale - low * scale, 0, 255)).astype(np.float32)


def equalize_histogram(images: Array, bins: int = 256) -> Array:
    """Every channel of all images by the shares of its values from 0 to 255."""
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
