"""The order of a step's operators: where gradients and new values come, and that onnxruntime keeps it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from harness import assert_same_run, sessions_made
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Node
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime import data_parallel, providers
from jsonnx.tuning.cpu.schedule import HEAVY_OR_BRANCHING_OPS, _Scheduler, schedule
from jsonnx.tuning.cpu.target import Target

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


def step(document: dict[str, Any]) -> Graph:
    """A step's graph in the form in which it runs."""
    engine = Trainer(document, threads=1)._engine
    return engine.loader.optimize(engine.execution.step_graph, 4)


def places(graph: Graph) -> dict[Any, int]:
    """Where every value is made."""
    return {value: index for index, node in enumerate(graph.nodes) for value in node.outputs}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_stands_behind_those_that_it_reads(name: str) -> None:
    graph = step(spec(name))
    made = places(graph)
    assert all(made[x] < index for index, node in enumerate(graph.nodes) for x in node.inputs if x in made)


@pytest.mark.parametrize("name", NETWORKS)
def test_none_is_lost_or_comes_twice(name: str) -> None:
    graph = step(spec(name))
    nodes = schedule(graph, Target(keeps_order=True)).nodes
    assert set(nodes) == set(graph.nodes)
    assert len(nodes) == len(graph.nodes)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_is_the_same_however_often_it_is_made(name: str) -> None:
    one, other = (step(spec(name)) for _ in range(2))
    assert [(node.op, node.scope) for node in one.nodes] == [(node.op, node.scope) for node in other.nodes]


def test_a_weight_is_updated_before_the_gradient_of_the_previous_layer_is_computed() -> None:
    """From the last layer to the first: between two updates come the nodes of one layer only."""
    document = spec("dense", {"type": "sgd", "momentum": 0.9})
    document["layers"] = [{**layer, "units": 400} if "name" in layer else layer for layer in document["layers"]]
    graph = step(document)
    positions = places(graph)
    updates = [positions[graph.updates[f"d{index}/kernel"]] for index in (3, 2, 1)]
    assert updates == sorted(updates)
    for start, end in pairwise(updates):
        heavy = [node for node in graph.nodes[start:end] if node.op in HEAVY_OR_BRANCHING_OPS]
        large = [node for node in heavy if node.outputs[0].shape[0] != 1 and 400 in node.outputs[0].shape]
        assert len(large) == 2  # the gradients of the input and of the weight


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_the_same(name: str) -> None:
    assert_same_run(spec(name, "sgd"), batches(name))


def test_a_step_with_a_global_gradient_norm_is_the_same() -> None:
    """No weight can be updated before the last gradient is computed."""
    assert_same_run(spec("dense", {"type": "adam", "global_clipnorm": 0.1}), batches("dense"))


