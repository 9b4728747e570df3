"""Layers of ONNX files compute what onnxruntime computes with the file, for every number of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.foreign_models import Inputs, convolution, model, numbers, perceptron, sequence_first_transformer

node = helper.make_node
BATCHES = (1, 3, 8)


def compiled(proto: onnx.ModelProto, tmp_path: Any, inputs: Inputs, dtypes: Mapping[str, str] = {}) -> Any:
    """A session of a spec whose only layer is the model."""
    onnx.save(proto, tmp_path / "model.onnx")
    spec = {
        "inputs": {
            name: {"shape": list(shape), **({"dtype": dtypes[name]} if name in dtypes else {})}
            for name, shape in inputs.items()
        },
        "layers": [{"type": "OnnxModel", "name": "y", "file": "model.onnx", "from": list(inputs)}],
    }
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return onnxruntime.InferenceSession(jsonnx.compile(str(path)).to_bytes())


def assert_computes(proto: onnx.ModelProto, tmp_path: Any, shape: tuple[int, ...], batches=BATCHES) -> None:
    """The layer gives what the file gives, sample by sample if the file fixes their number."""
    ours = compiled(proto, tmp_path, {"x": shape})
    file = onnxruntime.InferenceSession(proto.SerializeToString())
    for count in batches:
        x = numbers(count, *shape, seed=count)
        parts = [x] if not isinstance(file.get_inputs()[0].shape[0], int) else np.split(x, count)
        expected = np.concatenate([file.run(None, {"x": part})[0] for part in parts])
        np.testing.assert_allclose(ours.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [7, 11, 18])
@pytest.mark.parametrize("batch", [1, "N"])
def test_networks_of_old_and_new_opsets(opset: int, batch: int | str, tmp_path) -> None:
    assert_computes(perceptron(opset, batch), tmp_path, (4,))
    assert_computes(convolution(opset, batch), tmp_path, (2, 6, 6))


def test_shapes_that_nodes_compute(tmp_path) -> None:
    """Flattening as PyTorch exports `x.view(x.size(0), -1)`."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["f"]),
        node("MatMul", ["f", "w"], ["y"]),
    ]
    constants = {"zero": np.int64(0), "axes": np.int64([0]), "rest": np.int64([-1]), "w": numbers(12, 2)}
    proto = model(nodes, {"x": ["N", 3, 4]}, {"y": ["N", 2]}, constants)
    assert_computes(proto, tmp_path, (3, 4))
    kept = onnx.load_from_string(jsonnx.compile(str(tmp_path / "spec.json")).to_bytes())
    assert [each.op_type for each in kept.graph.node] == ["Reshape", "MatMul"]


def test_pads_that_nodes_compute(tmp_path) -> None:
    """Pads of all axes from those of the last one, as PyTorch exports `F.pad`."""
    nodes = [
        node("ConstantOfShape", ["missing"], ["zeros"], value=numpy_helper.from_array(np.int64([0]))),
        node("Concat", ["pads", "zeros"], ["all"], axis=0),
        node("Reshape", ["all", "pairs"], ["by_axis"]),
        node("Slice", ["by_axis", "last", "first", "zero", "last"], ["reversed"]),
        node("Transpose", ["reversed"], ["ends"], perm=[1, 0]),
        node("Reshape", ["ends", "last"], ["vector"]),
        node("Pad", ["x", "vector"], ["padded"]),
        node("MatMul", ["padded", "w"], ["y"]),
    ]
    numbers_of_nodes = {
        "missing": [2],
        "pads": [1, 2],
        "pairs": [-1, 2],
        "last": [-1],
        "first": [-(2**63) + 1],
        "zero": [0],
    }
    constants = {name: np.int64(values) for name, values in numbers_of_nodes.items()} | {"w": numbers(7, 2)}
    assert_computes(model(nodes, {"x": ["N", 4]}, {"y": ["N", 2]}, constants), tmp_path, (4,))


