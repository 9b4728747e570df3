"""Transpose propagation: which transposes between channels-last layers remain, and that results stay the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Random, Value
from jsonnx.passes.canonicalize import prune
from jsonnx.passes.layout import count_transposes, propagate_transposes
from support.harness import run

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def image(g: Builder, channels: int = 3, name: str = "x") -> Value:
    return g.input(name, TensorType("float32", (BATCH, 6, 5, channels)))


def conv(g: Builder, x: Value, channels: int = 4) -> Value:
    """A convolution as a channels-last layer emits it."""
    kernel = g.const(np.random.default_rng(len(g.nodes)).normal(size=(channels, x.shape[-1], 3, 3)) / 4)
    y = g.Conv(g.Transpose(x, perm=TO_FIRST), kernel, pads=[1, 1, 1, 1])
    return g.Transpose(y, perm=TO_LAST)


def pool(g: Builder, x: Value) -> Value:
    y = g.MaxPool(g.Transpose(x, perm=TO_FIRST), kernel_shape=[2, 2], strides=[1, 1])
    return g.Transpose(y, perm=TO_LAST)


def vector(g: Builder, name: str, size: int) -> Value:
    return g.param(name, (size,), None)


def batch_norm(g: Builder, x: Value, keepdims: int) -> Value:
    """Normalisation by the batch's own statistics, over all axes but the last."""
    mean = g.ReduceMean(x, [0, 1, 2], keepdims=keepdims)
    centred = g.Sub(x, mean)
    variance = g.ReduceMean(g.Mul(centred, centred), [0, 1, 2], keepdims=keepdims)
    scaled = g.Div(centred, g.Sqrt(g.Add(variance, 1e-3)))
    size = x.shape[-1]
    return g.Add(g.Mul(scaled, vector(g, f"gamma{len(g.nodes)}", size)), vector(g, f"beta{len(g.nodes)}", size))


def flatten(g: Builder, x: Value) -> Value:
    return g.Reshape(x, [0, -1])


