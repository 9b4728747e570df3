"""Metrics that simple rules reach on the test data of samples, computed with NumPy alone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[2] / "samples" / "data"
LENGTH, HORIZON, TEST_SHARE = 168, 24, 0.2
"""The windows of `samples/bicycles.json`, and the share of its rows for testing."""


def columns(name: str) -> dict[str, np.ndarray]:
    """The columns of a table, as texts."""
    with open(DATA / name, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {title: np.array(column) for title, column in zip(header, zip(*rows, strict=True), strict=True)}


def auc(is_positive: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of a positive and a negative whose scores have the right order; equal scores count half."""
    ordered = np.sort(scores[~is_positive])
    below, at_most = (np.searchsorted(ordered, scores[is_positive], side) for side in ("left", "right"))
    return float(((below + at_most) / 2).mean() / len(ordered))


def rates(table: str, key: str, target: str, positive: str) -> float:
    """The AUC of the share of positives among the training rows that have the same value in one column."""
    train, test = columns(f"{table}_train.csv"), columns(f"{table}_test.csv")
    keys, key_test = (np.array([text[-5:-3] if key == "scheduled" else text for text in t[key]]) for t in (train, test))
    share = {value: (train[target][keys == value] == positive).mean() for value in np.unique(keys)}
    return auc(test[target] == positive, np.array([share.get(value, 0.0) for value in key_test]))


def images(names: list[Path]) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(name)) for name in names])


def textures() -> float:
    """The accuracy of the class whose images have the nearest mean and deviation of brightness on average."""

    def statistics(part: str, kind: str) -> np.ndarray:
        pixels = images(sorted((DATA / f"textures_{part}" / kind).iterdir()))
        return np.stack([pixels.mean((1, 2)), pixels.std((1, 2))], axis=1)

    kinds = ("brick", "grass", "gravel")
    centers = np.stack([statistics("train", kind).mean(0) for kind in kinds])
    correct = []
    for index, kind in enumerate(kinds):
        distances = np.linalg.norm(statistics("test", kind)[:, None] - centers, axis=2)
        correct += (distances.argmin(1) == index).tolist()
    return float(np.mean(correct))


def bicycles() -> float:
    """The mean absolute error of the forecast that each hour is like the one a week before."""
    rented = columns("bicycles.csv")["rented"].astype(float)
    test = rented[round(len(rented) * (1 - TEST_SHARE)) :]
    windows = np.lib.stride_tricks.sliding_window_view(test, LENGTH + HORIZON)
    return float(np.abs(windows[:, LENGTH:] - windows[:, :HORIZON]).mean())


def iou(predicted: np.ndarray, actual: np.ndarray) -> float:
    return float((predicted & actual).sum() / (predicted | actual).sum())


def nuclei() -> float:
    """The IoU of the pixels brighter than Otsu's threshold, which splits those of the training images most clearly."""
    pixels, test = nuclei_images("train"), nuclei_images("test")
    counts = np.bincount(pixels.ravel(), minlength=256) / pixels.size
    share, total = counts.cumsum(), (counts * np.arange(256)).cumsum()
    inside = (share > 0) & (share < 1)
    between = np.zeros(256)
    between[inside] = (total[-1] * share - total)[inside] ** 2 / (share * (1 - share))[inside]
    return iou(test > between.argmax(), nuclei_masks())


def nuclei_images(part: str) -> np.ndarray:
    return images([DATA / name for name in columns(f"nuclei_{part}.csv")["image"]])


def nuclei_masks() -> np.ndarray:
    """The masks of the test images."""
    return images([DATA / name for name in columns("nuclei_test.csv")["mask"]]) == 255


BASELINES: dict[str, Callable[[], float]] = {
    "flights": lambda: rates("flights", "scheduled", "arrival", "late"),
    "crashes": lambda: rates("crashes", "speed_change", "outcome", "dead"),
    "textures": textures,
    "bicycles": bicycles,
    "nuclei": nuclei,
}
"""The metric of a simple rule, by sample."""
