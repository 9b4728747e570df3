"""Training graphs, and steps in onnxruntime without an engine: for tests of passes that rewrite a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.reserved_names import LEARNING_RATE, LOSS, next_name, target_name
from jsonnx.ir import Graph
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.random import draw_initial_weights
from jsonnx.runtime.training_plan import TrainingPlan

Batch = tuple[np.ndarray | Mapping[str, np.ndarray], np.ndarray]
"""The inputs of a network, and the targets of its only output."""


def training_graph(spec: Mapping[str, Any]) -> Graph:
    """The graph of a training step in standard ONNX."""
    return plan_training(check_spec(spec)).train


class StepResults(NamedTuple):
    """The losses of a sequence of steps, and the variables after the last one."""

    losses: list[float]
    variables: dict[str, np.ndarray]


def run_steps(
    graph: Graph, plan: TrainingPlan, batches: Iterable[Batch], variables: Mapping[str, np.ndarray] | None = None
) -> StepResults:
    """Runs a rewritten graph of the plan's step for each batch, from these variables or the plan's initial ones.

    Each step reads the variables that the step before it returned.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        serialize(to_model_proto(graph)), options, providers=["CPUExecutionProvider"]
    )
    feed_names = {value.name for value in session.get_inputs()}
    current = dict(draw_initial_weights(graph, plan.seed) if variables is None else variables)
    updates = {name: next_name(name) for name in graph.updates}
    losses = []
    for step, (x, y) in enumerate(batches):
        feeds = {**current, **step_feeds(plan, x, y, step)}
        loss, *values = session.run(
            [LOSS, *updates.values()], {name: array for name, array in feeds.items() if name in feed_names}
        )
        losses.append(float(loss))
        current |= zip(updates, values, strict=True)
    return StepResults(losses, current)


def step_feeds(
    plan: TrainingPlan, x: np.ndarray | Mapping[str, np.ndarray], y: np.ndarray, step: int
) -> dict[str, np.ndarray]:
    """What a step reads besides its variables."""
    (output,) = plan.targets
    inputs = x if isinstance(x, Mapping) else {next(iter(plan.inputs)): x}
    return {**inputs, target_name(output): y, LEARNING_RATE: np.array(plan.constant_rate, np.float32)}


def assert_same_steps(actual: StepResults, expected: StepResults, *, rtol: float, atol: float) -> None:
    """Asserts that two runs have equal losses and variables, up to rounding."""
    np.testing.assert_allclose(actual.losses, expected.losses, rtol=rtol)
    assert actual.variables.keys() == expected.variables.keys()
    for name, array in expected.variables.items():
        np.testing.assert_allclose(actual.variables[name], array, rtol=rtol, atol=atol, err_msg=name)
