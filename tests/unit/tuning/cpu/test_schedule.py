"""The schedule of a step: where it puts gradients, updates and large results, and that the step computes the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Node, Value
from jsonnx.tuning.cpu.pipeline import optimize_for_cpu
from jsonnx.tuning.cpu.schedule import HEAVY_OR_BRANCHING_OPS, _Scheduler, schedule
from jsonnx.tuning.cpu.target import Target
from support.harness import run
from support.nchwc_graphs import random_feeds
from support.training_steps import training_graph

CONV = {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same"}
HEAD = [{"type": "Flatten"}, {"type": "Dense", "units": 3}]
NETWORKS: dict[str, tuple[list[int], list[dict[str, Any]]]] = {
    "dense": ([40], [{"type": "Dense", "units": 50, "activation": "relu", "name": f"d{i}"} for i in range(4)] + HEAD),
    "residual": (
        [8, 8, 3],
        [
            {**CONV, "name": "a", "activation": "relu"},
            {**CONV, "name": "b"},
            {"type": "BatchNormalization", "name": "n"},
            {"type": "Add", "from": ["n", "a"]},
            {"type": "ReLU"},
            *HEAD,
        ],
    ),
    "recurrent": (
        [12, 5],
        [{"type": "LSTM", "units": 8, "return_sequences": True}, {"type": "GRU", "units": 6}, *HEAD],
    ),
}


def spec(name: str, optimizer: Any = "adam", **training: Any) -> dict[str, Any]:
    shape, layers = NETWORKS[name]
    return {
        "inputs": {"x": {"shape": shape}},
        "layers": layers,
        "training": {"loss": "mse", "optimizer": optimizer, **training},
    }


def optimized_graph(spec: dict[str, Any]) -> Graph:
    """A step after the passes that come before the schedule, for a CPU with all operators but those in NCHWc."""
    return optimize_for_cpu(training_graph(spec), Target(has_gated_add=True, threads=2, expected_batch=4))


GRAPHS = pytest.mark.parametrize("build_graph", [training_graph, optimized_graph])


def scheduled(graph: Graph) -> Graph:
    return schedule(graph, Target(keeps_order=True))


def positions(graph: Graph) -> dict[Value, int]:
    """For each value, the position of the node that computes it."""
    return {value: index for index, node in enumerate(graph.nodes) for value in node.outputs}


@GRAPHS
@pytest.mark.parametrize("name", NETWORKS)
def test_every_node_comes_after_those_that_it_reads(name: str, build_graph: Any) -> None:
    graph = scheduled(build_graph(spec(name)))
    position = positions(graph)
    assert all(position[x] < index for index, node in enumerate(graph.nodes) for x in node.inputs if x in position)


@GRAPHS
@pytest.mark.parametrize("name", NETWORKS)
def test_no_node_is_lost_or_repeated(name: str, build_graph: Any) -> None:
    graph = scheduled(build_graph(spec(name)))
    nodes = scheduled(graph).nodes
    assert set(nodes) == set(graph.nodes)
    assert len(nodes) == len(graph.nodes)


@GRAPHS
@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_depends_on_the_graph_alone(name: str, build_graph: Any) -> None:
    first, second = (scheduled(build_graph(spec(name))) for _ in range(2))
    assert [(node.op, node.scope) for node in first.nodes] == [(node.op, node.scope) for node in second.nodes]


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [*((name, "sgd") for name in NETWORKS), ("dense", {"type": "adam", "global_clipnorm": 0.1})],
    ids=[*NETWORKS, "global-gradient-norm"],
)
def test_a_scheduled_step_computes_the_same_bits(name: str, optimizer: Any) -> None:
    """With a global gradient norm, no weight can be updated before the last gradient is computed."""
    graph = training_graph(spec(name, optimizer))
    feeds = {name: abs(array) for name, array in random_feeds(graph, 4).items()}  # no negative moments
    results = run(scheduled(graph), feeds, optimize=False)
    for output, expected in run(graph, feeds, optimize=False).items():
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(results[output], expected, err_msg=output)


def test_only_a_session_that_keeps_the_order_gets_another_one() -> None:
    graph = training_graph(spec("dense"))
    assert schedule(graph, Target()) is graph
    assert scheduled(graph).nodes != graph.nodes


@GRAPHS
def test_a_weight_is_updated_before_the_gradient_of_the_previous_layer_is_computed(build_graph: Any) -> None:
    """From the last layer to the first: between two updates come the nodes of one layer only."""
    document = spec("dense", {"type": "sgd", "momentum": 0.9})
    document["layers"] = [{**layer, "units": 400} if "name" in layer else layer for layer in document["layers"]]
    graph = scheduled(build_graph(document))
    position = positions(graph)
    updates = [position[graph.updates[f"d{index}/kernel"]] for index in (3, 2, 1)]
    assert updates == sorted(updates)
    for start, end in pairwise(updates):
        heavy = [node for node in graph.nodes[start:end] if node.op in HEAVY_OR_BRANCHING_OPS]
        large = [node for node in heavy if node.outputs[0].shape[0] != 1 and 400 in node.outputs[0].shape]
        assert len(large) == 2  # the gradients of the input and of the weight


def heavy_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op in HEAVY_OR_BRANCHING_OPS]


def test_the_heavy_nodes_of_the_forward_and_backward_pass_keep_their_order() -> None:
    """Those of two branches, too."""
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    left = right = x
    for _ in range(6):
        left, right = g.Relu(g.MatMul(left, x)), g.Relu(g.MatMul(x, right))
    graph = g.graph({"y": g.MatMul(g.MatMul(g.MatMul(left, right), x), x)})
    assert heavy_nodes(scheduled(graph)) == heavy_nodes(graph)


def test_an_update_that_no_heavy_node_reads_comes_first_with_the_nodes_that_only_it_reads() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    y = g.Relu(g.MatMul(x, x))
    result = y
    for _ in range(4):
        result = g.Relu(g.MatMul(result, x))
    light = g.Exp(x)
    gradient = g.MatMul(y, light)
    update = g.Sub(x, gradient)
    graph = g.graph({"y": result, "update": update})
    position = positions(scheduled(graph))
    assert [position[value] for value in (y, light, gradient, update)] == [1, 2, 3, 4]


def test_a_cheap_node_with_a_large_result_runs_just_before_its_reader() -> None:
    """Such as a derivative that only the backward pass reads. A small result stays: its operand can be released."""
    g = Builder()
    x, w = g.input("x", TensorType("float32", (BATCH, 4))), g.input("w", TensorType("float32", (4, 4)))
    product = g.MatMul(x, w)
    derivative, small_sum = g.HardSigmoid(product), g.ReduceSum(product, [0], keepdims=0)
    activation = product
    for _ in range(5):
        activation = g.Relu(g.MatMul(activation, w))
    cotangent = g.Mul(activation, derivative)
    graph = g.graph({"y": g.MatMul(g.MatMul(g.MatMul(cotangent, w), w), w), "small": g.Neg(small_sum)})
    position = positions(scheduled(graph))
    assert position[small_sum] == position[product] + 1
    assert position[derivative] == position[cotangent] - 1
    assert positions(graph)[derivative] == position[product] + 1


class CountingSet(set[Any]):
    """A set that counts the membership tests."""

    test_count = 0

    def __contains__(self, item: object) -> bool:
        self.test_count += 1
        return super().__contains__(item)


def test_the_time_for_a_node_with_many_operands_is_linear_in_their_number() -> None:
    """Such as a bound on the norm of all gradients: with 20,000 operands, quadratic time would be seconds."""
    g = Builder()
    x = g.input("x", TensorType("float32", (2,)))
    y = g.MatMul(x, x)
    graph = g.graph({"y": g.Sum(*(g.Mul(y, float(index)) for index in range(300)))})
    scheduler = _Scheduler(graph)
    scheduler._scheduled = scheduled_nodes = CountingSet()
    assert list(scheduler)[-1] is graph.nodes[-1]
    assert scheduled_nodes.test_count < 10 * len(graph.nodes)
