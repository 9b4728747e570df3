"""The formulas of layers and of keras.ops, evaluated over the layers' cases and compared with the compiled layers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.layers import LAYERS, Layer
from jsonnx.layers.ops.base import ConstantOperand, MultiTensorOp
from jsonnx.layers.ops.creation import AxisSize
from jsonnx.layers.ops.get_item import GetItem
from support.formulas import evaluate
from support.harness import draw_weights, lower, make_layer, run

from .cases import Case, all_cases
from .test_layers import feeds_of, network

BATCH = 3

SKIPPED = {"ops-layer-normalization-two": "factors with the sizes of two axes that are not the last ones"}
"""Cases that a formula does not cover, and why."""


def with_formula() -> list[Case]:
    return [case for case in all_cases() if LAYERS.by_name[case.layer["type"]].formula and case.id not in SKIPPED]


def input_names(layer: Layer) -> list[str]:
    """The names of the inputs in a formula."""
    if isinstance(layer, MultiTensorOp):
        return [name for name in layer.tensors if getattr(layer, name) is None]
    return [*inspect.signature(layer.lower).parameters][1:]


def inputs_of(layer: Layer, inputs: list[np.ndarray]) -> dict[str, Any]:
    names: dict[str, Any] = {"xs": inputs, "x": inputs[0] if inputs else None}
    names |= {f"x{index}": x for index, x in enumerate(inputs, 1)}
    names |= dict(zip(input_names(layer), inputs, strict=False))
    return names


def arguments_of(layer: Layer, inputs: list[np.ndarray]) -> dict[str, Any]:
    """The arguments whose values in a formula differ from their attributes."""
    return {name: given for name, value in vars(layer).items() if (given := as_given(value, inputs)) is not value}


def as_given(value: Any, inputs: list[np.ndarray]) -> Any:
    if isinstance(value, ConstantOperand):
        return np.asarray(value.values)
    if isinstance(value, AxisSize):
        return inputs[0].shape[value.axis]
    if isinstance(value, tuple) and any(isinstance(item, AxisSize) for item in value):
        return tuple(as_given(item, inputs) for item in value)
    return value


def indexing_key(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(eval(f"numpy.s_[{item}]", {"numpy": np}) if isinstance(item, str) else item for item in key)


def as_float64(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def weight_names(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights and random numbers by their names within the layer: `kernel`, `query_kernel`."""
    return {name.removeprefix("layer/").replace("/", "_"): as_float64(array) for name, array in feeds.items()}


def evaluated(layer: Layer, names: dict[str, Any]) -> dict[str, Any]:
    """The values of a formula, which has the channels last unless it names `data_format`."""
    if getattr(layer, "data_format", None) != "channels_first" or "data_format" in layer.formula:
        return evaluate(layer, **names)
    found = evaluate(layer, **{**names, "x": np.moveaxis(names["x"], 1, -1)})
    return found | {"y": np.moveaxis(found["y"], -1, 1)}


def outputs_of(layer: Layer, found: Mapping[str, Any]) -> list[Any]:
    y = found["y"]
    return list(y) if isinstance(y, list) else [y, *(found[name] for name in layer.output_names())]


def compiled(case: Case, graph: Graph, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The inputs and weights of a case, and the results of the compiled layer."""
    feeds = feeds_of(case, BATCH, rng, "float32") | draw_weights(graph, rng)
    return feeds, run(graph, feeds)


@pytest.mark.costly(8)
@pytest.mark.parametrize("case", with_formula(), ids=lambda case: case.id)
def test_the_formula_of_a_layer_gives_its_result(case: Case) -> None:
    typed, layer = network(case), make_layer(case.layer)
    graph = lower(typed, training=False)
    feeds, results = compiled(case, graph, np.random.default_rng(2))
    inputs = [as_float64(feeds[f"x{index}"]) for index in range(len(case.inputs))]
    weights = weight_names({name: array for name, array in feeds.items() if not re.fullmatch(r"x\d", name)})
    names = inputs_of(layer, inputs) | weights | arguments_of(layer, inputs) | {"training": False}
    if isinstance(layer, GetItem):
        names["key"] = indexing_key(layer.key)
    with np.errstate(all="ignore"):
        found = outputs_of(layer, evaluated(layer, names))
    expected = [results[name] for name in typed.outputs]
    assert len(found) == len(expected)
    for actual, desired in zip(found, expected, strict=True):
        actual = np.asarray(actual)
        assert actual.shape == desired.shape
        np.testing.assert_allclose(np.asarray(actual, np.float64), desired.astype(np.float64), rtol=1e-5, atol=1e-5)
