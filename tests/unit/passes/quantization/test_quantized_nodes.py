"""Graphs with quantized nodes: what they compute, and on which operators onnxruntime computes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Constant, Graph, Value
from jsonnx.passes.quantization import QuantizationOptions, plan_quantization, with_quantized_nodes
from support.harness import run
from support.quantized_reference import executed_ops, observed_ranges, quantized_reference

from .networks import NETWORKS, bound_graph, conv, dense, feeds_of, layer, spec

VARIANTS: dict[str, dict[str, Any]] = {
    "uint8": {},
    "int8": {"activation_dtype": "int8"},
    "per tensor": {"per_channel": False},
    "4 bits": {"bits": 4},
}
FLOAT_OPS = {
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "FusedConv",
    "FusedGemm",
    "Gemm",
    "MatMul",
    "MaxPool",
    "Mul",
    "Relu",
}


def quantized(graph: Graph, feeds: Mapping[str, np.ndarray], **options: Any) -> Graph:
    plan = plan_quantization(graph, QuantizationOptions(**options))
    return with_quantized_nodes(graph, plan, observed_ranges(graph, plan, feeds))


def graph_of(build: Any, *shape: int) -> Graph:
    g = Builder()
    results = build(g, g.input("x", TensorType("float32", (BATCH, *shape))))
    return g.graph({"y": results} if isinstance(results, Value) else results)


def weight(g: Builder, *shape: int, seed: int = 0) -> Constant:
    constant = g.const(np.random.default_rng([seed, *shape]).normal(size=shape))
    constant.name = f"weight_{seed}"
    return constant


def signal_to_noise(actual: np.ndarray, expected: np.ndarray) -> float:
    """In decibels."""
    return float(10 * np.log10(np.square(expected).sum() / max(np.square(actual - expected).sum(), 1e-30)))


# -- what is computed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_without_optimization_all_roundings_are_those_of_the_plan(name: str, variant: str) -> None:
    graph = bound_graph(NETWORKS[name])
    feeds = feeds_of(graph)
    plan = plan_quantization(graph, QuantizationOptions(**VARIANTS[variant], stored=False))
    ranges = observed_ranges(graph, plan, feeds)
    expected = quantized_reference(graph, plan, ranges, feeds)
    actual = run(with_quantized_nodes(graph, plan, ranges), feeds, optimize=False)
    for output, array in expected.items():
        np.testing.assert_allclose(actual[output], array, rtol=1e-5, atol=1e-6 * np.abs(array).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_on_integers_compute_the_same(name: str) -> None:
    graph = bound_graph(NETWORKS[name])
    feeds = feeds_of(graph)
    result = quantized(graph, feeds)
    plain, fused = run(result, feeds, optimize=False), run(result, feeds)
    for output, array in plain.items():
        assert signal_to_noise(fused[output], array) > 30


@pytest.mark.parametrize("name", NETWORKS)
def test_the_error_falls_with_the_bits(name: str) -> None:
    graph = bound_graph(NETWORKS[name])
    feeds = feeds_of(graph, samples=16)
    expected = run(graph, feeds)
    errors = [run(quantized(graph, feeds, bits=bits), feeds) for bits in (4, 8)]
    for output, array in expected.items():
        four, eight = (signal_to_noise(result[output], array) for result in errors)
        assert eight > max(four, 20)


@pytest.mark.parametrize("name", NETWORKS)
def test_inputs_and_outputs_keep_their_names_and_types(name: str) -> None:
    graph = bound_graph(NETWORKS[name])
    before = to_model_proto(graph).graph
    after = to_model_proto(quantized(graph, feeds_of(graph))).graph
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_the_same_plan_has_the_same_bytes() -> None:
    graph = bound_graph(NETWORKS["unet"])
    feeds = feeds_of(graph)
    first, second = (serialize(to_model_proto(quantized(graph, feeds))) for _ in range(2))
    assert first == second == serialize(to_model_proto(quantized(bound_graph(NETWORKS["unet"]), feeds)))


# -- what onnxruntime executes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn", "residual", "squeeze_excitation", "unet", "conv_1d"])
def test_networks_of_convolutions_run_on_integers(name: str, tmp_path: Path) -> None:
    graph = bound_graph(NETWORKS[name])
    executed = executed_ops(quantized(graph, feeds_of(graph)), tmp_path)
    linear = sum(node.op in ("Conv", "Gemm", "MatMul") for node in graph.nodes)
    on_integers = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")
    assert sum(executed[op] for op in on_integers) == linear
    scaled_inputs = sum(node.op == "Mul" and node.scope == "scaled" for node in graph.nodes) if name == "cnn" else 0
    assert {op: count for op, count in executed.items() if op in FLOAT_OPS} == ({"Mul": 1} if scaled_inputs else {})


def test_dense_layers_with_biases_run_on_integers(tmp_path: Path) -> None:
    graph = bound_graph(spec(dense("a", 16, activation="relu"), dense("b", 16), dense("c", 3), shape=[6]))
    executed = executed_ops(quantized(graph, feeds_of(graph)), tmp_path)
    assert executed == {"QuantizeLinear": 1, "QGemm": 3}


def test_products_in_a_transformer_run_on_integers(tmp_path: Path) -> None:
    graph = bound_graph(NETWORKS["transformer"])
    executed = executed_ops(quantized(graph, feeds_of(graph)), tmp_path)
    assert executed["MatMulIntegerToFloat"] + executed["QGemm"] == 7
    assert executed["MatMul"] + executed["FusedMatMul"] == 2  # of scores and values, which have no weights


def test_weights_of_4_bits_run_on_kernels_of_8_bits(tmp_path: Path) -> None:
    graph = bound_graph(NETWORKS["residual"])
    executed = executed_ops(quantized(graph, feeds_of(graph), bits=4), tmp_path)
    assert executed["QLinearConv"] == 3
    assert executed["Cast"] == 0


def test_only_models_with_weights_of_4_bits_need_opset_21() -> None:
    graph = bound_graph(NETWORKS["residual"])
    opsets = [
        to_model_proto(each).opset_import[0].version
        for each in (graph, quantized(graph, feeds_of(graph)), quantized(graph, feeds_of(graph), bits=4))
    ]
    assert opsets == [18, 18, 21]


# -- graphs ----------------------------------------------------------------------------------------------------------


def check_reference(graph: Graph, samples: int = 3) -> Graph:
    """Checks the results of a quantized graph, and returns it."""
    feeds = feeds_of(graph, samples)
    plan = plan_quantization(graph)
    ranges = observed_ranges(graph, plan, feeds)
    result = with_quantized_nodes(graph, plan, ranges)
    actual = run(result, feeds, optimize=False)
    for name, array in quantized_reference(graph, plan, ranges, feeds).items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-5, atol=1e-6)
    for name, array in run(result, feeds).items():
        np.testing.assert_allclose(array, actual[name], atol=0.05 * max(1.0, np.abs(array).max()))
    return result


def ops(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def test_nodes_that_share_a_weight_share_its_integers() -> None:
    def build(g: Builder, x: Value) -> Value:
        kernel = weight(g, 6, 6)
        return g.MatMul(g.Relu(g.MatMul(x, kernel)), kernel)

    result = check_reference(graph_of(build, 6))
    integers = {x for node in result.nodes for x in node.inputs if isinstance(x, Constant) and x.rank == 2}
    assert [x.dtype for x in integers] == ["int8"]


def test_a_result_that_is_also_read_is_rounded_where_it_is_computed_on_integers() -> None:
    def build(g: Builder, x: Value) -> dict[str, Value]:
        inner = g.Relu(g.Conv(x, weight(g, 4, 3, 3, 3)))
        return {"y": g.Conv(inner, weight(g, 2, 4, 1, 1, seed=1)), "inner": inner, "tanh": g.Tanh(inner), "x": x}

    graph = graph_of(build, 3, 6, 6)
    check_reference(graph)
    feeds = feeds_of(graph)
    actual = run(quantized(graph, feeds), feeds, optimize=False)
    assert len(np.unique(actual["inner"])) <= 256
    np.testing.assert_allclose(actual["tanh"], np.tanh(actual["inner"]), rtol=1e-6)
    np.testing.assert_array_equal(actual["x"], feeds["x"])


def test_readers_in_floating_point_get_exact_values_of_float_operators() -> None:
    def build(g: Builder, x: Value) -> dict[str, Value]:
        inner = g.Tanh(x)
        return {"y": g.MatMul(inner, weight(g, 5, 2)), "inner": inner, "sum": g.Add(inner, x)}

    graph = graph_of(build, 5)
    check_reference(graph)
    feeds = feeds_of(graph)
    actual, expected = run(quantized(graph, feeds), feeds, optimize=False), run(graph, feeds, optimize=False)
    np.testing.assert_array_equal(actual["inner"], expected["inner"])
    np.testing.assert_array_equal(actual["sum"], expected["sum"])


def test_weights_of_zeros() -> None:
    def build(g: Builder, x: Value) -> Value:
        return g.Conv(x, g.const(np.zeros((4, 3, 3, 3))), g.const([1.0, 0.0, -1.0, 1e6]))

    result = check_reference(graph_of(build, 3, 6, 6))
    y = run(result, feeds_of(result))["y"]
    np.testing.assert_allclose(y[0, :, 0, 0], [0, 0, 0, 1e6], atol=4000)


def test_a_bias_that_is_large_compared_with_its_weights() -> None:
    def build(g: Builder, x: Value) -> Value:
        return g.Conv(x, g.const(np.full((2, 3, 1, 1), 1e-9)), g.const([5.0, -5.0]))

    graph = graph_of(build, 3, 4, 4)
    feeds = feeds_of(graph)
    for optimize in (False, True):
        y = run(quantized(graph, feeds), feeds, optimize=optimize)["y"]
        np.testing.assert_allclose(y[0, :, 0, 0], [5, -5], atol=0.05)


def test_constant_inputs_have_an_empty_range() -> None:
    graph = bound_graph(NETWORKS["residual"])
    zeros = {"x": np.zeros((2, 8, 8, 3), np.float32)}
    result = quantized(graph, zeros)
    expected = run(graph, zeros)["label"]
    assert signal_to_noise(run(result, zeros)["label"], expected) > 20


@pytest.mark.parametrize("bounds", [(-np.inf, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_infinite_ranges_are_errors(bounds: tuple[float, float]) -> None:
    graph = bound_graph(spec(dense("a", 4), shape=[3]))
    with pytest.raises(ValueError, match=r"'x' cannot be quantized: .* is not a finite range"):
        with_quantized_nodes(graph, plan_quantization(graph), {"x": bounds})


def test_missing_ranges_are_errors() -> None:
    graph = bound_graph(spec(dense("a", 4), shape=[3]))
    with pytest.raises(ValueError, match="'x' has no range"):
        with_quantized_nodes(graph, plan_quantization(graph), {})


def test_weights_that_are_parameters_are_errors() -> None:
    from jsonnx.pipeline.compile.graphs import inference_graph

    from .networks import checked

    graph = inference_graph(checked(spec(dense("a", 4), shape=[3])))
    with pytest.raises(ValueError, match="the weight of 'a' is not a constant"):
        with_quantized_nodes(graph, plan_quantization(graph), {"x": (-1.0, 1.0)})


def test_nodes_have_the_layer_and_the_path_of_what_they_quantize() -> None:
    graph = bound_graph(NETWORKS["residual"])
    result = quantized(graph, feeds_of(graph))
    paths = {node.scope: node.path for node in graph.nodes}
    for node in result.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear") and node.scope:
            assert node.path == paths[node.scope]


@pytest.mark.parametrize(
    "layers",
    [
        [conv("a"), layer("ZeroPadding2D", "pad"), conv("b", activation="relu6")],
        [conv("a", activation="leaky_relu"), layer("AveragePooling2D", "pool", pool_size=2), conv("b")],
        [
            conv("a"),
            layer("Permute", "swapped", dims=[2, 1, 3]),
            conv("b"),
            layer("Reshape", "flat", target_shape=[-1]),
        ],
        [conv("a", activation="tanh"), layer("Cropping2D", "cut"), conv("b", activation="swish")],
        [conv("a"), layer("SeparableConv2D", "b", filters=4, kernel_size=3), layer("GlobalMaxPooling2D", "largest")],
    ],
    ids=["pad", "leaky", "permute", "crop", "separable"],
)
def test_layers_between_convolutions(layers: list[dict[str, Any]]) -> None:
    check_reference(bound_graph(spec(*layers)))


# -- layers in floating point ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["a", "b", "c", "hidden", "label"])
def test_layers_that_are_kept_run_in_floating_point(kept: str, tmp_path: Path) -> None:
    graph = bound_graph(NETWORKS["cnn"])
    feeds = feeds_of(graph)
    result = quantized(graph, feeds, bits_by_layer={kept: None})
    executed = executed_ops(result, tmp_path)
    assert sum(executed[op] for op in ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")) == 4
    assert sum(executed[op] for op in ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul")) == 1
    model = onnx.load(tmp_path / "optimized.onnx").graph
    weights = {tensor.name for tensor in model.initializer}
    assert not [node for node in model.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    assert signal_to_noise(run(result, feeds)["label"], run(result, feeds, optimize=False)["label"]) > 40


def test_weights_of_convolutions_without_an_integer_kernel_are_not_rounded_again(tmp_path: Path) -> None:
    graph = bound_graph(NETWORKS["unet"])
    executed = executed_ops(quantized(graph, feeds_of(graph)), tmp_path)
    model = onnx.load(tmp_path / "optimized.onnx").graph
    weights = {tensor.name for tensor in model.initializer}
    assert executed["ConvTranspose"] == 1
    assert not [node for node in model.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
