"""One training step as one graph: forward, backward and update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..core.reserved_names import (
    LEARNING_RATE,
    OPTIMIZER_SCOPE,
    SHARD_FRACTION,
    gradient_name,
    is_gradient_name,
    is_metric_sums_name,
    metric_sums_name,
    output_loss_name,
    shard_result_name,
    target_name,
)
from ..core.types import TensorType
from ..ir import Builder, Graph, Parameter, Value, WeightUpdate
from ..training.initializers import Constant
from ..training.objective import Objective
from ..training.optimizers import Optimizer
from .backward import gradients


def with_loss(graph: Graph, objective: Objective) -> Graph:
    """The graph with targets as further inputs, and `loss` and the metrics' statistics as its outputs beside its
    own."""
    g = Builder.extending(graph)
    results = dict(graph.outputs)
    terms: list[Value] = []
    with g.scope("loss", ("training", "loss")):
        for output, loss in objective.losses.items():
            target = g.input(target_name(output), objective.targets[output])
            predicted, suited = loss.before_activation(graph, graph.outputs[output])
            term = suited.reduce(g, target, predicted, graph.masks.get(output))
            terms.append(_weighted_term(g, term, objective.weights.get(output, 1.0)))
            if len(objective.losses) > 1:
                results[output_loss_name(output)] = term
        terms += _penalty_terms(g, graph)
        results["loss"] = terms[0] if len(terms) == 1 else g.Sum(*terms)
    g.losses.clear()
    g.masks.clear()
    with g.scope("metrics", ("training", "metrics")):
        for name, (output, metric) in objective.metrics_by_name().items():
            target, predicted = g.inputs[target_name(output)], graph.outputs[output]
            results[metric_sums_name(name)] = metric.statistics(g, target, predicted, graph.masks.get(output))
    return g.graph(results)


def _weighted_term(g: Builder, term: Value, weight: float) -> Value:
    return term if weight == 1.0 else g.Mul(term, weight)


def _penalty_terms(g: Builder, graph: Graph) -> list[Value]:
    """What layers and regularizers add to the loss."""
    penalised = [p for p in graph.parameters.values() if p.regularizer is not None and p.trainable]
    return [*graph.losses, *(p.regularizer.penalty(g, p) for p in penalised)]


def training_step(
    graph: Graph, optimizer: Optimizer, rate_factors: Mapping[str, float] = {}, expected_batch: int | None = None
) -> Graph:
    """A graph with a `loss`, plus backward pass and update.

    Its updates give the new values of parameters, states and the optimizer's slots (states named `optimizer/...`).
    The weights of a layer with a factor step as if they had an optimizer of their own, its rate `factor * rate`; only
    a bound on all gradients together stays one. `expected_batch` is how many a step will mostly get.

    Raises MissingRule.
    """
    g = Builder.extending(graph)
    g.expected_batch = expected_batch
    _update_weights(
        g,
        optimizer,
        rate_factors,
        gradients(g, graph, {graph.outputs["loss"]: g.const(1.0)}, _trainable_parameters(graph)),
    )
    return g.graph(dict(graph.outputs))


def shard_step(graph: Graph, expected_batch: int | None = None) -> Graph:
    """What a share of a batch gives of a step: a graph with a `loss`, plus backward pass.

    It is fed how large a share of the batch's samples it gets (`SHARD_FRACTION`); losses and gradients (`gradient_name` of the
    weight's name) are by that share, so that those of all shares add up to the batch's. That is so where samples stand
    apart and the loss is a mean of theirs (`passes.training.batch_separability`). `expected_batch` as for
    `training_step`. Raises MissingRule.
    """
    g = Builder.extending(graph)
    g.expected_batch = expected_batch
    loss = graph.outputs["loss"]
    share = g.input(SHARD_FRACTION, TensorType("float32", ()))
    found = gradients(g, graph, {loss: share}, _trainable_parameters(graph))
    results = {name: value for name, value in graph.outputs.items() if is_metric_sums_name(name)}
    with g.scope("loss", ("training", "loss")):
        results |= {name: g.Mul(value, share) for name, value in graph.outputs.items() if not value.rank}
    return g.graph(results | {gradient_name(w.name): found[w] for w in _trainable_parameters(graph) if w in found})


def combine_shards(
    graph: Graph, shard: Graph, shard_count: int, optimizer: Optimizer, rate_factors: Mapping[str, float] = {}
) -> Graph:
    """The rest of the step: what `shard_count` shares gave, as `+0/NAME` and so on, added up, and the update."""
    g = Builder.extending(replace(graph, inputs={}, outputs={}, nodes=(), randoms={}, losses=()))
    with g.scope("shares", ("training",)):
        totals = {}
        for name, value in shard.outputs.items():
            parts = [g.input(shard_result_name(number, name), value.type) for number in range(shard_count)]
            totals[name] = g.Sum(*parts)
    known = {name: total for name, total in totals.items() if not is_gradient_name(name)}
    found: dict[Value, Value] = {
        w: totals[name] for w in _trainable_parameters(graph) if (name := gradient_name(w.name)) in totals
    }
    _update_weights(g, optimizer, rate_factors, found)
    return g.graph(known)


def _trainable_parameters(graph: Graph) -> list[Parameter]:
    return [p for p in graph.parameters.values() if p.trainable]


def _update_weights(
    g: Builder, optimizer: Optimizer, rate_factors: Mapping[str, float], gradients_by_weight: Mapping[Value, Value]
) -> None:
    """Gives all weights that are trained, and their slots, their new values."""
    weights = [p for p in g.parameters.values() if p.trainable]
    with g.scope(OPTIMIZER_SCOPE, ("training", "optimizer")):
        # What the loss does not depend on decays and is projected all the same, as in Keras.
        changed: dict[Parameter, Value] = {
            w: gradients_by_weight[w] if w in gradients_by_weight else g.zeros(w) for w in weights
        }
        rate = g.input(LEARNING_RATE, TensorType("float32", ()))
        count = g.state("iterations", (), Constant(value=0), "int64")
        now = g.Add(count, 1)
        g.assign(count, now)
        of = {weight: rate_factors.get(weight.name.partition("/")[0], 1.0) for weight in weights}
        rates: dict[float, Value] = {f: rate if f == 1.0 else g.Mul(rate, f) for f in sorted({1.0, *of.values()})}
        shared = {factor: optimizer.prepare(g, own, now) for factor, own in rates.items()}
        for weight, gradient in optimizer.clip(g, changed).items():
            with g.scope(weight.name):
                _update_weight(g, optimizer, weight, gradient, rates[of[weight]], shared[of[weight]])


def _update_weight(
    g: Builder, optimizer: Optimizer, weight: Parameter, gradient: Value, rate: Value, shared: Mapping[str, Value]
) -> None:
    slots = {name: g.state(name, weight.shape, Constant(value=start)) for name, start in optimizer.slots().items()}
    after, values = optimizer.decay_and_update(g, weight, gradient, slots, rate, shared)
    for name, value in values.items():
        g.assign(slots[name], value)
    g.updates[weight.name] = after if weight.constraint is None else weight.constraint.project(g, after)
    if weight.constraint is None and gradient in g.gradients:
        g.weight_updates[weight.name] = WeightUpdate(optimizer, gradient, rate, shared)
