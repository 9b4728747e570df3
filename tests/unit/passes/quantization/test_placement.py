"""Which values and weights of a network are quantized, in all of its graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.passes.quantization import QuantizationOptions, observed_graph, plan_quantization
from jsonnx.pipeline.compile.graphs import forward_graph, inference_graph

from .networks import NETWORKS, bound_graph, checked, conv, layer, spec

KEYS = {
    "cnn": ["x/scaled", "a", "b", "c", "hidden"],
    "residual": ["x", "stem", "a", "sum", "b", "sum_2", "mean"],
    "squeeze_excitation": ["x", "a/Conv_0", "a/Sigmoid_0", "a", "mean", "down", "up/Conv_0", "up", "scaled", "b"],
    "mlp": ["x/scaled", "a", "b", "c"],
    "conv_1d": ["x", "a", "b"],
}


def quantizers(graph: Any, **options: Any) -> list[tuple[str, str, bool]]:
    plan = plan_quantization(graph, QuantizationOptions(**options))
    return [(each.key, each.group, each.keeps_float) for each in plan.activations]


@pytest.mark.parametrize("name", KEYS)
def test_values_that_are_quantized(name: str) -> None:
    keys = [key for key, _, _ in quantizers(bound_graph(NETWORKS[name]))]
    assert keys[: len(KEYS[name])] == KEYS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_all_graphs_of_a_network_have_the_same_quantizers(name: str) -> None:
    network = checked(NETWORKS[name])
    bound = quantizers(bound_graph(NETWORKS[name]))
    assert sorted(quantizers(inference_graph(network))) == sorted(bound)
    assert sorted(quantizers(forward_graph(network, training=True))) == sorted(bound)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_key_names_one_value_of_the_training_graph(name: str) -> None:
    plan = plan_quantization(forward_graph(checked(NETWORKS[name]), training=True))
    values = {each.key: each.value for each in plan.activations}
    assert len(values) == len(plan.activations) == len(set(values.values()))


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_do_not_depend_on_options(name: str) -> None:
    graph = bound_graph(NETWORKS[name])
    plan = plan_quantization(graph)
    keys = {each.value: each.key for each in plan.activations}
    assert len(set(keys.values())) == len(keys)
    for linear in plan.weights:
        options = QuantizationOptions({linear.layer: None}, per_channel=False, activation_dtype="int8")
        for each in plan_quantization(graph, options).activations:
            assert keys.get(each.value) == each.key


def test_a_layer_without_bits_stays_in_floating_point() -> None:
    plan = plan_quantization(bound_graph(NETWORKS["cnn"]), QuantizationOptions({"c": None}))
    assert [each.layer for each in plan.weights] == ["a", "b", "hidden", "label"]
    assert [(each.key, each.keeps_float) for each in plan.activations] == [
        ("x/scaled", True),
        ("a", False),
        ("b", False),
        ("c", True),
        ("hidden", False),
    ]


def test_bits_of_layers() -> None:
    plan = plan_quantization(bound_graph(NETWORKS["cnn"]), QuantizationOptions({"a": 4}, bits=7))
    assert {each.layer: each.bits for each in plan.weights} == {"a": 4, "b": 7, "c": 7, "hidden": 7, "label": 7}


def test_results_of_relus_share_no_range_with_negative_values() -> None:
    groups = {key: group for key, group, _ in quantizers(bound_graph(NETWORKS["unet"]))}
    assert groups["both"] == groups["up"] != groups["a"]


def test_operands_of_concat_share_a_range() -> None:
    network = spec(
        conv("a", **{"from": "x"}),
        conv("b", **{"from": "x"}),
        layer("Concatenate", "both", **{"from": ["a", "b"]}),
        conv("c"),
    )
    groups = {key: group for key, group, _ in quantizers(bound_graph(network))}
    assert groups["a"] == groups["b"] == groups["both"] != groups["c"]


def test_values_of_operators_that_move_elements_have_the_range_of_their_operand() -> None:
    plan = plan_quantization(bound_graph(NETWORKS["cnn"]))
    assert {each.group for each in plan.moved} == {"a", "c"}


def test_weights_without_finite_elements_stay_in_floating_point() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 3)))
    assert not plan_quantization(g.graph({"y": g.MatMul(x, g.const([[0.0], [1.0], [np.nan]]))})).weights


def test_observed_values_have_the_keys_of_the_quantizers() -> None:
    graph = bound_graph(NETWORKS["residual"])
    plan = plan_quantization(graph)
    assert list(observed_graph(graph, plan).outputs) == [each.key for each in plan.activations]


def test_networks_without_linear_operators_have_no_quantizers() -> None:
    plan = plan_quantization(bound_graph(spec(layer("ReLU", "relu"))))
    assert not [*plan.activations, *plan.moved, *plan.weights, *plan.biases, *plan.stored, *plan.integer_nodes]
