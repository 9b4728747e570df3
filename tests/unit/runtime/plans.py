"""Small training plans: networks of Dense layers, made without the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jsonnx.analysis.shape_inference import TypedNetwork, infer_shapes
from jsonnx.core.diagnostics import Report
from jsonnx.core.types import BATCH, TensorType
from jsonnx.frontend.network import Call, Network
from jsonnx.gradient.training_step import training_step, with_loss
from jsonnx.ir import Builder, Graph
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.pipeline.train.fit_samples import evaluation_samples, fit_samples
from jsonnx.runtime.execution.history import History
from jsonnx.runtime.fit.trainer import PlanTrainer
from jsonnx.runtime.fit_arguments import fit_settings
from jsonnx.runtime.training_plan import TrainingPlan
from jsonnx.sections.training_section import Training
from jsonnx.training.metrics.objective import Objective
from support.harness import make_layer

CLASSIFY = {"loss": "sparse_categorical_crossentropy", "optimizer": {"type": "adam", "learning_rate": 0.01}}
REGRESS = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}}


def typed(
    layers: Sequence[Mapping[str, Any]], inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]
) -> TypedNetwork:
    """A sequence of layers, each with a `name`; `from` names the input of a layer that does not follow the one
    before."""
    types = {name: TensorType("float32", (BATCH, *shape)) for name, shape in inputs.items()}
    calls, previous = [], next(iter(types))
    for index, spec in enumerate(layers):
        arguments = {key: value for key, value in spec.items() if key not in ("name", "from")}
        calls.append(
            Call(spec["name"], make_layer(arguments), (spec.get("from", previous),), ("layers", index), spec["name"])
        )
        previous = spec["name"]
    network = Network("test", types, tuple(calls), tuple(outputs), paths=dict.fromkeys(types, ()))
    report = Report()
    typed_network = infer_shapes(network, report)
    report.raise_errors()
    return typed_network


def make_plan(
    layers: Sequence[Mapping[str, Any]],
    inputs: Mapping[str, Sequence[int]],
    training: Mapping[str, Any],
    *,
    outputs: Sequence[str] = (),
    noise: float = 0.0,
    **more: Any,
) -> TrainingPlan:
    """The plan of a network. With `noise`, training applies a dropout of that rate to its first input."""
    net = typed(layers, inputs, outputs or [layers[-1]["name"]])
    section = Training(**training)
    losses = section.loss if isinstance(section.loss, dict) else dict.fromkeys(net.outputs, section.loss)
    metrics = section.metrics if isinstance(section.metrics, dict) else dict.fromkeys(net.outputs, section.metrics)
    targets = {name: losses[name].target_type(net.outputs[name]) for name in net.outputs}
    resolved = {n: tuple(m.resolve(losses[n], net.outputs[n]) for m in members) for n, members in metrics.items()}
    objective = Objective(losses, dict(section.loss_weights or {}), resolved, targets)
    forward = lower(net, training=True)
    if noise:
        forward = masked(forward, noise)
    return TrainingPlan(
        train=canonicalize(training_step(canonicalize(with_loss(forward, objective)), section.optimizer)),
        evaluate=canonicalize(with_loss(lower(net), objective)),
        predict=canonicalize(lower(net)),
        inputs=net.inputs,
        outputs=net.outputs,
        targets=targets,
        metrics={name: reported.metric for name, reported in objective.metrics_by_name().items()},
        training=section,
        **{"seed": 3, **more},
    )


def masked(graph: Graph, rate: float) -> Graph:
    """The graph with a dropout of its first input."""
    name, x = next(iter(graph.inputs.items()))
    g = Builder(training=True)
    g.inputs[name] = x
    with g.scope("noise"):
        noisy = g.Mul(x, g.random("mask", x.shape, "mask", keep=1 - rate, scale=1 / (1 - rate)))
    nodes = [node.with_inputs(noisy if value is x else value for value in node.inputs) for node in graph.nodes]
    return replace(graph, nodes=(*g.nodes, *nodes), randoms={**graph.randoms, **g.randoms})


def classifier(training: Mapping[str, Any] = {}, **more: Any) -> TrainingPlan:
    """A classifier of four inputs into three classes."""
    layers = [
        {"type": "Dense", "name": "hidden", "units": 8, "activation": "relu"},
        {"type": "Dense", "name": "species", "units": 3, "activation": "softmax"},
    ]
    return make_plan(layers, {"flower": (4,)}, {**CLASSIFY, "metrics": ["accuracy"], **training}, **more)


def flowers(count: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples of three classes that a network can separate."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    centres = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, -1, -1]])
    return (centres[y] + 0.3 * rng.normal(size=(count, 4))).astype(np.float32), y


def fit(
    trainer: PlanTrainer,
    x: Any = None,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float | None = None,
    callbacks: Iterable[object] = (),
    **settings: Any,
) -> History:
    """A fit of the trainer of a plan with the arguments of `jsonnx.Trainer.fit`."""
    samples, validation = fit_samples(trainer.plan, x, y, None, validation_data, validation_split)
    return trainer.fit(samples, validation, fit_settings(trainer.plan.training, **settings), tuple(callbacks))


def evaluate(trainer: PlanTrainer, x: Any = None, y: Any = None, batch_size: int | None = None) -> dict[str, Any]:
    """An evaluation by the trainer of a plan with the arguments of `jsonnx.Trainer.evaluate`."""
    return trainer.evaluate(evaluation_samples(trainer.plan, x, y, None), batch_size)


def have_equal_variables(trainer: PlanTrainer, expected: PlanTrainer) -> bool:
    """Whether two trainers have the same variables, bit for bit."""
    a, b = trainer.engine.variables(), expected.engine.variables()
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
