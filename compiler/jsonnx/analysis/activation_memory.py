"""The peak of the memory that the values of a network take, if its layers run in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ..core.diagnostics import Report
from ..core.types import BATCH, Dim, ShapeError, Size, TensorType
from .shape_inference import TypedNetwork, infer_shapes

ELEMENT_BYTES = {"bool": 1, "uint8": 1, "int8": 1, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4}
"""Bytes of an element; 8 for other types. A string counts as a pointer to its characters."""

DEFAULT_ELEMENT_BYTES = 8


class ActivationPeak(NamedTuple):
    """The largest memory that values take while a layer runs."""

    total: int
    """Bytes."""
    layer: str
    """The name of the call during which the peak is reached."""
    values: Mapping[str, int]
    """The bytes of the values that exist then, by name: the layer's inputs and outputs, and what later layers read."""


def symbolic_sizes(typed: TypedNetwork) -> list[str]:
    """The names of the symbolic sizes of the inputs, without the batch size."""
    sizes = [size for type in typed.inputs.values() for size in type.shape[1:] if isinstance(size, Size)]
    return [*dict.fromkeys(symbol for size in sizes for symbol, _ in size.terms)]


def with_sizes(typed: TypedNetwork, sizes: Mapping[str, int]) -> TypedNetwork:
    """The network with integers in place of symbolic sizes of its inputs. Raises ShapeError if a layer, or an input,
    cannot have these sizes."""
    if not sizes:
        return typed
    inputs = {
        name: type.with_shape([type.shape[0], *(_size_at(size, sizes) for size in type.shape[1:])])
        for name, type in typed.inputs.items()
    }
    report = Report()
    sized = infer_shapes(replace(typed.network, inputs=inputs), report)
    for diagnostic in report:
        if diagnostic.severity == "error":
            raise ShapeError(diagnostic.message, code=diagnostic.code)
    return sized


def _size_at(size: Dim, sizes: Mapping[str, int]) -> Dim:
    return sizes.get(str(size), size) if isinstance(size, Size) else size


def activation_peak(typed: TypedNetwork, batch_size: int = 1, dtypes: Mapping[str, str] = {}) -> ActivationPeak | None:
    """The peak for a number of samples; None if a size other than the batch size is symbolic.

    Layers run in the order of the network. While one runs, its inputs and outputs exist, and the values that a later
    layer reads or that are outputs of the network. Weights and what a layer computes inside are not counted. `dtypes`
    are the element types of the values that have another one in the model.
    """
    bytes_by_value = {
        name: _bytes(type, dtypes.get(name, type.dtype), batch_size) for name, type in typed.types.items()
    }
    calls = typed.network.inference_calls
    last_uses = {source: index for index, call in enumerate(calls) for source in call.sources}
    last_uses |= dict.fromkeys(typed.network.inference_outputs, len(calls))
    live = {name: bytes_by_value[name] for name in typed.network.inference_inputs}
    peak = ActivationPeak(-1, "", {})
    for index, call in enumerate(calls):
        live |= {name: bytes_by_value.get(name) for name in call.results}
        if any(size is None for size in live.values()):
            return None
        total = sum(size for size in live.values() if size is not None)
        if total > peak.total:
            peak = ActivationPeak(total, call.name, {name: size for name, size in live.items() if size is not None})
        live = {name: size for name, size in live.items() if last_uses.get(name, -1) > index}
    return peak


def _bytes(type: TensorType, dtype: str, batch_size: int) -> int | None:
    sizes = [_concrete(size, batch_size) for size in type.shape]
    element_bytes = ELEMENT_BYTES.get(dtype, DEFAULT_ELEMENT_BYTES)
    known = [size for size in sizes if size is not None]
    return element_bytes * prod(known) if len(known) == len(sizes) else None


def _concrete(size: Dim, batch_size: int) -> int | None:
    """A size as an integer; None if it depends on more than the batch size."""
    if isinstance(size, int):
        return size
    if any(symbol != str(BATCH) for symbol, _ in size.terms):
        return None
    return size.offset + sum(factor * batch_size for _, factor in size.terms)
