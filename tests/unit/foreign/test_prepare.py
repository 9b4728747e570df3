"""Which graphs ONNX files become: opsets, functions, constants, names of weights, and the errors."""

from __future__ import annotations

from typing import IO

import numpy as np
import onnx
import pytest
from jsonnx.foreign.prepare import prepare
from jsonnx.foreign.prepared_graph import read_graph_text
from jsonnx.foreign.unreadable_graph import UnreadableGraph
from onnx import helper, numpy_helper
from support.foreign_models import FLOAT, convolution, model, numbers, perceptron, prepared


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in prepared(proto).graph.nodes]


def weights(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {weight.name: weight.shape for weight in prepared(proto).graph.weights.values()}


def one_node(op: str, inputs: list[str], tensors: dict, **attributes) -> onnx.ModelProto:
    opset = attributes.pop("opset", 18)
    return model(
        [helper.make_node(op, ["x", *inputs], ["y"], **attributes)], {"x": ["N", 4]}, {"y": None}, tensors, opset
    )


def test_weights_keep_their_names_shapes_and_numbers() -> None:
    found = prepared(perceptron())
    assert weights(perceptron()) == {"fc1.weight": (6, 4), "fc1.bias": (6,), "fc2.weight": (6, 3), "fc2.bias": (3,)}
    assert dict(found.arrays())["fc1.weight"].tobytes() == numbers(6, 4).tobytes()
    assert not found.graph.constants


def test_moving_averages_are_states_and_shapes_are_constants() -> None:
    graph = prepared(convolution()).graph
    states = [weight.name for weight in graph.weights.values() if weight.is_state]
    assert states == ["bn.running_mean", "bn.running_variance"]
    assert list(graph.constants) == ["shape"]


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 20, 21, 23])
def test_opsets_are_converted(opset: int) -> None:
    assert ops(perceptron(opset)) == ["Gemm", "Tanh", "MatMul", "Add"]
    assert ops(convolution(opset))[:2] == ["Conv", "BatchNormalization"]


@pytest.mark.parametrize("opset", [6, 99])
def test_other_opsets_are_errors(opset: int) -> None:
    with pytest.raises(UnreadableGraph, match=f"it has opset {opset}; the opsets 7 to 24 are read"):
        prepared(perceptron(opset))


def test_operands_that_are_options_are_no_weights() -> None:
    sizes = {"roi": np.zeros(0, "float32"), "scales": np.float32([1, 1, 2, 2])}
    node = helper.make_node("Resize", ["x", "roi", "scales"], ["y"])
    assert weights(model([node], {"x": ["N", 1, 4, 4]}, {"y": None}, sizes)) == {}


def test_masks_of_minus_infinity_and_single_numbers_are_no_weights() -> None:
    mask = np.triu(np.full((4, 4), -np.inf, "float32"), 1)
    assert weights(one_node("Add", ["m"], {"m": mask})) == {}
    assert weights(one_node("Mul", ["scale"], {"scale": np.float32([0.5])})) == {}
    assert weights(one_node("Mul", ["scale"], {"scale": numbers(4)})) == {"scale": (4,)}


def test_large_masks_are_constants() -> None:
    mask = np.triu(np.full((64, 64), -1e9, "float32"), 1)
    proto = model([helper.make_node("Add", ["x", "m"], ["y"])], {"x": ["N", 64]}, {"y": None}, {"m": mask})
    assert [array.shape for array in prepared(proto).graph.constants.values()] == [(64, 64)]


def test_weights_of_constant_nodes_are_weights() -> None:
    constant = helper.make_node("Constant", [], ["/fc/Constant_output_0"], value=numpy_helper.from_array(numbers(4, 2)))
    product = helper.make_node("MatMul", ["x", "/fc/Constant_output_0"], ["y"], name="/fc/MatMul")
    proto = model([constant, product], {"x": ["N", 4]}, {"y": ["N", 2]})
    assert weights(proto) == {"fc.weight": (4, 2)}


def test_a_sparse_initializer_is_a_weight() -> None:
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", 3]}, {"y": ["N", 2]})
    values = helper.make_tensor("w", FLOAT, [2], [1.5, 2.5])
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.int64([1, 4])), [3, 2])
    )
    assert dict(prepared(proto).arrays())["w"].tolist() == [[0, 1.5], [0, 0], [2.5, 0]]


@pytest.mark.parametrize(
    ("tensor", "node", "name"),
    [
        ("encoder.layer.0.weight", "", "encoder.layer.0.weight"),
        ("model/dense/kernel:0", "", "model/dense/kernel"),
        ("a weight [1]", "", "a_weight_1"),
        ("onnx::MatMul_12", "/features/features.3/MatMul", "features.3.weight"),
        ("val_3", "node_MatMul_4", "matmul_0.weight"),
        ("17", "", "matmul_0.weight"),
    ],
)
def test_names_of_weights_are_readable(tensor: str, node: str, name: str) -> None:
    product = helper.make_node("MatMul", ["x", tensor], ["y"], name=node)
    assert list(weights(model([product], {"x": ["N", 4]}, {"y": None}, {tensor: numbers(4, 2)}))) == [name]


def test_names_of_weights_are_unique() -> None:
    nodes = [helper.make_node("MatMul", ["x", "1"], ["h"], name="/a/MatMul")]
    nodes += [helper.make_node("MatMul", ["h", "2"], ["y"], name="/a/MatMul_1")]
    proto = model(nodes, {"x": ["N", 4]}, {"y": None}, {"1": numbers(4, 4), "2": numbers(4, 4)})
    assert list(weights(proto)) == ["a.weight", "a.weight_1"]


