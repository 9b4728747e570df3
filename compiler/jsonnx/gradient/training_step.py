"""One training step as one graph: forward pass, backward pass and update."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..core.reserved_names import (
    LOSS,
    LOSS_WEIGHT,
    OPTIMIZER_SCOPE,
    ROW_INDICES,
    SHARD_FRACTION,
    added_loss_name,
    gradient_indices_name,
    gradient_name,
    gradient_rows_name,
    is_gradient_name,
    is_metric_sums_name,
    metric_sums_name,
    network_value_name,
    output_loss_name,
    sample_weight_name,
    shard_result_name,
    sparse_gradient_weight,
    state_change_name,
    target_name,
    teacher_output_name,
)
from ..core.types import Size, TensorType
from ..ir import Builder, Graph, Value
from ..sections.loss_scaling import LossScaleSection, all_finite
from ..sections.target_scaling import TargetScaling
from ..training.losses.distillation import Distillation, comparison, squared_differences
from ..training.losses.losses import Loss
from ..training.metrics.objective import Objective
from ..training.optimizers.optimizer import Optimizer
from ..training.optimizers.slot_storage import choose
from .backward import gradients
from .builder import GradientBuilder
from .lookup_gradients import scatter_add_rows, sparse_gradient
from .tuning import GENERAL_FORMULAS, GradientTuning
from .update_weights import trainable_parameters, update_weights


class NoGradient(Exception):
    """The loss does not depend on any trainable parameter by differentiable operators."""


def with_loss(
    graph: Graph,
    objective: Objective,
    expected_sizes: Mapping[str, int] = {},
    *,
    adds_weight: bool = False,
    distillation: Distillation | None = None,
) -> Graph:
    """Adds the targets and sample weights as inputs, and the loss and the sums of each metric as outputs.

    `expected_sizes` are the sizes of symbols in most batches, if they are known. With `adds_weight`, the `LOSS_WEIGHT`
    is an output, unless the whole loss is a mean over a number that is proportional to that of the samples. With
    `distillation`, the outputs of the teacher are inputs, too, and the losses include the differences from them.
    """
    g = Builder.extending(graph)
    g.expected_sizes = expected_sizes
    own_names = {*map(network_value_name, objective.target_forms)}
    results = {name: value for name, value in graph.outputs.items() if name not in own_names}
    terms: list[Value] = []
    sample_weights: dict[str, Value] = {}
    scalings = {
        output: TargetScaling.of(g, output, graph.outputs[output].type, ("training", "target"), form)
        for output, form in objective.target_forms.items()
    }
    with g.scope("loss", ("training", "loss")):
        for output, loss in objective.losses.items():
            target: Value = g.input(target_name(output), objective.targets[output])
            if output in objective.weighted_outputs:
                weight_type = loss.sample_weight_type(graph.outputs[output].type)
                sample_weights[output] = g.input(sample_weight_name(output), weight_type)
            prediction, loss_of_prediction = loss.before_activation(graph, graph.outputs[output])
            if output in scalings:
                own = graph.outputs.get(network_value_name(output))
                target = scalings[output].normalized(g, target)
                prediction = scalings[output].normalized_output(g, prediction) if own is None else own
            term = loss_of_prediction.reduce(g, target, prediction, graph.masks.get(output), sample_weights.get(output))
            if distillation is not None and output in distillation.outputs:
                differences = _teacher_differences(
                    g, graph, distillation, output, loss, prediction, scalings.get(output)
                )
                weighting = graph.masks.get(output), sample_weights.get(output)
                term = distillation.loss(g, loss, term, differences, target, *weighting)
            weight = objective.weights.get(output, 1.0)
            terms.append(term if weight == 1.0 else g.Mul(term, weight))
            if len(objective.losses) > 1:
                results[output_loss_name(output)] = term
            elif adds_weight and not graph.losses:
                mask, weights = graph.masks.get(output), sample_weights.get(output)
                batch_weight = loss_of_prediction.batch_weight(g, target, prediction, mask, weights)
                results |= {} if batch_weight is None else {LOSS_WEIGHT: batch_weight}
        terms += _penalty_terms(g, graph)
        results |= _reported_losses(g, graph)
        results[LOSS] = terms[0] if len(terms) == 1 else g.Sum(*terms)
    g.losses.clear()
    g.masks.clear()
    with g.scope("metrics", ("training", "metrics")):
        for name, (output, metric, is_weighted) in objective.metrics_by_name().items():
            target, prediction = g.inputs[target_name(output)], graph.outputs[output]
            if not metric.takes_quantiles:
                target, prediction = objective.losses[output].point_values(g, target, prediction)
            weights = sample_weights.get(output) if is_weighted else None
            counts = metric.counts(g, graph.masks.get(output), weights)
            results[metric_sums_name(name)] = metric.statistics(g, target, metric.decisions(g, prediction), counts)
    return g.graph(results)


def _teacher_differences(
    g: Builder,
    graph: Graph,
    distillation: Distillation,
    output: str,
    loss: Loss,
    prediction: Value,
    scaling: TargetScaling | None,
) -> Value:
    """The differences of an output from the teacher's, which becomes an input. With a `scaling`, the prediction is
    normalized, and so is the teacher's output."""
    value = graph.outputs[output]
    teacher: Value = g.input(teacher_output_name(output), value.type)
    if comparison(loss) != "numbers":
        return distillation.differences(g, graph, loss, value, teacher)
    teacher = teacher if scaling is None else scaling.normalized_output(g, teacher)
    return squared_differences(g, loss, prediction, teacher)


