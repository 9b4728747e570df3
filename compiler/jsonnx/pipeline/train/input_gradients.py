"""The gradients of the loss, or of an output, by the inputs of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.diagnostics import quoted_list
from ...core.reserved_names import LOSS, gradient_name
from ...core.types import TensorType
from ...data.samples.dataset import Dataset
from ...frontend.network import Network
from ...gradient.backward import gradients
from ...gradient.builder import GradientBuilder
from ...gradient.training_step import with_loss
from ...gradient.tuning import GENERAL_FORMULAS
from ...ir import Graph
from ...lowering.lower import lower
from ...passes.canonicalize import canonicalize
from ...runtime.execution.runner import runner_without_updates
from ...runtime.fit.fit_data import dataset_of, samples_without_targets
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.providers.random import InferenceRandoms
from ...training.metrics.objective import Objective
from ..check.check import CheckedSpec
from .plan_training import with_stored_weights

COTANGENT = "+cotangent"
"""Input: the gradient of what is differentiated by the output."""


def input_gradients(
    checked: CheckedSpec,
    trainer: PlanTrainer,
    batch: tuple[Any, Any, Any],
    output: str | None = None,
    unit: int | Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """The gradients of the loss of a batch `(x, y, sample_weight)` by each differentiable value, as `evaluate` computes
    it; without targets, of the sum of an output, or of one of its units.

    Raises FeedError for data that do not fit, ValueError for an unknown output or unit.
    """
    has_targets = batch[1] is not None or (isinstance(batch[0], Dataset) and bool(batch[0].targets))
    of_output = output is not None or unit is not None
    if not of_output and (has_targets or not trainer.plan.targets):
        samples = dataset_of(trainer.plan, *batch)
        assert checked.objective is not None, "a spec that has a trainer has an objective"
        weighted = trainer.plan.weighted_outputs.union(samples.weights)
        graph = _loss_gradient_graph(checked, checked.objective._replace(weighted_outputs=weighted))
        return _run(graph, trainer, samples.for_graphs(trainer.plan.data_spec_weighting(weighted)))
    if batch[1] is not None:
        raise TypeError("an output has gradients without targets: leave out y, or output and unit")
    samples = batch[0] if isinstance(batch[0], Dataset) else samples_without_targets(trainer.plan, batch[0])
    chosen = _chosen_output(checked, output)
    predicted = trainer.engine.predict(samples, len(samples))[chosen]
    graph = _output_gradient_graph(checked, chosen)
    return _run(graph, trainer, samples, {COTANGENT: unit_cotangent(predicted, unit)})


def _chosen_output(checked: CheckedSpec, output: str | None) -> str:
    """The output of a name, or the only one. Raises ValueError."""
    names = list(checked.network.inference_outputs)
    if output is None and len(names) > 1:
        raise ValueError(f"choose one of the outputs: output={quoted_list(names)}")
    if output is not None and output not in names:
        raise ValueError(f"there is no output {output!r}: the outputs are {quoted_list(names)}")
    return output or names[0]


def unit_cotangent(output: np.ndarray, unit: int | Sequence[int] | np.ndarray | None) -> np.ndarray:
    """1 at the elements of an output whose sum is differentiated, else 0: all, those of a unit, or those of a unit by
    sample. Raises ValueError for a unit that the last axis does not have."""
    if unit is None:
        return np.ones_like(output)
    units, count = np.asarray(unit), output.shape[-1] if output.ndim > 1 else 0
    shapes = [(), (len(output),)]
    if units.shape not in shapes or units.dtype.kind not in "iu" or not count:
        raise ValueError(f"unit is an index of the last axis of the output, or one for each of {len(output)} samples")
    if (units < -count).any() or (units >= count).any():
        raise ValueError(f"unit must be from 0 to {count - 1}, got {unit!r}")
    chosen = np.broadcast_to(units % count, len(output)).reshape(-1, *[1] * (output.ndim - 1))
    return (np.arange(count) == chosen).astype(output.dtype) * np.ones_like(output)


def differentiable_values(checked: CheckedSpec) -> dict[str, str]:
    """The values by which gradients are computed, each with its input: inputs of real numbers, and in place of another
    input the first real values behind it."""
    typed = checked.require()
    network: Network = typed.network
    names: dict[str, str] = {}
    for input, type in network.inference_inputs.items():
        if _is_real(type):
            names[input] = input
            continue
        followed = {input}
        for call in network.calls:
            if followed.isdisjoint(call.sources) or call.layer is None or call.layer.reads_only_shapes:
                continue
            for result in call.results:
                if _is_real(typed.types[result]):
                    names.setdefault(result, input)
                else:
                    followed.add(result)
    return names


def _is_real(type: TensorType) -> bool:
    return type.dtype.startswith("float")


# -- graphs ----------------------------------------------------------------------------------------------------------


def _loss_gradient_graph(checked: CheckedSpec, objective: Objective) -> Graph:
    names = list(differentiable_values(checked))
    graph = with_loss(lower(checked.require(), further=names), objective)
    g = GradientBuilder.extending(graph, tuning=GENERAL_FORMULAS)
    return _gradient_graph(checked, g, graph, LOSS, names)


def _output_gradient_graph(checked: CheckedSpec, output: str) -> Graph:
    names = list(differentiable_values(checked))
    graph = lower(checked.require(), further=names)
    g = GradientBuilder.extending(graph, tuning=GENERAL_FORMULAS)
    return _gradient_graph(checked, g, graph, output, names)


def _gradient_graph(checked: CheckedSpec, g: GradientBuilder, graph: Graph, result: str, names: Sequence[str]) -> Graph:
    """The graph whose outputs are the gradients of a result, named by `gradient_name`."""
    with g.scope("gradients"):
        cotangent = g.const(1.0) if result == LOSS else g.input(COTANGENT, graph.outputs[result].type)
    values = {name: graph.inputs.get(name) or graph.outputs[name] for name in names}
    by_value = gradients(g, graph, {graph.outputs[result]: cotangent}, list(values.values()))
    results = {gradient_name(name): by_value[value] for name, value in values.items() if value in by_value}
    training = checked.network.training
    finished = canonicalize(replace(g.graph(results), losses=(), masks={}, updates={}))
    return finished if training is None else with_stored_weights(training, finished)


def _run(
    graph: Graph, trainer: PlanTrainer, samples: Dataset, feeds: Mapping[str, np.ndarray] = {}
) -> dict[str, np.ndarray]:
    """The results of a gradient graph over the trainer's weights, by the names of the values."""
    if not graph.outputs:
        return {}
    engine = trainer.engine
    runner = runner_without_updates(graph, engine.current_variables(), engine.vocabularies)
    given = {**samples.take(slice(0, len(samples))), **feeds}
    given = InferenceRandoms.of(graph, trainer.plan.seed).fed(given, trainer.plan.inputs)
    results = runner({name: given[name] for name in runner.fed_names})
    # An output may be a view of an input or a weight, which is freed with the runner.
    return {name.removeprefix(gradient_name("")): array.copy() for name, array in results.items()}
