"""One training step as one graph: forward, backward and update."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import Builder, Graph, Parameter, Renewal, Value
from ..training.initializers import Constant
from ..training.objective import Objective
from ..training.optimizers import Optimizer
from ..types import TensorType
from .engine import gradients

RATE = "learning_rate"


def target_name(output: str) -> str:
    """The name under which the step is fed an output's target."""
    return f"{output}/target"


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
            target = g.inputs[target_name(output)]
            results[f"metrics/{name}"] = metric.statistics(g, target, graph.outputs[output], graph.masks.get(output))
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
    loss = graph.outputs["loss"]
    weights = [p for p in graph.parameters.values() if p.trainable]
    found = gradients(g, graph, {loss: g.const(1.0)}, weights)
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
    return g.graph(dict(graph.outputs))


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
