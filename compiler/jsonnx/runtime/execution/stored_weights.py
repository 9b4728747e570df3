"""The forms in which training keeps frozen weights: 16 bits, or integers with scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.numpy_types import as_network_weight, numpy_dtype
from ...core.system.mapped_pages import release_pages
from ...ir.adapter_arrays import initial_magnitudes, unique_adapters
from ...ir.integer_weights import IntegerWeight, network_parameters
from ...passes.quantization.frozen_integers import integer_weights, to_floats, to_integers
from ...passes.training_steps.frozen_weights import STORED_FLOATS
from ..providers.aligned_arrays import AlignedArrays
from ..providers.random import draw_initial_weights
from .variables import DonatedArrays

if TYPE_CHECKING:
    from ...ir import Graph

OVERFLOW_HELP = '`"frozen_dtype": "bfloat16"` has the range of float32'


def initial_variables(step: Graph, seed: int, donated_weights: DonatedArrays) -> DonatedArrays:
    """The initial values of all variables of a step: copies of donated weights, and drawn ones.

    Donated weights are brought into their stored forms one by one, so that no more memory is needed.
    """
    memory = AlignedArrays()
    stored: dict[str, np.ndarray] = {}
    adapted = {adapter.weight.name: adapter for adapter in unique_adapters(step) if adapter.magnitude is not None}
    given = {*donated_weights.names}
    for name in donated_weights.names:
        array = donated_weights.take(name)
        forms = with_stored_types(step, {name: array})
        stored |= {form: memory.copy(array) if value is array else value for form, value in forms.items()}
        if name in adapted and given.isdisjoint(weight.name for weight in adapted[name].variables[2:]):
            stored |= initial_magnitudes([adapted[name]], network_weights(step, [name], stored))
        release_pages(array)
    drawn = draw_initial_weights(with_network_weights(step), seed, stored)
    drawn = {name: array for name, array in drawn.items() if name not in stored}
    return DonatedArrays(stored | with_stored_types(step, drawn))


def with_stored_types(step: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variables of a step in the forms in which it keeps frozen weights; others are the same arrays.

    Raises CompileError `not-finite` for numbers that exceed the type.
    """
    dtypes = {name: weight.dtype for name, weight in step.parameters.items() if weight.dtype in STORED_FLOATS}
    stored = {name: _stored(name, array, dtypes[name]) if name in dtypes else array for name, array in arrays.items()}
    for weight in integer_weights(step):
        if weight.name in stored and stored[weight.name].dtype.kind == "f":
            stored |= to_integers(weight, _finite(weight.name, stored[weight.name], f"int{weight.bits}"))
    return stored


def _stored(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        return _finite(name, array.astype(numpy_dtype(dtype), copy=False), dtype)


def _finite(name: str, stored: np.ndarray, dtype: str) -> np.ndarray:
    if not np.isfinite(stored).all():
        message = f"the frozen weight {name!r} has numbers that {dtype} cannot hold"
        raise CompileError([Diagnostic("not-finite", message, "$.training.frozen_dtype", help=OVERFLOW_HELP)])
    return stored


def with_network_weights(step: Graph) -> Graph:
    """The step with the parameters of its network, for drawing their initial values."""
    return replace(step, parameters=network_parameters(step))


def stored_names(step: Graph, names: Iterable[str]) -> list[str]:
    """The variables that hold the weights of these names."""
    wanted = list(names)
    return wanted + [weight.scales.name for weight in integer_weights(step) if weight.name in {*wanted}]


def network_weights(step: Graph, names: Iterable[str], stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of these names in the types of the network; those that are stored so are the same arrays."""
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        weight = step.parameters.get(name)
        if isinstance(weight, IntegerWeight):
            arrays[name] = to_floats(weight, stored[name], stored[weight.scales.name])
        else:
            arrays[name] = as_network_weight(stored[name])
    return arrays
