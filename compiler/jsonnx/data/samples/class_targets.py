"""Names of classes in targets as class indices; integers are names where labels are integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .data_spec import DataSpec
from .stored_arrays import StoredArray
from .valid_values import is_text


def indices_of_texts(texts: np.ndarray, classes: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The class indices of an array of names, and whether an element is no name."""
    numbers = mapped(texts, lambda text: classes.get(str(text).strip(), -1)).astype(np.int64)
    return numbers, numbers < 0


def indices_of_numbers(array: np.ndarray, classes: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The class indices of an array of numbers that are names, and whether an element is no name."""
    distinct, places = np.unique(array, return_inverse=True)
    values = distinct.tolist()
    numbers = np.array([classes.get(value, -1) for value in values], np.int64)
    is_unknown = np.array([value not in classes for value in values], bool)
    return numbers[places].reshape(array.shape), is_unknown[places].reshape(array.shape)


def mapped(texts: np.ndarray, function: Callable[[Any], Any]) -> np.ndarray:
    """An array of what a function returns for each text, which it is called with once."""
    values = {text: function(text) for text in {*texts.flat}}
    array = np.empty(texts.size, object)
    array[:] = [*map(values.__getitem__, texts.flat)]
    return array.reshape(texts.shape)


def stored_classes(array: StoredArray, classes: Mapping[int, int]) -> StoredArray:
    """The class indices of numbers in a file, all of which are names."""
    return StoredArray(_ClassSamples(array, classes))


class _ClassSamples:
    """Class indices, which are made of the numbers in a file when these are read."""

    def __init__(self, numbers: StoredArray, classes: Mapping[int, int]) -> None:
        self._numbers, self._classes = numbers, classes
        self.shape, self.dtype = numbers.shape, np.dtype(np.int64)

    def read(self, rows: np.ndarray) -> np.ndarray:
        return indices_of_numbers(self._numbers.read(rows), self._classes)[0]

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return indices_of_numbers(self._numbers.read(slice(start, stop)), self._classes)[0]

    def block_starts(self) -> np.ndarray | None:
        return self._numbers.block_starts()


def one_hot_hint(array: np.ndarray, name: str, data_spec: DataSpec) -> str | None:
    """A hint for a target with one number for each class, where the loss takes the class index."""
    index_range = data_spec.index_ranges.get(name)
    if name not in data_spec.targets or index_range is None or array.ndim != data_spec.type_of(name).rank + 1:
        return None
    if array.shape[-1] != index_range.size:
        return None
    return "for one-hot targets the loss is categorical_crossentropy; this loss takes class indices"


def class_index_hint(array: np.ndarray, name: str, data_spec: DataSpec) -> str | None:
    """A hint for a target with the name or the index of a class, where the loss takes one number for each class."""
    if name not in data_spec.targets or array.ndim != 1 or not (array.dtype.kind in "iu" or is_text(array)):
        return None
    type = data_spec.targets[name]
    takes_probabilities = type.rank == 2 and type.dtype.startswith("float") and type.shape[1] != 1
    return (
        "for names or indices of classes the loss is sparse_categorical_crossentropy" if takes_probabilities else None
    )
