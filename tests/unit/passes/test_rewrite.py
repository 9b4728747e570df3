"""The rewrite mechanism: which rule is applied to which node, and what becomes of its result."""

from __future__ import annotations

import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, GradientInfo, Graph, Node, Value
from jsonnx.passes.canonicalize import prune, with_replaced_inputs
from jsonnx.passes.rewrite import Match, RuleSet

VECTOR = TensorType("float32", (3,))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_a_graph_that_no_rule_matches_is_returned_itself() -> None:
    rules = RuleSet()

    @rules("Exp")
    def never(m: Match) -> None:
        return None

    g = Builder()
    x = g.input("x", VECTOR)
    graph = g.graph({"y": g.Exp(g.Neg(x))})
    assert rules.apply(graph) is graph
    assert RuleSet().apply(graph) is graph


def test_a_value_replaces_the_output_for_readers_results_and_gradient_infos() -> None:
    rules = RuleSet()

    @rules("Identity")
    def remove_identity(m: Match) -> Value | None:
        """Identity(x) -> x"""
        return m.node.inputs[0]

    g = Builder()
    x = g.input("x", VECTOR)
    twice = g.Identity(g.Identity(x))
    y = g.Exp(twice)
    g.gradients[y] = GradientInfo("Conv", twice, twice, {})
    graph = rules.apply(g.graph({"y": y, "same": twice}))
    assert ops(graph) == ["Exp"]
    assert graph.nodes[0].inputs == (x,)
    assert graph.outputs == {"y": y, "same": x}
    assert graph.gradients[y].x is x


def test_a_node_replaces_the_matched_one_behind_emitted_nodes_of_the_same_scope() -> None:
    rules = RuleSet()

    @rules("Exp")
    def add_neg(m: Match) -> Node:
        """Exp(x) -> Exp(Neg(x))"""
        return m.node.with_inputs([m.g.Neg(m.node.inputs[0])])

    g = Builder()
    x = g.input("x", VECTOR)
    with g.scope("layer", ("layers", 0)):
        y = g.Exp(x)
    graph = rules.apply(g.graph({"y": y}))
    assert [(node.op, node.scope, node.path) for node in graph.nodes] == [
        ("Neg", "layer", ("layers", 0)),
        ("Exp", "layer", ("layers", 0)),
    ]
    assert graph.outputs["y"] is y


def test_the_first_rule_that_returns_a_result_is_applied() -> None:
    rules = RuleSet()

    @rules("Exp", "Neg")
    def neg_alone(m: Match) -> Value | None:
        return m.g.Abs(m.node.inputs[0]) if m.node.op == "Neg" else None

    @rules("Exp", "Neg")
    def any_of_them(m: Match) -> Value | None:
        return m.g.Sqrt(m.node.inputs[0])

    g = Builder()
    assert ops(rules.apply(g.graph({"y": g.Exp(g.Neg(g.input("x", VECTOR)))}))) == ["Abs", "Sqrt"]


def test_operators_of_other_domains_match_no_rule() -> None:
    rules = RuleSet()

    @rules("Gelu")
    def fail(m: Match) -> None:
        raise AssertionError

    g = Builder()
    graph = g.graph({"y": g.custom_op("Gelu", "com.microsoft", [g.input("x", VECTOR)], VECTOR)})
    assert rules.apply(graph) is graph


def test_producers_are_those_of_the_rewritten_or_of_the_original_graph() -> None:
    rules = RuleSet()
    operators = []

    @rules("Neg")
    def use_abs(m: Match) -> Node:
        return Node("Abs", m.node.inputs, m.node.outputs)

    @rules("Exp")
    def record(m: Match) -> None:
        (x,) = m.node.inputs
        operators.extend(node.op for node in (m.producer(x), m.original_producer(x)) if node is not None)

    g = Builder()
    rules.apply(g.graph({"y": g.Exp(g.Neg(g.input("x", VECTOR)))}))
    assert operators == ["Abs", "Neg"]


def test_uses_are_counted_with_the_results_of_the_graph() -> None:
    rules = RuleSet()
    counts, readers = [], []

    @rules("Exp")
    def record(m: Match) -> None:
        (x,) = m.node.inputs
        counts.append(m.use_counts[x])
        readers.append(m.single_readers.get(x))

    g = Builder()
    once, twice = g.Neg(g.input("x", VECTOR)), g.Abs(g.input("x", VECTOR))
    graph = g.graph({"y": g.Exp(once), "z": g.Exp(twice), "twice": twice})
    rules.apply(graph)
    assert counts == [1, 2]
    assert readers == [graph.nodes[2], None]


def test_a_rule_may_replace_the_result_of_a_later_node() -> None:
    rules = RuleSet()

    @rules("Neg")
    def swallow_reader(m: Match) -> Node:
        """Exp(Neg(x)) -> Abs(x)"""
        reader = m.single_readers[m.node.outputs[0]]
        result = Value(VECTOR)
        m.replacements[reader.outputs[0]] = result
        return Node("Abs", m.node.inputs, (result,))

    g = Builder()
    graph = rules.apply(g.graph({"y": g.Sqrt(g.Exp(g.Neg(g.input("x", VECTOR))))}))
    assert ops(graph) == ["Abs", "Sqrt"]


@pytest.mark.parametrize(("cleanup", "expected"), [(None, ["Neg", "Abs"]), (prune, ["Abs"])])
def test_the_cleanup_runs_on_a_rewritten_graph(cleanup, expected: list[str]) -> None:
    rules = RuleSet(cleanup)

    @rules("Exp")
    def skip_neg(m: Match) -> Value | None:
        """Exp(Neg(x)) -> Abs(x)"""
        neg = m.producer(m.node.inputs[0])
        return None if neg is None else m.g.Abs(neg.inputs[0])

    g = Builder()
    assert ops(rules.apply(g.graph({"y": g.Exp(g.Neg(g.input("x", VECTOR)))}))) == expected


def test_rules_read_the_context_and_share_cached_values() -> None:
    rules = RuleSet()

    @rules("Exp")
    def add_bias(m: Match) -> Value:
        if "bias" not in m.cache:
            m.cache["bias"] = m.g.Neg(m.context)
        return m.g.Add(m.node.inputs[0], m.cache["bias"])

    g = Builder()
    x = g.input("x", VECTOR)
    graph = rules.apply(g.graph({"y": g.Exp(x), "z": g.Exp(g.Abs(x))}), x)
    assert sorted(ops(graph)) == ["Abs", "Add", "Add", "Neg"]


def test_a_node_without_replaced_inputs_is_returned_itself() -> None:
    x, y, z = (Value(VECTOR) for _ in range(3))
    node = Node("Clip", (x, None, y), (Value(VECTOR),))
    assert with_replaced_inputs(node, {z: x}) is node
    assert with_replaced_inputs(node, {x: z}).inputs == (z, None, y)