def test_a_condition_that_is_known_selects_its_branch(tmp_path) -> None:
    """A squeeze of an axis that has one element, as PyTorch exports it."""
    results = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    branches = {
        "then_branch": helper.make_graph([node("Squeeze", ["x", "one"], ["b"])], "then", [], results),
        "else_branch": helper.make_graph([node("Identity", ["x"], ["b"])], "else", [], results),
    }
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "index"], ["size"]),
        node("Equal", ["size", "index"], ["is_one"]),
        node("If", ["is_one"], ["i"], **branches),
        node("Mul", ["i", "w"], ["y"]),
    ]
    constants = {"index": np.int64(1), "one": np.int64([1]), "w": numbers(4)}
    assert_computes(model(nodes, {"x": ["N", 1, 4]}, {"y": None}, constants), tmp_path, (1, 4))


@pytest.mark.parametrize("batch", [1, 2])
def test_attention_with_a_fixed_number_of_samples(batch: int, tmp_path) -> None:
    """Heads that are axes of their own, and heads that are merged with the samples, step by step."""
    nodes = [
        node("Reshape", ["x", "heads"], ["h"]),
        node("Transpose", ["h"], ["t"], perm=[0, 2, 1, 3]),
        node("Reshape", ["t", "merged"], ["m"]),
        node("Transpose", ["m"], ["mt"], perm=[0, 2, 1]),
        node("MatMul", ["m", "mt"], ["scores"]),
        node("Softmax", ["scores"], ["p"], axis=-1),
        node("MatMul", ["p", "m"], ["a"]),
        node("Reshape", ["a", "apart"], ["r"]),
        node("Transpose", ["r"], ["rt"], perm=[0, 2, 1, 3]),
        node("Reshape", ["rt", "end"], ["y"]),
    ]
    constants = {
        "heads": np.int64([batch, 5, 3, 4]),
        "merged": np.int64([batch * 3, 5, 4]),
        "apart": np.int64([batch, 3, 5, 4]),
        "end": np.int64([batch, 5, 12]),
    }
    proto = model(nodes, {"x": [batch, 5, 12]}, {"y": [batch, 5, 12]}, constants)
    ours = compiled(proto, tmp_path, {"x": (5, 12)})
    file = onnxruntime.InferenceSession(proto.SerializeToString())
    x = numbers(6, 5, 12)
    expected = np.concatenate([file.run(None, {"x": part})[0] for part in np.split(x, 6 // batch)])
    np.testing.assert_allclose(ours.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


def test_a_class_token_is_repeated_for_the_batch(tmp_path) -> None:
    nodes = [node("Concat", ["token", "x"], ["y"], axis=1)]
    proto = model(nodes, {"x": [1, 3, 4]}, {"y": [1, 4, 4]}, {"token": numbers(1, 1, 4)})
    assert_computes(proto, tmp_path, (3, 4))


def test_a_transformer_of_one_image(tmp_path) -> None:
    assert_computes(sequence_first_transformer(), tmp_path, (3, 32, 32))


def test_a_fixed_number_of_samples_is_expanded(tmp_path) -> None:
    nodes = [node("Expand", ["x", "shape"], ["e"]), node("Mul", ["e", "w"], ["y"])]
    constants = {"shape": np.int64([2, 3, 4]), "w": numbers(3, 4)}
    proto = model(nodes, {"x": [2, 1, 4]}, {"y": [2, 3, 4]}, constants)
    x = numbers(6, 1, 4)
    expected = np.broadcast_to(x, (6, 3, 4)) * constants["w"]
    np.testing.assert_allclose(compiled(proto, tmp_path, {"x": (1, 4)}).run(None, {"x": x})[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([node("Squeeze", ["x", "zero"], ["s"], name="/a/Squeeze")], {"zero": np.int64([0])}, "Squeeze"),
        ([node("Gather", ["x", "index"], ["s"], name="/a/Gather")], {"index": np.int64(0)}, "Gather"),
        ([node("Add", ["x", "pair"], ["s"], name="/a/Add")], {"pair": numbers(2, 3, 4)}, "Add"),
        ([node("Concat", ["x", "pair"], ["s"], axis=1, name="/a/Concat")], {"pair": numbers(2, 3, 4)}, "Concat"),
        (  # a product of all rows of steps and samples with one another
            [
                node("Reshape", ["x", "rows"], ["r"]),
                node("Transpose", ["r"], ["t"], perm=[1, 0]),
                node("MatMul", ["t", "r"], ["s"], name="/a/MatMul"),
            ],
            {"rows": np.int64([3, 4])},
            "MatMul",
        ),
        (  # features of all samples in one row
            [
                node("Reshape", ["x", "row"], ["r"]),
                node("Gemm", ["r", "weight"], ["s"], name="/a/Gemm"),
            ],
            {"row": np.int64([1, -1]), "weight": numbers(12, 4)},
            None,
        ),
        (  # rows of steps and samples as those of samples and steps
            [
                node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
                node("Reshape", ["t", "rows"], ["r"]),
                node("Reshape", ["r", "batch_first"], ["b"]),
                node("Add", ["b", "x"], ["s"], name="/a/Add"),
            ],
            {"rows": np.int64([3, 4]), "batch_first": np.int64([1, 3, 4])},
            "Add",
        ),
    ],
    ids=["squeeze", "gather", "add", "concat", "sum", "flatten", "order"],
)
def test_graphs_of_one_sample_alone(nodes: Any, constants: Any, message: str | None, tmp_path) -> None:
    """A graph computes with every number of samples, or is an error that names the node."""
    proto = model(nodes, {"x": [1, 3, 4]}, {"s": None}, constants)
    if message is None:
        assert_computes(proto, tmp_path, (3, 4))
        return
    with pytest.raises(jsonnx.CompileError) as error:
        compiled(proto, tmp_path, {"x": (3, 4)})
    text = str(error.value)
    assert f"operator {message} of the node '/a/{message}' for any number of samples" in text
    assert "dynamic_axes" in text


@pytest.mark.parametrize("sizes", [None, 2, [2, 1, 1]])
def test_sequences_of_parts(sizes: Any, tmp_path) -> None:
    """A split as PyTorch exports it, and the concatenation of a sequence."""
    inputs = ["x"] if sizes is None else ["x", "sizes"]
    nodes = [
        node("SplitToSequence", inputs, ["parts"], axis=-1),
        node("SequenceAt", ["parts", "first"], ["a"]),
        node("SequenceAt", ["parts", "last"], ["b"]),
        node("SequenceConstruct", ["b", "a"], ["swapped"]),
        node("ConcatFromSequence", ["swapped"], ["c"], axis=-1),
        node("Mul", ["c", "w"], ["y"]),
    ]
    constants = {"first": np.int64(0), "last": np.int64(-1), "w": np.float32([2])}
    constants |= {} if sizes is None else {"sizes": np.int64(sizes)}
    assert_computes(model(nodes, {"x": ["N", 4]}, {"y": None}, constants), tmp_path, (4,))


def test_recurrent_networks_with_initial_states_of_one_sample(tmp_path) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("LSTM", ["t", "lstm.w", "lstm.r", "", "", "h0", "c0"], ["", "h"], hidden_size=3),
        node("Squeeze", ["h", "first"], ["y"]),
    ]
    constants = {
        "lstm.w": numbers(1, 12, 2),
        "lstm.r": numbers(1, 12, 3, seed=1),
        "h0": np.zeros((1, 1, 3), "float32"),
        "c0": np.ones((1, 1, 3), "float32"),
        "first": np.int64([0]),
    }
    assert_computes(model(nodes, {"x": [1, 5, 2]}, {"y": [1, 3]}, constants), tmp_path, (5, 2))


def test_token_ids_and_masks_are_inputs_in_the_order_of_the_file(tmp_path) -> None:
    nodes = [
        node("Gather", ["embeddings.weight", "ids"], ["e"]),
        node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["m", "last"], ["m3"]),
        node("Mul", ["e", "m3"], ["masked"]),
        node("ReduceSum", ["masked", "steps"], ["y"], keepdims=0),
    ]
    constants = {"embeddings.weight": numbers(10, 4), "last": np.int64([-1]), "steps": np.int64([1])}
    shapes = {"ids": ["N", "T"], "mask": ["N", "T"]}
    proto = model(nodes, shapes, {"y": ["N", 4]}, constants, dtypes=dict.fromkeys(shapes, TensorProto.INT64))
    ours = compiled(proto, tmp_path, {"ids": ("steps",), "mask": ("steps",)}, dict.fromkeys(shapes, "int64"))
    file = onnxruntime.InferenceSession(proto.SerializeToString())
    feeds = {"ids": np.arange(6).reshape(2, 3), "mask": np.int64([[1, 1, 0], [1, 1, 1]])}
    np.testing.assert_allclose(ours.run(None, feeds)[0], file.run(None, feeds)[0], rtol=1e-6)


def test_dropout_and_training_normalizations_compute_as_in_inference(tmp_path) -> None:
    nodes = [
        node("Dropout", ["x", "ratio", "training"], ["d"]),
        node("BatchNormalization", ["d", "s", "b", "mean", "var"], ["y", "", ""], training_mode=1),
    ]
    weights = {"s": numbers(4), "b": numbers(4), "mean": numbers(4), "var": np.ones(4, "float32")}
    constants = {"ratio": np.float32(0.5), "training": np.bool_(True)}
    proto = model(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}, weights | constants)
    ours, x = compiled(proto, tmp_path, {"x": (4,)}), numbers(3, 4)
    expected = (x - weights["mean"]) / np.sqrt(1 + 1e-5) * weights["s"] + weights["b"]
    np.testing.assert_allclose(ours.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (node("RandomNormalLike", ["x"], ["y"], name="noise"), "the operator RandomNormalLike of the node 'noise'"),
        (node("SequenceInsert", ["x", "x"], ["y"]), "the operator SequenceInsert: its values are not tensors"),
        (node("SequenceConstruct", ["x"], ["y"]), "cannot have the value 'y': it is a sequence"),
        (node("FusedThing", ["x"], ["y"], domain="com.example"), "domain 'com.example', which is not ONNX's own"),
    ],
)
def test_operators_that_networks_cannot_have(inner: onnx.NodeProto, message: str, tmp_path) -> None:
    proto = model([inner], {"x": ["N", 4]}, {"y": None}, domains=[helper.make_opsetid("com.example", 1)])
    with pytest.raises(jsonnx.CompileError, match=message) as error:
        compiled(proto, tmp_path, {"x": (4,)})
    assert error.value.diagnostics[0].code == "unsupported-operator"


