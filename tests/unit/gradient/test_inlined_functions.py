"""Operators that ONNX defines by others get their gradient from the definition, so they have no rule of their own.

Readers of files inline the definitions. The checks are finite differences in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from jsonnx.core.types import TensorType
from jsonnx.gradient import RULES
from jsonnx.ir import Builder, Constant, Graph, Value
from onnx import TensorProto, defs, helper, inliner, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator
from support.harness import check_gradients

REALS = {TensorProto.FLOAT: TensorProto.DOUBLE}


class Function(NamedTuple):
    """An operator, the shapes or arrays of its operands, and its attributes. Operands with a shape are differentiated;
    a real array is an operand of its own, too, since definitions depend on the types of constants only."""

    op: str
    opset: int
    operands: tuple[Any, ...]
    attributes: Mapping[str, Any] = {}

    @property
    def id(self) -> str:
        return "-".join([self.op, str(self.opset), *(f"{name}={value}" for name, value in self.attributes.items())])

    def feeds(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        shapes = {f"x{i}": shape for i, shape in enumerate(self.operands) if isinstance(shape, tuple)}
        return {name: rng.normal(size=shape) for name, shape in shapes.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"x{i}": array for i, array in enumerate(self.operands) if isinstance(array, np.ndarray)}

    def definition(self) -> onnx.GraphProto:
        """The nodes of the definition for float32 operands of these shapes."""
        names = [f"x{i}" for i in range(len(self.operands))]
        schema = defs.get_schema(self.op, self.opset)
        defaults = {name: each.default_value for name, each in schema.attributes.items() if each.default_value.name}
        known = {name: helper.get_attribute_value(value) for name, value in defaults.items()} | {**self.attributes}
        node = helper.make_node(self.op, names, ["y"], **known)  # the inliner does not know the defaults of Swish
        types = {name: (TensorProto.FLOAT, array.shape) for name, array in self.feeds().items()}
        types |= {name: (helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in self.arrays().items()}
        inputs = [helper.make_tensor_value_info(name, *type) for name, type in types.items()]
        graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        typed = shape_inference.infer_shapes(model)
        ids = [("", function.op) for function in FUNCTIONS]
        inlined = inliner.inline_selected_functions(typed, ids, exclude=False, inline_schema_functions=True)
        return inlined.graph

    def graph(self) -> Graph:
        """The definition in float64, with the values that do not depend on operands as constants."""
        g = Builder(float_dtype="float64")
        values: dict[str, Value | None] = {"": None}
        values |= {name: g.input(name, TensorType("float64", x.shape)) for name, x in self.feeds().items()}
        values |= {name: g.const(array, array.dtype.name) for name, array in self.arrays().items()}
        for node in self.definition().node:
            _set_reals(node)
            operands = [values[name] for name in node.input]
            results = _folded(node, operands) or list(_emitted(g, node, operands))
            values |= zip(node.output, results, strict=True)
        return g.graph({"y": values["y"]})


def _set_reals(node: onnx.NodeProto) -> None:
    """Replaces float32 by float64 in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.name == "to":
            attribute.i = REALS.get(attribute.i, attribute.i)
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float64)))


def _folded(node: onnx.NodeProto, operands: list[Value | None]) -> list[Value]:
    """The results of a node that reads nothing but constants and shapes; none for another node."""
    if node.op_type == "Shape" and operands[0] is not None:
        arrays: list[Any] = [np.empty(operands[0].shape)]
    elif all(x is None or isinstance(x, Constant) for x in operands):
        arrays = [None if x is None else x.array for x in operands]  # type: ignore[union-attr]
    else:
        return []
    inputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.input if name]
    outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output]
    model = helper.make_model(helper.make_graph([node], "g", inputs, outputs))
    feeds = {name: array for name, array in zip(node.input, arrays, strict=True) if name}
    results = map(np.asarray, ReferenceEvaluator(model).run(None, feeds))
    return [Constant(TensorType(array.dtype.name, array.shape), array) for array in results]


def _emitted(g: Builder, node: onnx.NodeProto, operands: list[Value | None]) -> Iterator[Value]:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    decoded = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    if node.op_type == "CastLike":
        assert operands[1] is not None
        dtype = operands[1].dtype
        yield g.cast(operands[0], "float64" if dtype == "float32" else dtype)  # type: ignore[arg-type]
        return
    results = g.emit(node.op_type, *operands, outputs=len(node.output), **decoded)
    yield from results if isinstance(results, tuple) else [results]


IMAGES = (2, 4, 3, 2)
HEADS = (2, 2, 3, 4)
"""Samples, heads, time, and features of a head."""
FEATURES = (2, 3, 8)
CACHE = np.random.default_rng(1).normal(size=(6, 2))
POSITIONS = np.array([[0, 1, 2], [3, 4, 5]])
CLASSES = np.array([0, 2, 1, 2])
KEEP = np.array([[True, True, False], [True, False, True], [False, True, True]])

FUNCTIONS = [
    Function("Swish", 24, ((2, 3),)),
    Function("Swish", 24, ((2, 3),), {"alpha": 1.5}),
    Function("GroupNormalization", 18, (IMAGES, (2,), (2,)), {"num_groups": 2}),
    Function("GroupNormalization", 21, (IMAGES, (4,), (4,)), {"num_groups": 2, "epsilon": 0.1}),
    Function("GroupNormalization", 21, ((2, 4, 3), (4,), (4,)), {"num_groups": 1}),
    Function("MeanVarianceNormalization", 20, (IMAGES,)),
    Function("RMSNormalization", 23, ((2, 3, 4), (4,))),
    Function("RMSNormalization", 23, ((2, 3, 4), (3, 4)), {"axis": 1, "epsilon": 0.1}),
    Function("RotaryEmbedding", 23, (HEADS, CACHE, CACHE, POSITIONS)),
    Function("RotaryEmbedding", 23, (HEADS, CACHE, CACHE, POSITIONS), {"interleaved": 1}),
    Function("RotaryEmbedding", 23, ((2, 3, 12), CACHE, CACHE, POSITIONS), {"num_heads": 2, "rotary_embedding_dim": 4}),
    Function("Attention", 23, (HEADS, HEADS, HEADS)),
    Function("Attention", 23, (HEADS, HEADS, HEADS), {"is_causal": 1}),
    Function("Attention", 23, (HEADS, HEADS, HEADS, (3, 3)), {"scale": 0.3, "softcap": 2.0}),
    Function("Attention", 23, (HEADS, HEADS, HEADS, KEEP)),
    Function("Attention", 23, (HEADS, HEADS, HEADS, (3, 6), HEADS, HEADS)),
    Function("Attention", 23, ((2, 4, 3, 4), HEADS, (2, 2, 3, 5))),
    Function("Attention", 23, (FEATURES, (2, 3, 4), (2, 3, 4)), {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}),
    Function("Attention", 24, (HEADS, HEADS, HEADS), {"is_causal": 1}),
    Function("SoftmaxCrossEntropyLoss", 20, ((4, 3), CLASSES)),
    Function("SoftmaxCrossEntropyLoss", 20, ((4, 3), CLASSES, (3,)), {"reduction": "sum", "ignore_index": 1}),
    Function("NegativeLogLikelihoodLoss", 20, ((4, 3), CLASSES)),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.id)
def test_the_gradient_of_a_definition_equals_finite_differences(function: Function) -> None:
    feeds = function.feeds()
    assert check_gradients(function.graph(), feeds, list(feeds)) < 1e-6


def test_operators_with_a_definition_have_no_rule_of_their_own() -> None:
    assert {function.op for function in FUNCTIONS}.isdisjoint(RULES)