def random_feeds(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = [*graph.inputs.items(), *graph.parameters.items(), *graph.states.items(), *graph.randoms.items()]
    return {
        name: rng.normal(size=[size if isinstance(size, int) else 2 for size in value.shape]).astype(np.float32)
        for name, value in values
    }


def propagate(graph: Graph, feeds: dict[str, np.ndarray] | None = None) -> Graph:
    """The graph after the pass; asserts that it computes the same."""
    after = propagate_transposes(graph)
    feeds = feeds or random_feeds(graph)
    expected, results = run(graph, feeds, optimize=False), run(after, feeds, optimize=False)
    assert expected.keys() == results.keys()
    for name, value in expected.items():
        assert value.shape == results[name].shape
        np.testing.assert_allclose(results[name], value, rtol=1e-5, atol=1e-5)
    for node in after.nodes:
        assert len({*node.outputs}) == len(node.outputs)
    assert count_transposes(after) <= count_transposes(graph)
    return after


def build_graph(build: Callable[..., Value], channels: int = 3) -> Graph:
    g = Builder()
    return g.graph({"y": build(g, image(g, channels))})


def test_a_chain_keeps_one_transpose_at_each_end() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = pool(g, g.Relu(g.Add(conv(g, x), vector(g, "bias", 4))))
        return flatten(g, g.Clip(conv(g, g.LeakyRelu(x)), -1.0, 1.0))

    graph = build_graph(network)
    assert count_transposes(graph) == 6
    assert count_transposes(propagate(graph)) == 2


def test_a_single_channel_needs_no_transpose_at_the_input() -> None:
    after = propagate(build_graph(lambda g, x: flatten(g, g.Relu(conv(g, x))), channels=1))
    assert count_transposes(after) == 1
    assert after.nodes[0].op == "Reshape"


@pytest.mark.parametrize("keepdims", [0, 1])
def test_batch_normalization_and_global_pooling_need_no_transpose(keepdims: int) -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Relu(batch_norm(g, conv(g, x), keepdims))
        return g.ReduceMean(conv(g, x), [1, 2], keepdims=0)

    assert count_transposes(propagate(build_graph(network))) == 1


def test_residuals_are_added_in_the_layout_of_convolutions() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = g.Relu(conv(g, x))
        for _ in range(3):
            x = g.Relu(g.Add(conv(g, g.Relu(conv(g, x))), x))
        return flatten(g, x)

    assert count_transposes(propagate(build_graph(network))) == 2


def test_a_residual_from_the_input_shares_its_transpose() -> None:
    def network(g: Builder, x: Value) -> Value:
        return g.ReduceMax(g.Add(conv(g, x, 3), x), [1, 2], keepdims=0)

    assert count_transposes(propagate(build_graph(network))) == 1


def test_a_concat_of_channels_needs_no_transpose() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = conv(g, x)
        concatenated = g.Concat(g.Relu(conv(g, x, 2)), x, conv(g, x, 3), axis=-1)
        return flatten(g, conv(g, concatenated))

    assert count_transposes(propagate(build_graph(network))) == 2


def test_squeeze_and_excite_needs_no_transpose() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = conv(g, x)
        squeezed = g.reshape(g.ReduceMean(x, [1, 2], keepdims=0), (BATCH, 1, 1, 4))
        return g.ReduceMean(g.Mul(x, g.Sigmoid(conv(g, squeezed))), [1, 2], keepdims=0)

    assert count_transposes(propagate(build_graph(network))) == 1


def test_softmax_over_channels_sinks_only_between_convolutions() -> None:
    between = propagate(build_graph(lambda g, x: conv(g, g.Softmax(conv(g, x), axis=-1))))
    assert count_transposes(between) == 2
    last = propagate(build_graph(lambda g, x: g.Softmax(conv(g, x), axis=-1)))
    assert [node.op for node in last.nodes][-2:] == ["Transpose", "Softmax"]
    assert last.nodes[-1].attribute("axis") == -1


OPERATORS: dict[str, Callable[[Builder, Value], Value]] = {
    "slice": lambda g, x: g.Slice(x, [1, 0], [5, -1], [1, -1]),
    "slice-without-axes": lambda g, x: g.Slice(x, [0, 1], [9, -1]),
    "slice-steps": lambda g, x: g.Slice(x, [-1], [-9], [2], [-2]),
    "pad": lambda g, x: g.Pad(x, [0, 1, 2, 0, 0, 3, 0, 1], 2.0),
    "split": lambda g, x: g.Sub(*g.Split(x, axis=-1, num_outputs=2, outputs=2)),
    "tile": lambda g, x: g.Tile(x, [1, 2, 1, 3]),
    "expand": lambda g, x: g.Expand(g.ReduceMax(x, [1], keepdims=1), [6, 1, 1]),
    "gather": lambda g, x: g.Gather(x, np.array([0, 2]), axis=3),
    "squeeze-unsqueeze": lambda g, x: g.Unsqueeze(g.Squeeze(g.ReduceSum(x, [2], keepdims=1), [2]), [1]),
    "gather-one": lambda g, x: g.Unsqueeze(g.Gather(x, np.array(1), axis=2), [-2]),
    "arg-max": lambda g, x: g.cast(g.ArgMax(x, axis=1, keepdims=1), "float32"),
    "top-k": lambda g, x: g.TopK(x, [2], axis=-1, outputs=2)[0],
    "where": lambda g, x: g.Where(g.Greater(x, 0.0), x, g.Mul(x, np.arange(5.0).reshape(5, 1))),
    "prelu": lambda g, x: g.PRelu(x, g.param("alpha", (1, 1, 4), None)),
    "matrix-operand": lambda g, x: g.Add(x, np.arange(20.0).reshape(5, 4) / 9),
    "image-operand": lambda g, x: g.Add(x, np.arange(120.0).reshape(1, 6, 5, 4) / 99),
    "log-softmax": lambda g, x: g.LogSoftmax(x, axis=2),
    "reduce-all": lambda g, x: g.Mul(x, g.ReduceSum(x, keepdims=0)),
    "normalized": lambda g, x: g.Div(x, g.ReduceL2(x, [-1], keepdims=1)),
    "shape": lambda g, x: g.Mul(x, g.cast(g.ReduceProd(g.Gather(g.Shape(x), np.array([0, 3])), keepdims=0), "float32")),
    "batch-size": lambda g, x: g.Div(x, g.cast(g.Shape(x, start=0, end=1), "float32")),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_between_convolutions_needs_no_transpose(name: str) -> None:
    assert count_transposes(propagate(build_graph(lambda g, x: conv(g, OPERATORS[name](g, conv(g, x)))))) == 2


def test_dropout_masks_are_drawn_in_the_physical_layout() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = conv(g, x)
        return flatten(g, conv(g, g.Mul(x, g.random("mask", x.shape, "mask", keep=0.5, scale=2.0, seed=3))))

    graph = build_graph(network)
    after = propagate_transposes(graph)
    (mask,) = after.randoms.values()
    assert count_transposes(after) == 2
    assert (mask.shape, mask.keep, mask.scale, mask.seed) == ((BATCH, 4, 6, 5), 0.5, 2.0, 3)
    feeds = random_feeds(graph)
    physical_feeds = {**feeds, "/mask": feeds["/mask"].transpose(TO_FIRST)}
    np.testing.assert_allclose(run(after, physical_feeds)["y"], run(graph, feeds)["y"], rtol=1e-5, atol=1e-5)


def test_a_mask_with_two_readers_keeps_its_layout() -> None:
    def network(g: Builder, x: Value) -> Value:
        mask = g.random("mask", (BATCH, 6, 5, 4), "mask")
        return g.Add(conv(g, g.Mul(conv(g, x), mask)), mask)

    graph = build_graph(network)
    assert propagate(graph).randoms == graph.randoms
    assert all(isinstance(value, Random) for value in graph.randoms.values())


def test_outputs_updates_and_losses_keep_the_logical_layout() -> None:
    g = Builder()
    x = conv(g, image(g))
    mean = g.state("mean", (4,), None)
    g.assign(mean, g.Add(mean, g.ReduceMean(x, [0, 1, 2], keepdims=0)))
    g.add_loss(g.ReduceSum(x, [1, 2, 3], keepdims=0))
    graph = replace(g.graph({"a": g.Relu(x), "b": x, "c": x}), losses=())
    assert count_transposes(propagate(graph)) <= 3
    assert propagate_transposes(g.graph({"y": x})).losses[0].value.shape == (BATCH,)


def test_a_value_with_many_channels_last_readers_is_transposed_once() -> None:
    def network(g: Builder, x: Value) -> Value:
        x = conv(g, x)
        products = [g.MatMul(g.emit(op, x), np.ones((4, 4), np.float32)) for op in ("Relu", "Tanh", "Sigmoid")]
        return g.Sum(*products)

    assert count_transposes(propagate(build_graph(network))) == 2


def test_a_graph_without_transposes_is_not_changed() -> None:
    graph = build_graph(lambda g, x: g.Relu(flatten(g, x)))
    assert propagate_transposes(graph).nodes == graph.nodes


def test_a_new_transpose_has_the_scope_of_the_layer_that_needs_it() -> None:
    g = Builder()
    with g.scope("conv", ("layers", 0)):
        x = conv(g, image(g))
    with g.scope("flatten", ("layers", 1)):
        y = flatten(g, x)
    after = propagate_transposes(g.graph({"y": y}))
    assert [(node.scope, node.path) for node in after.nodes if node.op == "Transpose"] == [
        ("conv", ("layers", 0)),
        ("flatten", ("layers", 1)),
    ]


def random_graph(seed: int) -> Graph:
    """Some twenty operators over values drawn from those before, as layers emit them."""
    g, rng = Builder(), np.random.default_rng(seed)
    values = [image(g, 4), g.input("z", TensorType("float32", (BATCH, 6, 5, 4)))]
    steps = [
        lambda a, b: conv(g, a),
        lambda a, b: g.Add(a, b),
        lambda a, b: g.Max(a, b),
        lambda a, b: g.Sum(a, b, values[0]),
        lambda a, b: g.Relu(a),
        lambda a, b: batch_norm(g, a, int(rng.integers(2))),
        lambda a, b: g.Slice(g.Concat(a, b, axis=3), [2], [6], [3]),
        lambda a, b: g.Softmax(a, axis=int(rng.integers(1, 4))),
        lambda a, b: g.Mul(a, g.Sigmoid(g.ReduceMean(b, [1, 2], keepdims=1))),
        lambda a, b: g.Add(a, g.MatMul(b, np.eye(4, dtype=np.float32)[::-1])),
        lambda a, b: g.Transpose(g.Transpose(a, perm=[0, 2, 1, 3]), perm=[0, 2, 1, 3]),
        lambda a, b: g.Add(g.ReduceMax(a, [3], keepdims=1), b),
        lambda a, b: g.Add(a, g.Unsqueeze(g.ReduceMax(b, [1], keepdims=0), [1])),
        lambda a, b: g.reshape(g.Add(flatten(g, a), 1.0), a.shape),
        lambda a, b: g.Where(g.Less(a, b), a, vector(g, f"w{len(g.nodes)}", 4)),
    ]
    for _ in range(20):
        a, b = (values[-1 - min(int(rng.exponential(1.5)), len(values) - 1)] for _ in range(2))
        values.append(steps[rng.integers(len(steps))](a, b))
    return prune(g.graph({"y": values[-1], "z": values[-3], "loss": g.ReduceSum(values[-2], keepdims=0)}))


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_compute_the_same(seed: int) -> None:
    propagate(random_graph(seed))
