"""Finds the origin of a loss that is not finite: the first result of the forward pass that is NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import LOSS
from ...ir import Builder, Graph, Node, Value, reachable_nodes
from ..training_plan import TrainingPlan
from .history import History
from .runner import runner_without_updates

Arrays = Mapping[str, np.ndarray]


class Diverged(CompileError):
    """The loss became NaN or infinite.

    The weights and optimizer slots are as after the last step with a finite loss. But if the step overwrites slots in
    place, the optimizer's state is reset; and on a device, they are as before the last steps whose losses were read
    together.
    """

    history: History | None = None


class Origin(NamedTuple):
    """The first tensor that is not finite: a weight, or a result of a node."""

    weight: str | None = None
    node: Node | None = None

    def describe(self) -> str:
        if self.weight is not None:
            return f"the weight {self.weight!r} is no longer finite"
        if self.node is None or not self.node.scope or self.node.path[:1] == ("training",):
            return "all layers compute finite numbers, only the loss is not finite"
        layer, operator = self.node.scope.partition("/")[0], self.node.op
        return f"the first tensor that is not finite is a result of the layer {layer!r}, of its operator {operator}"


def find_origin(graph: Graph, variables: Arrays, vocabularies: Arrays, feeds: Arrays) -> Origin | None:
    """The origin of the loss of a training step's batch, computed once more with the weights before the step.

    From the loss, the search follows the operands that are not finite to a result whose operands are all finite. So
    it ignores infinities that are meant, such as those of a mask, which a softmax turns into zeros. None if the loss
    is finite this time.
    """
    loss = graph.outputs[LOSS]
    nodes = reachable_nodes(graph.nodes, [loss])
    bad = _values_not_finite(graph, nodes, variables, vocabularies, feeds)
    producers = {output: node for node in nodes for output in node.outputs}
    if loss not in bad:
        return None
    value: Value = loss
    while True:
        node = producers.get(value)
        if node is None:
            return Origin(weight=next((name for name, x in graph.parameters.items() if x is value), None))
        operand = next((x for x in node.inputs if x in bad), None)
        if operand is None:
            return Origin(node=node)
        value = operand


def _values_not_finite(
    graph: Graph, nodes: list[Node], variables: Arrays, vocabularies: Arrays, feeds: Arrays
) -> set[Value]:
    """The weights and the results of nodes that contain NaN or an infinity."""
    g = Builder.extending(replace(graph, nodes=tuple(nodes), outputs={}, updates={}))
    checked = [x for node in nodes for x in node.outputs if x.dtype.startswith("float")]
    with g.scope("finite"):
        # 0 times a finite number is 0, otherwise NaN.
        probes = {str(index): g.ReduceSum(g.Mul(x, 0.0), keepdims=0) for index, x in enumerate(checked)}
    runner = runner_without_updates(g.graph(dict(probes)), variables, vocabularies)
    results = runner({name: feeds[name] for name in runner.fed_names})
    bad = {x for index, x in enumerate(checked) if not np.isfinite(results[str(index)])}
    return bad | {x for name, x in graph.parameters.items() if not np.isfinite(variables.get(name, 0.0)).all()}


def diverged(plan: TrainingPlan, message: str, origin: Origin | None) -> Diverged:
    """The error of a step whose loss is not finite."""
    message += f": {origin.describe()}" if origin else ""
    help = "a smaller learning rate, `clipnorm` or scaled inputs may help"
    diagnostic = Diagnostic("diverged", message, "$.training", plan.source.file, help=help)
    if origin is not None and origin.node is not None and origin.node.path[:1] == ("layers",):
        note = plan.source.note("this layer computes it", origin.node.path)
        diagnostic = replace(diagnostic, notes=(note,))
    return Diverged([diagnostic])
