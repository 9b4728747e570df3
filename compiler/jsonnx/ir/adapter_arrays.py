"""Arrays of low-rank adapters: the weights that they are merged into, and the initial magnitudes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from .adapters import MIN_SQUARED_NORM
from .graph import Adapter, Graph


def unique_adapters(graph: Graph) -> tuple[Adapter, ...]:
    """The adapters of a graph, one for each adapted weight."""
    return tuple({adapter.weight.name: adapter for adapter in graph.adapters.values()}.values())


def merged_weight(adapter: Adapter, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The weight with its adapter, in the weight's element type. `arrays` are by the names of weights."""
    weight = arrays[adapter.weight.name]
    matrix = _as_matrix(adapter, weight)
    merged = matrix + np.float32(adapter.scale) * (arrays[adapter.a.name] @ arrays[adapter.b.name])
    if adapter.magnitude is not None:
        merged *= arrays[adapter.magnitude.name] / np.maximum(_column_norms(merged), MIN_SQUARED_NORM**0.5)
    return _from_matrix(adapter, merged.astype(weight.dtype, copy=False), weight.shape)


def initial_magnitudes(adapters: Iterable[Adapter], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The norms of the columns of the weights whose adapters have a magnitude, by its name."""
    return {
        adapter.magnitude.name: _column_norms(_as_matrix(adapter, arrays[adapter.weight.name]))
        for adapter in adapters
        if adapter.magnitude is not None
    }


def _column_norms(matrix: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.sqrt(np.square(matrix, dtype=np.float64).sum(0)).astype(matrix.dtype)
    return norms


def _order(adapter: Adapter) -> list[int]:
    return [*adapter.input_axes, *adapter.output_axes]


def _as_matrix(adapter: Adapter, weight: np.ndarray) -> np.ndarray:
    return weight.transpose(_order(adapter)).reshape(-1, adapter.b.shape[1])


def _from_matrix(adapter: Adapter, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    order = _order(adapter)
    ordered = matrix.reshape([shape[axis] for axis in order])
    return np.ascontiguousarray(ordered.transpose(np.argsort(order)))