def batches(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(2)
    shape, _ = NETWORKS[name]
    return [
        (rng.normal(size=(n, *shape)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)) for n in (4, 4)
    ]


@pytest.mark.parametrize(
    ("training", "fast", "kept"), [({}, True, True), ({}, False, False), ({"remat": "full"}, True, False)]
)
@pytest.mark.parametrize("name", ["dense", "recurrent"])
def test_where_sessions_keep_the_order(
    monkeypatch: pytest.MonkeyPatch, name: str, training: dict[str, Any], fast: bool, kept: bool
) -> None:
    """What is computed again has its own way to come late."""
    made = sessions_made(monkeypatch)
    for setting in ("MIN_BATCH_MACS", "MIN_WEIGHT_REUSE"):
        monkeypatch.setattr(data_parallel, setting, 0)
    trainer = Trainer(spec(name, batch_size=16, **training), fast=fast, threads=2)
    x = np.zeros((16, *NETWORKS[name][0]), np.float32)
    trainer.step(x, np.zeros((16, 3), np.float32))
    shared = fast and not training  # two shares, and the rest
    assert [manners.keep_order for manners in made] == [kept] * (3 if shared else 1)


@pytest.mark.parametrize("in_order", [True, False])
def test_onnxruntime_takes_operators_as_they_stand(
    in_order: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for Shape, which comes as soon as it can. By itself it goes back from the results, the last one first."""
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    firsts = [g.MatMul(x, x) for _ in range(4)]
    results = {f"y{index}": g.Neg(first) for index, first in enumerate(firsts)}
    graph = g.graph({**results, "shape": g.Shape(firsts[1])})
    create = onnxruntime.SessionOptions

    def profiled() -> Any:
        options = create()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        return options

    monkeypatch.setattr(onnxruntime, "SessionOptions", profiled)
    manners = providers.SessionConfig(keep_order=in_order)
    model = to_model_proto(graph)
    session = providers.create_session(
        serialize(model), providers.resolve_provider("cpu"), 1, manners, optimization="ORT_DISABLE_ALL"
    )
    session.run(None, {"x": np.ones((4, 4), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    ran = [event["name"].removesuffix("_kernel_time") for event in events if event["name"].endswith("_kernel_time")]
    written = [node.name for node in model.graph.node]
    written.insert(2, written.pop())
    assert sorted(ran) == sorted(written)
    assert (ran == written) == in_order


def heavies(nodes: tuple[Node, ...]) -> list[Node]:
    return [node for node in nodes if node.op in HEAVY_OR_BRANCHING_OPS]


def test_what_goes_forward_and_back_keeps_its_order() -> None:
    """Of two branches, too."""
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    one = other = x
    for _ in range(6):
        one, other = g.Relu(g.MatMul(one, x)), g.Relu(g.MatMul(x, other))
    graph = g.graph({"y": g.MatMul(g.MatMul(g.MatMul(one, other), x), x)})
    assert heavies(schedule(graph, Target(keeps_order=True)).nodes) == heavies(graph.nodes)


def test_what_nothing_more_depends_on_comes_at_once_with_what_it_alone_needs() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 4)))
    y = g.Relu(g.MatMul(x, x))
    result = y
    for _ in range(4):
        result = g.Relu(g.MatMul(result, x))
    light = g.Exp(x)
    aside = g.MatMul(y, light)
    new = g.Sub(x, aside)
    graph = g.graph({"y": result, "new": new})
    made = places(schedule(graph, Target(keeps_order=True)))
    assert [made[value] for value in (y, light, aside, new)] == [1, 2, 3, 4]


def test_what_is_quickly_made_waits_where_it_is_large() -> None:
    """As a slope that only the way back reads; what is small lets go of what it is made of."""
    g = Builder()
    x, w = g.input("x", TensorType("float32", (BATCH, 4))), g.input("w", TensorType("float32", (4, 4)))
    first = g.MatMul(x, w)
    slope, small = g.HardSigmoid(first), g.ReduceSum(first, [0], keepdims=0)
    last = first
    for _ in range(5):
        last = g.Relu(g.MatMul(last, w))
    back = g.Mul(last, slope)
    graph = g.graph({"y": g.MatMul(g.MatMul(g.MatMul(back, w), w), w), "small": g.Neg(small)})
    made = places(schedule(graph, Target(keeps_order=True)))
    assert made[small] == made[first] + 1
    assert made[slope] == made[back] - 1
    assert places(graph)[slope] == made[first] + 1


class Counting(set[Any]):
    """A set that counts how often it is asked."""

    asked = 0

    def __contains__(self, item: object) -> bool:
        self.asked += 1
        return super().__contains__(item)


def test_one_that_reads_the_results_of_many_takes_no_longer_for_each() -> None:
    """As a bound on the norm of all gradients does: of 20,000 it would take seconds."""
    g = Builder()
    x = g.input("x", TensorType("float32", (2,)))
    y = g.MatMul(x, x)
    graph = g.graph({"y": g.Sum(*(g.Mul(y, float(index)) for index in range(300)))})
    order = _Scheduler(graph)
    order._scheduled = done = Counting()
    assert list(order)[-1] is graph.nodes[-1]
    assert done.asked < 10 * len(graph.nodes)
