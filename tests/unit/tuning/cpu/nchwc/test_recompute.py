"""Clones of the nodes behind a result, from the values that a slice starts at."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Node, Value
from jsonnx.tuning.cpu.nchwc.context import NchwcContext
from jsonnx.tuning.cpu.nchwc.recompute import MAX_CLONED_NODES, clone_nodes, recompute_slice
from support.nchwc_graphs import BLOCK, evaluate, nchwc_context

IMAGE = TensorType("float32", (BATCH, BLOCK, 3, 2))


def context(*names: str) -> tuple[NchwcContext, list[Value]]:
    """A context without nodes, and inputs."""
    g = Builder()
    inputs = [g.input(name, IMAGE) for name in names]
    return nchwc_context(g.graph(dict(zip(names, inputs, strict=True)))), inputs


def node_of(ctx: NchwcContext, value: Value) -> Node:
    return ctx.g.nodes[ctx.node_index(value) or 0]


def test_a_slice_has_the_nodes_between_the_operands_and_the_result_in_order() -> None:
    ctx, (x, y) = context("x", "y")
    operand = ctx.g.Neg(x)
    unrelated = ctx.g.Exp(x)
    product = ctx.g.Mul(operand, y)
    result = ctx.g.Sub(ctx.g.Abs(product), product)
    nodes = recompute_slice(ctx, node_of(ctx, result), {operand: ctx.to_blocked(operand)})
    assert nodes is not None
    assert [node.op for node in nodes] == ["Mul", "Abs", "Sub"]
    assert not any(unrelated in node.outputs for node in nodes)


def test_a_slice_starts_at_a_blocked_form_from_which_the_plain_value_is_computed() -> None:
    ctx, (x,) = context("x")
    blocked = ctx.g.Neg(ctx.to_blocked(x))
    plain = ctx.from_blocked(blocked, IMAGE)
    result = ctx.g.Abs(plain)
    nodes = recompute_slice(ctx, node_of(ctx, result), {plain: blocked})
    assert nodes is not None
    assert [node.op for node in nodes] == ["ReorderOutput", "Abs"]


def test_a_slice_starts_at_the_sequence_behind_an_image_of_one_row() -> None:
    g = Builder()
    sequence = g.input("x", TensorType("float32", (BATCH, BLOCK, 6)))
    ctx = nchwc_context(g.graph({"x": sequence}))
    source = ctx.g.Neg(sequence)
    image = ctx.g.Unsqueeze(source, [2])
    result = ctx.g.Abs(source)
    nodes = recompute_slice(ctx, node_of(ctx, result), {image: ctx.to_blocked(image)})
    assert nodes is not None
    assert [node.op for node in nodes] == ["Abs"]


@pytest.mark.parametrize(("length", "is_cloned"), [(MAX_CLONED_NODES, True), (MAX_CLONED_NODES + 1, False)])
def test_a_slice_of_many_nodes_is_not_cloned(length: int, is_cloned: bool) -> None:
    ctx, (x,) = context("x")
    result = x
    for _ in range(length):
        result = ctx.g.Neg(result)
    assert (recompute_slice(ctx, node_of(ctx, result), {}) is not None) == is_cloned


def test_clones_have_outputs_of_their_own_and_compute_the_same() -> None:
    ctx, (x, y) = context("x", "y")
    product = ctx.g.Mul(x, y)
    result = ctx.g.Sub(ctx.g.Abs(product), product)
    originals = list(ctx.g.nodes)
    clone = clone_nodes(ctx.g, originals)
    clones = ctx.g.nodes[len(originals) :]
    assert [node.op for node in clones] == [node.op for node in originals]
    assert not {output for node in clones for output in node.outputs} & {product, result}
    assert clones[0].inputs == (x, y)
    assert product not in clones[1].inputs
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=(2, BLOCK, 3, 2)).astype(np.float32) for name in "xy"}
    results = evaluate(ctx.g.graph({"original": result, "clone": clone}), feeds, BLOCK)
    np.testing.assert_array_equal(results["clone"], results["original"])
