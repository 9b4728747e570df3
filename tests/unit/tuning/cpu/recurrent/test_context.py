"""Blocked forms of rows, of weights and of the rows of all time steps."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import Dim, Size, TensorType
from jsonnx.ir import Builder, Value
from jsonnx.tuning.cpu.recurrent.context import FusedProduct, RecurrentContext, appends_ones_column, rows_from_image
from support.nchwc_graphs import BLOCK, BLOCKS, evaluate


def context(*shape: Dim, block: int = BLOCK) -> tuple[RecurrentContext, Value]:
    """A context for a graph with an input x of this shape."""
    g = Builder()
    x = g.input("x", TensorType("float32", shape))
    return RecurrentContext(g.graph({"y": g.Neg(x)}), block, set(), set()), x


def evaluated(ctx: RecurrentContext, y: Value, x: np.ndarray) -> np.ndarray:
    """The value y for the input x."""
    ctx.ensure_plain(y)
    return evaluate(ctx.g.graph({"y": y}), {"x": x}, ctx.block_size)["y"]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def blocked(rows: np.ndarray, block: int) -> np.ndarray:
    """Rows [rows, columns] as [columns / block, rows, block], with zero columns that pad the last block."""
    padded = np.pad(rows, [(0, 0), (0, -rows.shape[1] % block)])
    return padded.reshape(len(rows), -1, block).transpose(1, 0, 2)


def select(ctx: RecurrentContext, x: Value, step: int) -> Value:
    """A kept node that selects a time step of x [steps, rows, columns]."""
    y = ctx.g.Gather(x, step, axis=0)
    ctx.keep(ctx.g.nodes.pop())
    return y


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("columns", [16, 48, 20, 22])
def test_blocked_rows_have_the_columns_of_a_block_last(columns: int, block: int) -> None:
    ctx, x = context(5, columns, block=block)
    form, rows = ctx.to_blocked(x), random(5, columns)
    assert form.shape == (ctx.padded_columns(columns), 5)
    np.testing.assert_array_equal(evaluated(ctx, form, rows).ravel(), blocked(rows, block).ravel())


def test_columns_fill_blocks_if_they_need_no_padding() -> None:
    assert context(5, 32)[0].fills_blocks(context(5, 32)[1])
    assert not context(5, 32)[0].fills_blocks(context(5, 40)[1])
    assert not context(5, 32)[0].fills_blocks(context(5, Size.named("columns"))[1])


def test_plain_rows_are_emitted_when_a_kept_node_uses_them() -> None:
    ctx, x = context(5, 32)
    y = ctx.from_blocked(ctx.to_blocked(x), x.type)
    assert ctx.to_blocked(y) is ctx.to_blocked(x)
    assert not any(node.op == "ReorderOutput" for node in ctx.g.nodes)
    g = Builder()
    z = g.Abs(y)
    ctx.keep(g.nodes[0])
    assert [node.op for node in ctx.g.nodes[-3:]] == ["ReorderOutput", "Reshape", "Abs"]
    np.testing.assert_array_equal(evaluated(ctx, z, rows := random(5, 32)), np.abs(rows))


@pytest.mark.parametrize("steps", [1, 3])
def test_time_steps_of_one_value_are_reordered_together(steps: int) -> None:
    ctx, x = context(steps, 5, 32)
    forms = [ctx.to_blocked(select(ctx, x, step)) for step in range(steps)]
    assert sum(node.op == "ReorderInput" for node in ctx.g.nodes) == 1
    rows = random(steps, 5, 32)
    for form, expected in zip(forms, rows, strict=True):
        np.testing.assert_array_equal(evaluated(ctx, form, rows).ravel(), blocked(expected, BLOCK).ravel())


def stack(ctx: RecurrentContext, x: Value, step_count: int = 2) -> Value:
    """The stack of as many steps, each with the rows of x."""
    steps = [ctx.to_blocked(x)] * step_count
    result = ctx.stack_of_steps(steps, x.type.with_shape((step_count * x.shape[0], x.shape[1])))
    ctx.steps_of_stack[result] = steps
    return result


def test_a_stack_has_the_rows_of_one_step_after_the_other() -> None:
    ctx, x = context(5, 32)
    rows = random(5, 32)
    np.testing.assert_array_equal(evaluated(ctx, stack(ctx, x), rows), np.concatenate([rows, rows]))


def test_the_rows_of_a_stack_are_padded_to_whole_blocks() -> None:
    ctx, x = context(5, 32)
    steps, rows = stack(ctx, x), random(5, 32)
    assert evaluated(ctx, ctx.row_count(steps), rows).tolist() == [10]
    assert evaluated(ctx, ctx.padding_row_count(steps), rows).tolist() == [6]
    expected = blocked(np.pad(np.concatenate([rows, rows]), [(0, 6), (0, 0)]), BLOCK)
    np.testing.assert_array_equal(evaluated(ctx, ctx.concat_steps(steps), rows), expected)


def test_a_reshaped_stack_is_a_stack() -> None:
    """Its steps are the values of which it was made, without a node that selects them."""
    ctx, x = context(5, 32)
    rows = stack(ctx, x)
    by_step = ctx.g.reshape(rows, (2, 5, 32))
    ctx.keep(ctx.g.nodes.pop())
    assert ctx.to_blocked(select(ctx, by_step, 1)) is ctx.to_blocked(x)


def test_a_stack_with_a_column_of_ones_gets_one_more_block() -> None:
    ctx, x = context(5, 32)
    padded = ctx.g.Pad(stack(ctx, x), [0, 0, 0, 1], 1.0)
    node = ctx.g.nodes.pop()
    assert appends_ones_column(node)
    ctx.keep(node)
    rows = random(5, 32)
    expected = blocked(np.pad(rows, [(0, 0), (0, 1)], constant_values=1), BLOCK)
    for step in ctx.steps_of_stack[padded]:
        np.testing.assert_array_equal(evaluated(ctx, step, rows).ravel(), expected.ravel())


@pytest.mark.parametrize(("pads", "value"), [([0, 0, 0, 1], 2.0), ([0, 1, 0, 0], 1.0), ([0, 0, 1, 1], 1.0)])
def test_other_pads_append_no_column_of_ones(pads: list[int], value: float) -> None:
    ctx, x = context(5, 32)
    ctx.g.Pad(x, pads, value)
    assert not appends_ones_column(ctx.g.nodes.pop())


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("inputs", [32, 28])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_is_rows_times_weights(transposed: bool, inputs: int, block: int) -> None:
    ctx, x = context(5, inputs, block=block)
    weights, rows = random(inputs, 48), random(5, inputs) + 1
    w = ctx.g.const(weights.T if transposed else weights)
    filters = ctx.blocked_filters(w, transposed=transposed)
    assert ctx.blocked_filters(w, transposed=transposed) is filters
    y = ctx.emit_product(FusedProduct(ctx.to_blocked(x), filters, None), x.type.with_shape((5, 48)), activation="Relu")
    np.testing.assert_allclose(evaluated(ctx, y, rows), np.maximum(rows @ weights, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("uses", [1, 2])
def test_a_product_is_fusable_if_it_has_one_use(uses: int) -> None:
    ctx, x = context(5, 32)
    product = FusedProduct(ctx.to_blocked(x), ctx.blocked_filters(ctx.g.const(random(32, 48)), transposed=False), None)
    y = ctx.emit_product(product, x.type.with_shape((5, 48)))
    ctx.use_counts[y] = uses
    assert ctx.fusable_product(y) == (product if uses == 1 else None)
    activated = ctx.emit_product(product, y.type, activation="Tanh")
    ctx.use_counts[activated] = 1
    assert ctx.fusable_product(activated) is None


def test_an_image_gives_its_plain_rows() -> None:
    ctx, x = context(5, 32)
    rows = random(5, 32)
    plain = rows_from_image(ctx.g, ctx.as_image(ctx.to_blocked(x)), x.type)
    np.testing.assert_array_equal(evaluated(ctx, plain, rows), rows)