def conditional(then: onnx.NodeProto, otherwise: onnx.NodeProto) -> onnx.ModelProto:
    """y by one of two nodes with the result `b`, depending on the sum of x * w."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [branch], name, [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
        )
        for name, branch in (("then", then), ("else", otherwise))
    }
    nodes = [
        node("Mul", ["x", "w"], ["h"]),
        node("ReduceSum", ["h"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["is_positive"]),
        node("If", ["is_positive"], ["y"], name="/if", **branches),
    ]
    return model(nodes, {"x": ["N", 4]}, {"y": None}, {"w": numbers(4), "zero": np.float32(0)})


def test_a_condition_that_depends_on_the_data(tmp_path) -> None:
    proto = conditional(node("Tanh", ["h"], ["b"]), node("Neg", ["h"], ["b"]))
    ours, file = compiled(proto, tmp_path, {"x": (4,)}), onnxruntime.InferenceSession(proto.SerializeToString())
    for sign in (-1, 1):
        x = sign * numbers(3, 4)
        np.testing.assert_allclose(ours.run(None, {"x": x})[0], file.run(None, {"x": x})[0], rtol=1e-6)


def test_branches_with_results_of_other_shapes_are_errors(tmp_path) -> None:
    proto = conditional(node("Identity", ["h"], ["b"]), node("ReduceSum", ["h"], ["b"], keepdims=0))
    with pytest.raises(jsonnx.CompileError, match="operator If of the node '/if': its branches return") as error:
        compiled(proto, tmp_path, {"x": (4,)})
    assert error.value.diagnostics[0].code == "unsupported-operator"


def test_attributes_that_inputs_contradict_are_errors_with_the_node(tmp_path) -> None:
    proto = model([node("Transpose", ["x"], ["y"], perm=[0, 2, 1], name="/t")], {"x": ["N", 4]}, {"y": None})
    with pytest.raises(jsonnx.CompileError, match="cannot compute the operator Transpose of the node '/t'"):
        compiled(proto, tmp_path, {"x": (4,)})


def test_numbers_of_the_layer_are_those_of_the_file(tmp_path) -> None:
    compiled(perceptron(), tmp_path, {"x": (4,)})
    weights = jsonnx.compile(str(tmp_path / "spec.json")).weights
    assert weights["y/fc2.weight"].tobytes() == numbers(6, 3, seed=2).tobytes()
    assert numpy_helper.from_array(weights["y/fc1.weight"]).dims == [6, 4]
