"""Inputs and targets drawn by a seed, to compare what providers compute from the same values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.types import BATCH, Size, TensorType, evaluate_size
from ...data.samples.sample_order import generator

SYMBOL_SIZE = 16
"""The size of an axis, other than the batch, that the model leaves open."""
INDEX_COUNT = 2
"""Integers are drawn below this if the number of valid indices is unknown: every table has two rows."""
WORDS = ("a", "good", "bad", "film", "one", "two", "the", "")


def draw_inputs(
    types: Mapping[str, TensorType],
    seed: int,
    batch_size: int,
    index_sizes: Mapping[str, int] = {},
    vocabularies: Mapping[str, Collection[Any]] = {},
) -> dict[str, np.ndarray]:
    """Arrays of these types: normal numbers, indices that are valid, and tokens of a vocabulary or of a few words."""
    sizes = _symbol_sizes(types, batch_size)
    return {
        name: _draw_input(type, generator(seed, "input", name), sizes, index_sizes.get(name), vocabularies.get(name))
        for name, type in types.items()
    }


def _symbol_sizes(types: Mapping[str, TensorType], batch_size: int) -> dict[str, int]:
    symbols = {
        symbol for type in types.values() for size in type.shape if isinstance(size, Size) for symbol, _ in size.terms
    }
    first = {str(type.shape[0]) for type in types.values() if type.shape}
    return {symbol: batch_size if symbol in (str(BATCH), *first) else SYMBOL_SIZE for symbol in symbols}


def _draw_input(
    type: TensorType,
    rng: np.random.Generator,
    sizes: Mapping[str, int],
    index_count: int | None,
    vocabulary: Collection[Any] | None,
) -> np.ndarray:
    shape = tuple(evaluate_size(size, sizes) for size in type.shape)
    dtype = numpy_dtype(type.dtype)
    if vocabulary or dtype.kind == "O":
        tokens = np.array(sorted(vocabulary or WORDS), dtype)
        return tokens[rng.integers(len(tokens), size=shape)]
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        count = index_count or (256 if type.dtype == "uint8" else INDEX_COUNT)
        return rng.integers(count, size=shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def draw_targets(
    types: Mapping[str, TensorType], outputs: Mapping[str, TensorType], seed: int, samples: int
) -> dict[str, np.ndarray]:
    """Targets that every loss accepts: classes of the output, or numbers between 0 and 1 whose sum over the last axis
    is 1."""
    sizes = _symbol_sizes({**types, **outputs}, samples)
    return {
        name: _draw_target(type, outputs.get(name), generator(seed, "target", name), sizes)
        for name, type in types.items()
    }


def _draw_target(
    type: TensorType, output: TensorType | None, rng: np.random.Generator, sizes: Mapping[str, int]
) -> np.ndarray:
    shape = tuple(evaluate_size(size, sizes) for size in type.shape)
    dtype = numpy_dtype(type.dtype)
    if dtype.kind in "iub":
        last = output.shape[-1] if output is not None and output.shape else 1
        return rng.integers(last if isinstance(last, int) and last > 1 else 2, size=shape).astype(dtype)
    values = rng.uniform(0.05, 0.95, shape)
    if shape and shape[-1] > 1:
        values /= values.sum(axis=-1, keepdims=True)
    return values.astype(dtype)