def _penalty_terms(g: Builder, graph: Graph) -> list[Value]:
    """The terms that layers and regularizers add to the loss."""
    regularized = [p for p in graph.parameters.values() if p.regularizer is not None and p.trainable]
    added = (term.value if term.weight == 1.0 else g.Mul(term.value, term.weight) for term in graph.losses)
    return [*added, *(p.regularizer.penalty(g, p) for p in regularized)]


def _reported_losses(g: Builder, graph: Graph) -> dict[str, Value]:
    """The values that layers AddLoss add to the loss, by the names of outputs. All calls of a layer are added up."""
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
    else. Raises MissingRule, and NoGradient if no trainable parameter affects the loss.
    """
    g = GradientBuilder.extending(graph, tuning=tuning, expected_batch=expected_batch)
    gradient_by_weight = weight_gradients(g, graph, loss_scale)
    if trainable_parameters(graph) and not gradient_by_weight:
        raise NoGradient
    if loss_scale is None:
        update_weights(g, optimizer, rate_factors, gradient_by_weight)
        return g.graph(dict(graph.outputs))
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        is_finite = all_finite(g, gradient_by_weight.values()) if gradient_by_weight else g.const(True, "bool")
    update_weights(g, optimizer, rate_factors, gradient_by_weight)
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        _skip_updates_unless(g, is_finite)
        loss_scale.assign(g, is_finite)
    return g.graph(dict(graph.outputs))


def weight_gradients(g: GradientBuilder, graph: Graph, loss_scale: LossScaleSection | None) -> dict[Value, Value]:
    """The gradients of the trainable parameters that the loss of `graph` depends on, emitted into `g`.

    With `loss_scale`, they are computed from the scaled loss and divided by the scale. Raises MissingRule.
    """
    weights = trainable_parameters(graph)
    if loss_scale is None:
        return gradients(g, graph, {graph.outputs[LOSS]: g.const(1.0)}, weights)
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        scale, _ = loss_scale.states(g)
    scaled_gradients = gradients(g, graph, {graph.outputs[LOSS]: scale}, weights)
    with g.scope(OPTIMIZER_SCOPE, ("training", "loss_scale")):
        return {weight: g.Div(gradient, scale) for weight, gradient in scaled_gradients.items()}


def _skip_updates_unless(g: Builder, condition: Value) -> None:
    """Keeps the values of all variables in a step in which the condition does not hold."""
    variables = {**g.parameters, **g.states}
    for name, value in g.updates.items():
        g.updates[name] = choose(g, condition, value, variables[name])
    g.weight_updates.clear()


def shard_step(
    graph: Graph,
    expected_batch: int | None = None,
    tuning: GradientTuning = GENERAL_FORMULAS,
    sparse_weights: Collection[str] = (),
) -> Graph:
    """The forward and backward pass of one shard of a batch, for a graph that has a `loss`.

    The input `SHARD_FRACTION` is the fraction of the batch's samples that the shard has. Losses and gradients (outputs
    named by `gradient_name`) are multiplied by it, so that their sums over all shards equal the whole batch's. This
    holds if the loss is a mean over samples that do not interact (`passes.training_steps.batch_separability`). Changes
    of states (`state_change_name`) are multiplied by it, too. If the graph has a `LOSS_WEIGHT`, they are multiplied by
    that of the shard instead, so that their sums have to be divided by the sum of these weights. Gradients of
    `sparse_weights`, each of which a single lookup reads, are outputs as the indices [n] that are looked up and a row
    for each of them.
    `expected_batch` and `tuning` are those of `training_step`. Raises MissingRule.
    """
    g = GradientBuilder.extending(graph, tuning=tuning, expected_batch=expected_batch)
    fraction = g.input(SHARD_FRACTION, TensorType("float32", ()))
    factor = graph.outputs.get(LOSS_WEIGHT, fraction)
    weights = trainable_parameters(graph)
    gradient_by_weight = gradients(g, graph, {graph.outputs[LOSS]: factor}, weights)
    results = {name: value for name, value in graph.outputs.items() if is_metric_sums_name(name)}
    losses = {name: value for name, value in graph.outputs.items() if not value.rank and name != LOSS_WEIGHT}
    with g.scope("loss", ("training", "loss")):
        results |= {name: g.Mul(value, factor) for name, value in losses.items()}
    results |= {LOSS_WEIGHT: factor} if factor is not fraction else {}
    gradient_by_name = {w.name: gradient_by_weight[w] for w in weights if w in gradient_by_weight}
    sparse = {name: g.gradients[gradient] for name, gradient in gradient_by_name.items() if name in sparse_weights}
    results |= {gradient_name(name): gradient for name, gradient in gradient_by_name.items() if name not in sparse}
    with g.scope("shares", ("training",)):
        for name, info in sparse.items():
            results |= sparse_gradient(g, name, info)
        for name, value in graph.updates.items():
            results[state_change_name(name)] = g.Mul(g.Sub(value, graph.states[name]), factor)
    g.updates.clear()
    return g.graph(results)


def combine_shards(
    graph: Graph, shard: Graph, shard_count: int, optimizer: Optimizer, rate_factors: Mapping[str, float] = {}
) -> Graph:
    """The last graph of a sharded step: sums the results of all shards (inputs `+0/NAME` ...) and updates weights.

    With one shard, its results are those of the whole batch, without rows of samples and sums in other types than
    float32. Then sparse gradients are added up already, too: the inputs are their indices and rows.
    """
    g = Builder.extending(replace(graph, inputs={}, outputs={}, nodes=(), randoms={}, losses=(), updates={}))
    with g.scope("shares", ("training",)):
        totals = {}
        for name, value in shard.outputs.items():
            type = value.type
            if weight := sparse_gradient_weight(name):  # a row for each that any shard has looked up
                type = TensorType(type.dtype, (Size.named(f"{ROW_INDICES}/{weight}"), *type.shape[1:]))
            elif not type.is_static() or name == LOSS_WEIGHT or (shard_count == 1 and type.dtype != "float32"):
                continue
            shard_results = [g.input(shard_result_name(index, name), type) for index in range(shard_count)]
            totals[name] = shard_results[0] if shard_count == 1 else g.Sum(*shard_results)
        for name in graph.updates:
            g.assign(graph.states[name], g.Add(graph.states[name], totals.pop(state_change_name(name))))
        gradient_by_weight = _total_gradients(g, graph, totals)
    update_weights(g, optimizer, rate_factors, gradient_by_weight)
    names = [name for name in totals if not is_gradient_name(name) and not sparse_gradient_weight(name)]
    return g.graph({name: totals[name] for name in names})


def _total_gradients(g: Builder, graph: Graph, totals: Mapping[str, Value]) -> dict[Value, Value]:
    gradient_by_weight: dict[Value, Value] = {}
    for weight in trainable_parameters(graph):
        dense, indices = gradient_name(weight.name), gradient_indices_name(weight.name)
        if dense in totals:
            gradient_by_weight[weight] = totals[dense]
        elif indices in totals:
            rows = totals[gradient_rows_name(weight.name)]
            gradient_by_weight[weight] = scatter_add_rows(g, weight, totals[indices], rows)
    return gradient_by_weight
