"""The base class of conversions: forms are emitted once, on demand, and rules that decline leave nodes unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, GradientInfo, Graph, Node, Value
from jsonnx.passes.conversion import Conversion, Results
from support.harness import run


class Flattened(Conversion):
    """The second form of a matrix is the vector of its elements."""

    def emit_form(self, x: Value) -> Value:
        return self.g.reshape(x, (x.shape[0] * x.shape[1],))

    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        return self.g.reshape(form, plain_type.shape)


def convert_relu(ctx: Flattened, node: Node) -> Results:
    """Relu(matrix) -> Relu(vector)"""
    (x,), y = node.inputs, node.outputs[0]
    assert x is not None
    return ctx.from_form(ctx.g.Relu(ctx.to_form(x)), y.type)


def convert_neg(ctx: Flattened, node: Node) -> Results:
    """Neg(matrix) -> Neg(vector), if the matrix has a vector already"""
    (x,), y = node.inputs, node.outputs[0]
    return ctx.from_form(ctx.g.Neg(ctx.to_form(x)), y.type) if x is not None and x in ctx else None


def convert_split(ctx: Flattened, node: Node) -> Results:
    """Split into two rows -> two Gathers"""
    (x, *_), outputs = node.inputs, node.outputs
    return [ctx.g.Gather(x, [row], axis=0) for row in range(len(outputs))]


CONVERTERS = {"Relu": convert_relu, "Neg": convert_neg, "Split": convert_split}


def graph_of(build: Callable[[Builder, Value], Value | Sequence[Value]]) -> Graph:
    g = Builder()
    results = build(g, g.input("x", TensorType("float32", (2, 3))))
    outputs = [results] if isinstance(results, Value) else results
    return g.graph({f"y{index}": value for index, value in enumerate(outputs)})


def converted(graph: Graph) -> list[str]:
    """The operators after the conversion; asserts that the results are the same."""
    after = Flattened(graph).run(CONVERTERS)
    feeds = {"x": np.arange(-3, 3, dtype=np.float32).reshape(2, 3)}
    for name, expected in run(graph, feeds, optimize=False).items():
        np.testing.assert_array_equal(run(after, feeds, optimize=False)[name], expected)
    return [node.op for node in after.nodes]


def test_a_chain_computes_on_second_forms_throughout() -> None:
    assert converted(graph_of(lambda g, x: g.Neg(g.Relu(g.Relu(x))))) == ["Reshape", "Relu", "Relu", "Neg", "Reshape"]


def test_a_second_form_is_emitted_once() -> None:
    ops = converted(graph_of(lambda g, x: [g.Relu(x), g.Neg(x)]))
    assert ops == ["Reshape", "Relu", "Reshape", "Neg", "Reshape"]


def test_a_node_whose_rule_declines_is_kept() -> None:
    graph = graph_of(lambda g, x: g.Neg(x))
    after = Flattened(graph).run(CONVERTERS)
    assert [node.op for node in after.nodes] == ["Neg"]
    assert after.outputs == graph.outputs


def test_a_node_without_a_rule_uses_the_plain_value() -> None:
    assert converted(graph_of(lambda g, x: g.Abs(g.Relu(x)))) == ["Reshape", "Relu", "Reshape", "Abs"]


def test_each_output_of_a_node_is_replaced() -> None:
    ops = converted(graph_of(lambda g, x: g.Split(g.Abs(x), [1, 1], axis=0, outputs=2)))
    assert ops == ["Abs", "Gather", "Gather"]


def test_operators_of_other_domains_are_not_converted() -> None:
    graph = graph_of(lambda g, x: g.custom_op("Relu", "com.example", [x], x.type))
    assert [node.op for node in Flattened(graph).run(CONVERTERS).nodes] == ["Relu"]


def test_emitted_nodes_have_the_scope_of_the_converted_node() -> None:
    def build(g: Builder, x: Value) -> Value:
        with g.scope("layer", ("layers", 0)):
            return g.Relu(x)

    places = {(node.scope, node.path) for node in Flattened(graph_of(build)).run(CONVERTERS).nodes}
    assert places == {("layer", ("layers", 0))}


def test_a_replacement_has_the_use_count_of_the_replaced_value() -> None:
    counts = []

    def count_uses(ctx: Flattened, node: Node) -> Results:
        counts.append(ctx.use_counts[node.inputs[0]])
        return None

    graph = graph_of(lambda g, x: [g.Neg(y := g.Relu(x)), g.Neg(y), y])
    Flattened(graph).run({"Relu": convert_relu, "Neg": count_uses})
    assert counts == [3, 3]  # two nodes and an output of the graph


@pytest.mark.parametrize("declines", [False, True])
def test_a_rule_for_a_gradient_precedes_the_rule_for_its_operator(declines: bool) -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (2, 3)))
    y = g.Relu(x)
    gradient = g.Relu(y)
    g.gradients[gradient] = GradientInfo("MaxPool", y, y, {})
    graph = g.graph({"gradient": gradient})

    def convert_gradient(ctx: Flattened, node: Node, gradient_info: GradientInfo) -> Results:
        assert gradient_info.x is node.inputs[0]  # the replacement of y
        return None if declines else ctx.g.Abs(gradient_info.dy)

    after = Flattened(graph).run({"Relu": convert_relu}, {"MaxPool": convert_gradient})
    assert [node.op for node in after.nodes] == [
        "Reshape",
        "Relu",
        *(["Relu", "Reshape"] if declines else ["Reshape", "Abs"]),
    ]
    ((value, info),) = after.gradients.items()
    assert value is after.outputs["gradient"]
    assert (info.op, info.x) == ("MaxPool", info.dy)
