"""One training step as one graph: forward pass, backward pass and update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..core.reserved_names import (
    LEARNING_RATE,
    LOSS,
    OPTIMIZER_SCOPE,
    SHARD_FRACTION,
    added_loss_name,
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
from ..training.loss_scaling import LossScaleSection, all_finite
from ..training.objective import Objective
from ..training.optimizers import Optimizer
from .backward import gradients
from .builder import GradientBuilder
from .tuning import GENERAL_FORMULAS, GradientTuning


def with_loss(graph: Graph, objective: Objective) -> Graph:
    """Adds the targets as inputs, and the loss and the sums of each metric as outputs."""
    g = Builder.extending(graph)
    results = dict(graph.outputs)
    terms: list[Value] = []
    with g.scope("loss", ("training", "loss")):
        for output, loss in objective.losses.items():
            target = g.input(target_name(output), objective.targets[output])
            prediction, loss_of_prediction = loss.before_activation(graph, graph.outputs[output])
            term = loss_of_prediction.reduce(g, target, prediction, graph.masks.get(output))
            weight = objective.weights.get(output, 1.0)
            terms.append(term if weight == 1.0 else g.Mul(term, weight))
            if len(objective.losses) > 1:
                results[output_loss_name(output)] = term
        terms += _penalty_terms(g, graph)
        results |= _reported_losses(g, graph)
        results[LOSS] = terms[0] if len(terms) == 1 else g.Sum(*terms)
    g.losses.clear()
    g.masks.clear()
    with g.scope("metrics", ("training", "metrics")):
        for name, (output, metric) in objective.metrics_by_name().items():
            target, prediction = g.inputs[target_name(output)], graph.outputs[output]
            results[metric_sums_name(name)] = metric.statistics(g, target, prediction, graph.masks.get(output))
    return g.graph(results)


def _penalty_terms(g: Builder, graph: Graph) -> list[Value]:
    """The terms that layers and regularizers add to the loss."""
    regularized = [p for p in graph.parameters.values() if p.regularizer is not None and p.trainable]
    added = (term.value if term.weight == 1.0 else g.Mul(term.value, term.weight) for term in graph.losses)
    return [*added, *(p.regularizer.penalty(g, p) for p in regularized)]


def _reported_losses(g: Builder, graph: Graph) -> dict[str, Value]:
    """The values that layers AddLoss add to the loss, by the names of outputs; those of all calls of a layer are added
    up."""
    values: dict[str, list[Value]] = {}
    for term in graph.losses:
        if term.name:
            values.setdefault(added_loss_name(term.name), []).append(term.value)
    return {name: terms[0] if len(terms) == 1 else g.Sum(*terms) for name, terms in values.items()}


def training_step(
    graph: Graph,
    optimizer: Optimizer,
    rate_factors: Mapping[str, float] = {},
    expected_batch: int | None = None,
    tuning: GradientTuning = GENERAL_FORMULAS,
    loss_scale: LossScaleSection | None = None,
) -> Graph:
    """Adds the backward pass and the update to a graph that has a `loss`.

    The updates of the result give the next values of parameters, states and the optimizer's slots (states named
    `optimizer/...`). `rate_factors` maps layers to a factor on the learning rate of their weights, which behave as if
    they had an optimizer of their own; only `global_clipnorm` still bounds all gradients together. `expected_batch` is
    the usual number of samples in a step. With `loss_scale`, a step whose gradients are not finite updates nothing
    else. Raises MissingRule.
    """
    g = GradientBuilder.extending(graph, tuning=tuning, expected_batch=expected_batch)
    weights = _trainable_parameters(graph)
    if loss_scale is None:
        gradient_by_weight = gradients(g, graph, {graph.outputs[LOSS]: g.const(1.0)}, weights)
        _update_weights(g, optimizer, rate_factors, gradient_by_weight)
        return g.graph(dict(graph.outputs))
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        scale, _ = loss_scale.states(g)
    scaled_gradients = gradients(g, graph, {graph.outputs[LOSS]: scale}, weights)
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        gradient_by_weight = {weight: g.Div(gradient, scale) for weight, gradient in scaled_gradients.items()}
        is_finite = all_finite(g, gradient_by_weight.values()) if gradient_by_weight else g.const(True, "bool")
    _update_weights(g, optimizer, rate_factors, gradient_by_weight)
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        _skip_updates_unless(g, is_finite)
        loss_scale.assign(g, is_finite)
    return g.graph(dict(graph.outputs))


def _skip_updates_unless(g: Builder, condition: Value) -> None:
    """Keeps the values of all variables in a step in which the condition does not hold."""
    variables = {**g.parameters, **g.states}
    for name, value in g.updates.items():
        g.updates[name] = g.refine(g.Where(condition, value, variables[name]), variables[name].shape)
    g.weight_updates.clear()


def shard_step(graph: Graph, expected_batch: int | None = None, tuning: GradientTuning = GENERAL_FORMULAS) -> Graph:
    """The forward and backward pass of one shard of a batch, for a graph that has a `loss`.

    The input `SHARD_FRACTION` is the fraction of the batch's samples that the shard has. Losses and gradients (outputs
    named by `gradient_name`) are multiplied by it, so that their sums over all shards are those of the batch. This
    holds if the loss is a mean over samples that do not interact (`passes.training.batch_separability`).
    `expected_batch` and `tuning` are those of `training_step`. Raises MissingRule.
    """
    g = GradientBuilder.extending(graph, tuning=tuning, expected_batch=expected_batch)
    fraction = g.input(SHARD_FRACTION, TensorType("float32", ()))
    weights = _trainable_parameters(graph)
    gradient_by_weight = gradients(g, graph, {graph.outputs[LOSS]: fraction}, weights)
    results = {name: value for name, value in graph.outputs.items() if is_metric_sums_name(name)}
    with g.scope("loss", ("training", "loss")):
        results |= {name: g.Mul(value, fraction) for name, value in graph.outputs.items() if not value.rank}
    results |= {gradient_name(w.name): gradient_by_weight[w] for w in weights if w in gradient_by_weight}
    return g.graph(results)


def combine_shards(
    graph: Graph, shard: Graph, shard_count: int, optimizer: Optimizer, rate_factors: Mapping[str, float] = {}
) -> Graph:
    """The last graph of a sharded step: sums the results of all shards (inputs `+0/NAME` ...) and updates weights."""
    g = Builder.extending(replace(graph, inputs={}, outputs={}, nodes=(), randoms={}, losses=()))
    with g.scope("shares", ("training",)):
        totals = {}
        for name, value in shard.outputs.items():
            shard_results = [g.input(shard_result_name(index, name), value.type) for index in range(shard_count)]
            totals[name] = g.Sum(*shard_results)
    results = {name: total for name, total in totals.items() if not is_gradient_name(name)}
    gradient_by_weight: dict[Value, Value] = {
        w: totals[name] for w in _trainable_parameters(graph) if (name := gradient_name(w.name)) in totals
    }
    _update_weights(g, optimizer, rate_factors, gradient_by_weight)
    return g.graph(results)


def _trainable_parameters(graph: Graph) -> list[Parameter]:
    return [p for p in graph.parameters.values() if p.trainable]


def _update_weights(
    g: Builder, optimizer: Optimizer, rate_factors: Mapping[str, float], gradient_by_weight: Mapping[Value, Value]
) -> None:
    """Emits the next values of all trainable weights and of their slots."""
    weights = [p for p in g.parameters.values() if p.trainable]
    with g.scope(OPTIMIZER_SCOPE, ("training", "optimizer")):
        # As in Keras, weights without a gradient still decay and are projected.
        with_gradient: dict[Parameter, Value] = {
            w: gradient_by_weight[w] if w in gradient_by_weight else g.zeros(w) for w in weights
        }
        rate = g.input(LEARNING_RATE, TensorType("float32", ()))
        count = g.state("iterations", (), Constant(value=0), "int64")
        step = g.Add(count, 1)
        g.assign(count, step)
        factors = {weight: rate_factors.get(weight.name.partition("/")[0], 1.0) for weight in weights}
        rates: dict[float, Value] = {
            factor: rate if factor == 1.0 else g.Mul(rate, factor) for factor in sorted({1.0, *factors.values()})
        }
        shared = {factor: optimizer.prepare(g, scaled_rate, step) for factor, scaled_rate in rates.items()}
        for weight, gradient in optimizer.clip(g, with_gradient).items():
            with g.scope(weight.name):
                _update_weight(g, optimizer, weight, gradient, rates[factors[weight]], shared[factors[weight]])


def _update_weight(
    g: Builder, optimizer: Optimizer, weight: Parameter, gradient: Value, rate: Value, shared: Mapping[str, Value]
) -> None:
    slots = {name: g.state(name, weight.shape, Constant(value=start)) for name, start in optimizer.slots().items()}
    next_weight, next_slots = optimizer.decay_and_update(g, weight, gradient, slots, rate, shared)
    for name, value in next_slots.items():
        g.assign(slots[name], value)
    constraint = weight.constraint
    g.updates[weight.name] = next_weight if constraint is None else constraint.project(g, next_weight)
    if constraint is None and gradient in g.gradients:
        g.weight_updates[weight.name] = WeightUpdate(optimizer, gradient, rate, shared)