def test_local_functions_are_inlined() -> None:
    body = [helper.make_node("MatMul", ["a", "w"], ["p"]), helper.make_node("Relu", ["p"], ["r"])]
    function = helper.make_function("pkg.torch", "linear_relu", ["a", "w"], ["r"], body, [helper.make_opsetid("", 18)])
    call = helper.make_node("linear_relu", ["x", "fc.weight"], ["y"], domain="pkg.torch")
    domains = [helper.make_opsetid("pkg.torch", 1)]
    proto = model([call], {"x": ["N", 4]}, {"y": ["N", 2]}, {"fc.weight": numbers(4, 2)}, domains=domains)
    proto.functions.append(function)
    assert ops(proto) == ["MatMul", "Relu"]
    assert weights(proto) == {"fc.weight": (4, 2)}


def test_operators_that_onnx_defines_by_others_are_inlined() -> None:
    proto = one_node("RMSNormalization", ["scale"], {"scale": numbers(4)}, opset=23)
    assert "RMSNormalization" not in ops(proto)
    assert weights(proto) == {"scale": (4,)}


def test_weights_in_another_file(tmp_path) -> None:
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["N", 64]}, {"y": None}, {"w": numbers(64, 32)}
    )
    path = tmp_path / "model.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="model.data", size_threshold=0)

    def open_beside(name: str) -> IO[bytes]:
        return (tmp_path / name).open("rb")

    found = prepare(onnx.load(path, load_external_data=False), open_beside)
    assert dict(found.arrays())["w"].tobytes() == numbers(64, 32).tobytes()
    data = (tmp_path / "model.data").read_bytes()
    (tmp_path / "model.data").write_bytes(data[:-4])
    with pytest.raises(UnreadableGraph, match="end after"):
        list(prepare(onnx.load(path, load_external_data=False), open_beside).arrays())


def test_numbers_of_other_types_become_float32() -> None:
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ["N", 4]},
        {"y": ["N", 2]},
        {"w": numbers(4, 2).astype("float16")},
        dtypes=dict.fromkeys("xy", onnx.TensorProto.FLOAT16),
    )
    assert dict(prepared(proto).arrays())["w"].dtype == np.float32


def test_a_text_gives_the_graph_back() -> None:
    graph = prepared(convolution()).graph
    again = read_graph_text(graph.to_text())
    assert again.weights == graph.weights
    assert again.inputs == graph.inputs
    assert [node.op_type for node in again.nodes] == [node.op_type for node in graph.nodes]


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA"])
def test_other_texts_are_no_graph(text: str) -> None:
    with pytest.raises(UnreadableGraph, match=r"it is (not|too)"):
        read_graph_text(text)


def test_operators_are_inlined_with_the_defaults_of_their_attributes() -> None:
    proto = one_node("Swish", [], {}, opset=24)
    assert ops(proto)[-2:] == ["Sigmoid", "Mul"]


def test_the_neutral_factors_of_an_instance_normalization_are_no_weights() -> None:
    """PyTorch writes a group normalization as one of them, a product and a sum."""

    def weights_of(scale: list[float], bias: list[float]) -> list[str]:
        tensors = {"scale": np.float32(scale), "bias": np.float32(bias)}
        node = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], ["y"])
        return list(weights(model([node], {"x": ["N", 2, 4]}, {"y": None}, tensors)))

    assert weights_of([1, 1], [0, 0]) == []
    assert weights_of([1, 2], [0, 1]) == ["scale", "bias"]


def test_frequencies_of_rotary_embeddings_are_constants() -> None:
    """Angles are products of positions and frequencies, as transformers exports them; other sines have weights."""
    nodes = [
        helper.make_node("Cast", ["positions"], ["p"], to=FLOAT),
        helper.make_node("MatMul", ["p", "inv_freq"], ["angles"]),
        helper.make_node("Concat", ["angles", "angles"], ["both"], axis=-1),
        helper.make_node("Cos", ["both"], ["cos"]),
        helper.make_node("Sin", ["both"], ["sin"]),
        helper.make_node("Add", ["cos", "sin"], ["y"]),
    ]
    tensors = {"inv_freq": numbers(1, 4)}
    rotary = model(nodes, {"positions": ["N", "T", 1]}, {"y": None}, tensors, dtypes={"positions": 7})
    assert weights(rotary) == {}
    assert weights(model(nodes[1:], {"p": ["N", "T", 1]}, {"y": None}, tensors)) == {"inv_freq": (1, 4)}


def test_tables_of_cosines_and_sines_are_constants() -> None:
    angles = np.outer(np.arange(6), [1, 0.1]).astype("float32")
    nodes = [
        helper.make_node("Mul", ["x", "cos_cached"], ["a"]),
        helper.make_node("Mul", ["x", "sin_cached"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    tables = {"cos_cached": np.cos(angles), "sin_cached": np.sin(angles)}
    assert weights(model(nodes, {"x": ["N", 6, 2]}, {"y": None}, tables)) == {}
    others = {name: 0.9 * table for name, table in tables.items()}
    assert len(weights(model(nodes, {"x": ["N", 6, 2]}, {"y": None}, others))) == 2


def test_a_layer_normalization_without_bias_has_none() -> None:
    tensors = {"ln.weight": numbers(4), "Constant_7": np.zeros(4, "float32")}
    assert weights(one_node("LayerNormalization", ["ln.weight", "Constant_7"], tensors)) == {"ln.weight": (4,)}
    named = {"ln.weight": numbers(4), "ln.bias": np.zeros(4, "float32")}
    assert set(weights(one_node("LayerNormalization", ["ln.weight", "ln.bias"], named))) == {"ln.weight", "ln.bias"}
