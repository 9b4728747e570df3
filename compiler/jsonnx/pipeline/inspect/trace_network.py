"""Runs one batch through a network in training, and describes what each layer computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...core.diagnostics import UsageError, path_text
from ...core.files.user_files import UserFiles
from ...data.samples.dataset import Dataset
from ...ir import Builder, Graph
from ...lowering.check_augmentation import augmentation_calls, augmented_input_name
from ...lowering.lower import lower
from ...passes.canonicalize import canonicalize
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.profile.layer_trace import NetworkTrace, TracedLayer, ValueStatistics, WeightNorms
from ...runtime.providers.node_times import seconds_by_path
from ...runtime.providers.session_recorder import session_recorder
from ...runtime.training_plan import TrainingPlan
from ..check.check import CheckedSpec
from ..compile.initial_weights import Weights
from ..train.run_data import DataFiles, read_data
from ..train.trainer import Trainer
from ..train.weight_gradients import loss_and_gradients

WARM_UP_RUNS = 1
TIMED_RUNS = 2
"""Runs whose mean is the time of a layer."""


def trace_network(
    checked: CheckedSpec,
    data: UserFiles | None = None,
    weights: Weights = None,
    seed: int | None = None,
    data_roots: Iterable[str] = (),
    verify: bool = True,
) -> NetworkTrace:
    """The trace of the first batch of the training data, or of the data in a file.

    Raises CompileError for a spec that cannot be trained and for data that do not fit, UsageError without data.
    """
    trainer = Trainer(checked, seed=seed, weights=weights, data_roots=data_roots, verify=verify).plan_trainer
    samples = training_samples(trainer.plan, DataFiles(data))
    trainer.prepare(samples)
    batch = samples.subset(slice(trainer.plan.training.batch_size))
    with session_recorder() as recorder:
        loss, gradients = loss_and_gradients(checked, trainer, batch, recorder, WARM_UP_RUNS + TIMED_RUNS)
        seconds = seconds_by_path(recorder.end()[0], WARM_UP_RUNS)
    layers = _traced_layers(checked, trainer, batch, gradients, seconds)
    return NetworkTrace(len(batch), loss, tuple(layers))


def training_samples(plan: TrainingPlan, files: DataFiles) -> Dataset:
    """The training samples that the spec names, or a file's in their place. Raises UsageError `no-data`."""
    data = read_data(plan, files, parts=("train",))
    if data is None:
        help = "name a file in `training.data.train`, or with --data FILE"
        raise UsageError("no-data", "the spec names no training data", help)
    return data.train


def _traced_layers(
    checked: CheckedSpec,
    trainer: PlanTrainer,
    batch: Dataset,
    gradients: Mapping[str, np.ndarray],
    seconds: Mapping[str, float],
) -> list[TracedLayer]:
    network = checked.network
    calls = network.calls_needed_for(network.outputs)
    inputs = [name for name in network.inputs if any(name in call.sources for call in calls)]
    names = [*inputs, *dict.fromkeys(result for call in calls for result in call.results)]
    graph = _values_graph(checked, names)
    operators = _operators_by_path(graph)
    values = next(trainer.run_graph(_with_copied_outputs(graph), [batch]))
    statistics = {name: ValueStatistics.of(values[name]) for name in names}
    norms = _norms_by_layer(trainer.current_weights(), gradients)
    traced = [TracedLayer(name, "Input", "", {name: statistics[name]}) for name in inputs]
    seen: set[str] = set()
    for call in calls:
        results = {name: statistics[name] for name in call.results}
        layer_norms = norms.get(call.owner, {}) if call.owner not in seen else {}
        seen.add(call.owner)
        type_name = call.layer.type_name if call.layer is not None else "?"
        path, nodes = path_text(call.path), operators.get(call.path, {})
        traced.append(TracedLayer(call.name, type_name, path, results, layer_norms, nodes, seconds.get(path, 0.0)))
    return traced


def _values_graph(checked: CheckedSpec, names: Sequence[str]) -> Graph:
    """The forward pass in training, whose outputs are these values."""
    fed_names = {call.name: augmented_input_name(call.name) for call in augmentation_calls(checked.network)}
    graph = lower(checked.require(), training=True, outputs=names, fed_names=fed_names)
    return canonicalize(replace(graph, updates={}, losses=(), masks={}))


def _with_copied_outputs(graph: Graph) -> Graph:
    """The graph with a node for each output, since outputs may be inputs, weights or each other."""
    g = Builder.extending(graph)
    with g.scope("values"):
        return g.graph({name: g.Identity(value) for name, value in graph.outputs.items()})


def _operators_by_path(graph: Graph) -> dict[tuple[str | int, ...], dict[str, int]]:
    counts: dict[tuple[str | int, ...], Counter[str]] = {}
    for node in graph.nodes:
        counts.setdefault(node.path, Counter())[node.op] += 1
    return {path: dict(counter) for path, counter in counts.items()}


def _norms_by_layer(
    weights: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
) -> dict[str, dict[str, WeightNorms]]:
    by_layer: dict[str, dict[str, WeightNorms]] = {}
    for name, weight in weights.items():
        if weight.dtype.kind == "f":
            norms = WeightNorms.of(weight, gradients.get(name))
            by_layer.setdefault(name.partition("/")[0], {})[name] = norms
    return by_layer
