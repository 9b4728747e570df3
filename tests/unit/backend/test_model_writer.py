"""The model writer produces the same bytes as Protocol Buffers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from jsonnx.backend import ModelWriter, serialize, to_model_proto, to_model_writer, verify_model
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Constant
from jsonnx.ir.dtypes import to_contiguous
from onnx.reference import ReferenceEvaluator


def constant(array: np.ndarray, dtype: str, name: str = "") -> Constant:
    return Constant(TensorType(dtype, array.shape), array, name)


def graph():
    rng = np.random.default_rng(0)
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 300)))
    weight = rng.normal(size=(400, 300)).astype(np.float32).T
    y = g.Add(g.MatMul(x, constant(weight, "float32", "dense/kernel")), g.const(0.5))
    y = g.Where(constant(rng.normal(size=400) > 0, "bool"), y, constant(np.float32(0.5).reshape(()), "float32"))
    text = constant(np.array(["a", "béta"], object), "string")
    empty = g.Concat(y, constant(np.zeros((1, 0), np.float32), "float32"), axis=1)
    return g.graph({"y": g.Reshape(empty, [-1, 20, 20]), "text": g.Identity(text)})


def test_the_bytes_equal_those_of_the_serialized_message() -> None:
    made = to_model_writer(graph(), name="net", metadata={"key": "value"})
    data = made.to_bytes()
    assert (
        data == serialize(made.to_proto()) == serialize(to_model_proto(graph(), name="net", metadata={"key": "value"}))
    )
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    assert data == made.to_bytes()


def test_the_structure_omits_large_weights_and_fails_the_same_checks() -> None:
    made = to_model_writer(graph())
    outline = made.structure_proto()
    verify_model(outline)
    assert len(outline.SerializeToString()) < 10_000 < len(made.to_bytes())
    assert [x.name for x in outline.graph.input] == ["x", "dense/kernel"]
    assert {x.name for x in outline.graph.initializer} == {x.name for x in made.model.graph.initializer[1:]}

    def kernel(shape: tuple[int, ...], dtype: str) -> ModelWriter:
        g = Builder()
        x = g.input("x", TensorType("float32", (BATCH, 300)))
        made = to_model_writer(
            g.graph({"y": g.MatMul(x, constant(np.zeros((300, 400), np.float32), "float32", "kernel"))})
        )
        made.model.graph.initializer[0].data_type = onnx.TensorProto.DataType.Value(dtype)
        made.model.graph.initializer[0].dims[:] = shape
        return ModelWriter(made.model, [np.zeros(shape, np.dtype("double" if dtype == "DOUBLE" else "float32"))])

    verify_model(kernel((300, 400), "FLOAT").structure_proto())
    for wrong in (kernel((200, 400), "FLOAT"), kernel((300, 401), "FLOAT"), kernel((300, 400), "DOUBLE")):
        with pytest.raises((onnx.checker.ValidationError, onnx.shape_inference.InferenceError)):
            verify_model(wrong.structure_proto())


def test_an_array_that_differs_from_its_initializer_is_an_error() -> None:
    made = to_model_writer(graph())
    (place,) = (i for i, tensor in enumerate(made.model.graph.initializer) if tensor.name == "dense/kernel")
    for wrong in (np.zeros((400, 300), np.float32), np.zeros((300, 400), np.float64)):
        arrays = [*made.arrays[:place], wrong, *made.arrays[place + 1 :]]
        with pytest.raises(ValueError, match=r"'dense/kernel' is float32\[300, 400\] and has"):
            ModelWriter(made.model, arrays).structure_proto()


def test_equal_constants_without_a_name_share_an_initializer() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 3)))
    y = g.Add(g.Mul(x, g.const([1.0, 2.0, 3.0])), g.const([1.0, 2.0, 3.0]))
    assert len(to_model_proto(g.graph({"y": g.Div(y, g.const([1, 2, 4]))})).graph.initializer) == 2


def test_large_constants_share_an_initializer_only_if_all_elements_are_equal() -> None:
    array = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    changed, zeros = array.copy(), np.zeros((300, 200), np.float32)
    changed[150, 77] += 1
    g = Builder()
    y = g.input("x", TensorType("float32", (300, 200)))
    for term in (array, array.copy(), np.asfortranarray(array), changed, zeros, -zeros):
        y = g.Add(y, constant(term, "float32"))
    made = to_model_writer(g.graph({"y": y}))
    assert len(made.arrays) == 4  # a zero and a negative zero have other bytes
    x = np.zeros((300, 200), np.float32)
    (result,) = ReferenceEvaluator(made.to_proto()).run(None, {"x": x})
    np.testing.assert_allclose(result, 3 * array + changed, rtol=1e-5)


@pytest.mark.parametrize("perm", [(3, 2, 0, 1), (0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1)])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_a_transposed_array_is_copied_in_strips(perm: tuple[int, ...], axis: int | None) -> None:
    view = np.random.default_rng(0).normal(size=(3, 3, 90, 110)).astype(np.float32).transpose(perm)
    shape = [view.shape[place] if place == axis else 1 for place in range(4)]
    gain = None if axis is None else np.random.default_rng(1).normal(size=shape).astype(np.float32)
    result = to_contiguous(view, gain)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, view if gain is None else view * gain)
