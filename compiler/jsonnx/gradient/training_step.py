"""One training step as one graph: forward, backward and update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..core.types import TensorType
from ..ir import Builder, Graph, Parameter, Renewal, Value
from ..training.initializers import Constant
from ..training.objective import Objective
from ..training.optimizers import Optimizer
from ..training.reserved_names import GRADIENT, RATE, SHARE, STATISTICS, target_name
from .backward import gradients


def with_loss(graph: Graph, objective: Objective) -> Graph:
    """The graph with targets as further inputs, and `loss` and the metrics' statistics as its outputs beside its
    own."""
    g = Builder.onto(graph)
    results = dict(graph.outputs)
    terms: list[Value] = []
    with g.at("loss", ("training", "loss")):
        for output, loss in objective.losses.items():
            target = g.input(target_name(output), objective.targets[output])
            predicted, suited = loss.before_activation(graph, graph.outputs[output])
            term = suited.reduce(g, target, predicted, graph.masks.get(output))
            terms.append(_scaled(g, term, objective.weights.get(output, 1.0)))
            if len(objective.losses) > 1:
                results[f"{output}_loss"] = term
        terms += _penalties(g, graph)
        results["loss"] = terms[0] if len(terms) == 1 else g.Sum(*terms)
    g.losses.clear()
    g.masks.clear()
    with g.at("metrics", ("training", "metrics")):
        for name, (output, metric) in objective.names().items():
            target, predicted = g.inputs[target_name(output)], graph.outputs[output]
            results[f"{STATISTICS}{name}"] = metric.statistics(g, target, predicted, graph.masks.get(output))
    return g.graph(results)


def _scaled(g: Builder, term: Value, weight: float) -> Value:
    return term if weight == 1.0 else g.Mul(term, weight)


def _penalties(g: Builder, graph: Graph) -> list[Value]:
    """What layers and regularizers add to the loss."""
    penalised = [p for p in graph.parameters.values() if p.regularizer is not None and p.trainable]
    return [*graph.losses, *(p.regularizer.penalty(g, p) for p in penalised)]


def training_step(
    graph: Graph, optimizer: Optimizer, factors: Mapping[str, float] = {}, samples: int | None = None
) -> Graph:
    """A graph with a `loss`, plus backward pass and update.

    Its updates give the new values of parameters, states and the optimizer's slots (states named `optimizer/...`).
    The weights of a layer with a factor step as if they had an optimizer of their own, its rate `factor * rate`; only
    a bound on all gradients together stays one. `samples` is how many a step will mostly get.

    Raises MissingRule.
    """
    g = Builder.onto(graph)
    g.samples = samples
    _renew(g, optimizer, factors, gradients(g, graph, {graph.outputs["loss"]: g.const(1.0)}, _trained(graph)))
    return g.graph(dict(graph.outputs))


def share_of_step(graph: Graph, samples: int | None = None) -> Graph:
    """What a share of a batch gives of a step: a graph with a `loss`, plus backward pass.

    It is fed how large a share of the batch's samples it gets (`SHARE`); losses and gradients (`GRADIENT` before the
    weight's name) are by that share, so that those of all shares add up to the batch's. That is so where samples stand
    apart and the loss is a mean of theirs (`passes.training.batch_separability`). `samples` as for
    `training_step`. Raises MissingRule.
    """
    g = Builder.onto(graph)
    g.samples = samples
    loss = graph.outputs["loss"]
    share = g.input(SHARE, TensorType("float32", ()))
    found = gradients(g, graph, {loss: share}, _trained(graph))
    results = {name: value for name, value in graph.outputs.items() if name.startswith(STATISTICS)}
    with g.at("loss", ("training", "loss")):
        results |= {name: g.Mul(value, share) for name, value in graph.outputs.items() if not value.rank}
    return g.graph(results | {f"{GRADIENT}{w.name}": found[w] for w in _trained(graph) if w in found})


def sum_of_shares(
    graph: Graph, share: Graph, count: int, optimizer: Optimizer, factors: Mapping[str, float] = {}
) -> Graph:
    """The rest of the step: what `count` shares gave, as `+0/NAME` and so on, added up, and the update."""
    g = Builder.onto(replace(graph, inputs={}, outputs={}, nodes=(), randoms={}, losses=()))
    with g.at("shares", ("training",)):
        totals = {}
        for name, value in share.outputs.items():
            parts = [g.input(f"+{number}/{name}", value.type) for number in range(count)]
            totals[name] = g.Sum(*parts)
    known = {name: total for name, total in totals.items() if not name.startswith(GRADIENT)}
    found: dict[Value, Value] = {w: totals[name] for w in _trained(graph) if (name := f"{GRADIENT}{w.name}") in totals}
    _renew(g, optimizer, factors, found)
    return g.graph(known)


def _trained(graph: Graph) -> list[Parameter]:
    return [p for p in graph.parameters.values() if p.trainable]


def _renew(g: Builder, optimizer: Optimizer, factors: Mapping[str, float], found: Mapping[Value, Value]) -> None:
    """Gives all weights that are trained, and their slots, their new values."""
    weights = [p for p in g.parameters.values() if p.trainable]
    with g.at("optimizer", ("training", "optimizer")):
        # What the loss does not depend on decays and is projected all the same, as in Keras.
        changed: dict[Parameter, Value] = {w: found[w] if w in found else g.zeros(w) for w in weights}
        rate = g.input(RATE, TensorType("float32", ()))
        count = g.state("iterations", (), Constant(value=0), "int64")
        now = g.Add(count, 1)
        g.assign(count, now)
        of = {weight: factors.get(weight.name.partition("/")[0], 1.0) for weight in weights}
        rates: dict[float, Value] = {f: rate if f == 1.0 else g.Mul(rate, f) for f in sorted({1.0, *of.values()})}
        shared = {factor: optimizer.prepare(g, own, now) for factor, own in rates.items()}
        for weight, gradient in optimizer.clip(g, changed).items():
            with g.at(weight.name):
                _update(g, optimizer, weight, gradient, rates[of[weight]], shared[of[weight]])


def _update(
    g: Builder, optimizer: Optimizer, weight: Parameter, gradient: Value, rate: Value, shared: Mapping[str, Value]
) -> None:
    slots = {name: g.state(name, weight.shape, Constant(value=start)) for name, start in optimizer.slots().items()}
    after, values = optimizer.renewed(g, weight, gradient, slots, rate, shared)
    for name, value in values.items():
        g.assign(slots[name], value)
    g.updates[weight.name] = after if weight.constraint is None else weight.constraint.project(g, after)
    if weight.constraint is None and gradient in g.gradients:
        g.renewals[weight.name] = Renewal(optimizer, gradient, rate, shared)
