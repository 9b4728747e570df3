"""Graphs of a checked spec: the network, its inference graph, and the graph that scores given outputs."""

from __future__ import annotations

from dataclasses import replace

from ..analysis.shape_inference import TypedNetwork
from ..core.diagnostics import CompileError, Diagnostic
from ..gradient.training_step import with_loss
from ..ir import Builder, Graph, Value
from ..lowering.check_augmentation import augmentation_calls, augmented_input_name
from ..lowering.lower import LoweringError, lower
from ..lowering.size_limit import oversized_weights
from ..passes.canonicalize import canonicalize
from ..passes.layout import propagate_transposes
from ..training.objective import Objective
from .check import CheckedSpec


def forward_graph(checked: CheckedSpec, *, training: bool = False) -> Graph:
    """The network as operators, in the layout they want. Raises CompileError where its weights are too large to
    hold."""
    typed = checked.require()
    given = (
        {call.name: augmented_input_name(call.name) for call in augmentation_calls(typed.network)} if training else {}
    )
    report = checked.new_report()
    try:
        graph = lower(typed, training=training, fed_names=given)
    except LoweringError as refused:
        call, error = refused.call, refused.error
        kind = call.layer.type_name if call.layer else ""
        report.add(error.code, call.path, f"{kind} {call.name!r} {error.message}", help=error.help)
        raise CompileError(report) from refused
    for path, message in oversized_weights(typed, graph):
        report.add("too-large", path, message)
    report.raise_errors()
    return propagate_transposes(graph)


def inference_graph(checked: CheckedSpec) -> Graph:
    """What a deployed model computes, its weights still open."""
    return canonicalize(inference_only(forward_graph(checked)))


def inference_only(network: Graph) -> Graph:
    """A network without what only training and evaluation ask of it."""
    return replace(network, losses=(), masks={})


def output_scoring_graph(typed: TypedNetwork, objective: Objective) -> Graph:
    """Loss and metrics of outputs that are computed elsewhere: they are its inputs, beside the targets, and beside the
    network's inputs where these tell which places are masked.

    Raises CompileError where masks depend on weights.
    """
    network = lower(typed) if typed.masks.inference.value_masks.keys() & typed.outputs.keys() else None
    g = Builder.extending(replace(network, outputs={}, losses=(), updates={})) if network else Builder()
    outputs: dict[str, Value] = {name: g.input(name, type) for name, type in typed.outputs.items()}
    scored = with_loss(g.graph(outputs), objective)
    scored = canonicalize(
        replace(scored, outputs={name: v for name, v in scored.outputs.items() if name not in outputs})
    )
    read = {x for node in scored.nodes for x in node.inputs}
    if read & {*scored.parameters.values(), *scored.states.values()}:
        message = "which places of an output count is told by weights, and a model alone does not give those back"
        raise CompileError([Diagnostic("needs-weights", message, help="evaluate the RUN folder that training wrote")])
    used = {name: x for name, x in scored.inputs.items() if x in read or x in scored.outputs.values()}
    return replace(scored, inputs=used, parameters={}, states={})
