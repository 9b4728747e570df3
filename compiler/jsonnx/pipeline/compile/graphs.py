"""Graphs of a checked spec: the network, its inference graph, and the graph that scores given outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...analysis.shape_inference import TypedNetwork
from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import target_name
from ...core.types import Dim, TensorType
from ...frontend.network import Network
from ...gradient.training_step import with_loss
from ...ir import Builder, Graph, Value
from ...lowering.check_augmentation import augmentation_calls, augmented_input_name
from ...lowering.lower import LoweringError, lower
from ...lowering.size_limit import report_oversized_weights
from ...passes.canonicalize import canonicalize
from ...passes.constant_folding import bind_states
from ...passes.layout import propagate_transposes
from ...passes.low_rank_products import distribute_adapters
from ...sections.target_scaling import TargetScaling
from ...training.metrics.objective import Objective
from ..check.check import CheckedSpec

if TYPE_CHECKING:
    import numpy as np

NEEDS_RUN_HELP = "evaluate the RUN folder that training wrote"


def forward_graph(
    checked: CheckedSpec,
    *,
    training: bool = False,
    has_adapters: bool = False,
    expected_sizes: Mapping[str, int] = {},
) -> Graph:
    """Lowers the network as `lowered_graph` does, and moves it to the channels-first layout."""
    graph = lowered_graph(checked, training=training, has_adapters=has_adapters, expected_sizes=expected_sizes)
    return propagate_transposes(graph)


def lowered_graph(
    checked: CheckedSpec,
    *,
    training: bool = False,
    has_adapters: bool = False,
    expected_sizes: Mapping[str, int] = {},
) -> Graph:
    """Lowers the network, in the layout in which it is written.

    With `training`, layers emit their training behaviour, and the outputs of augmentation layers are inputs. With
    `has_adapters`, adapted weights and their adapters are weights of their own, else one weight. `expected_sizes` are
    the sizes of symbols in most batches. Raises CompileError for a layer that cannot be lowered and for weights that
    exceed the size of an ONNX file.
    """
    typed = checked.require()
    augmented = augmentation_calls(typed.network) if training else []
    fed_names = {call.name: augmented_input_name(call.name) for call in augmented}
    report = checked.new_report()
    try:
        graph = None if training else checked.lowered
        if graph is None or (graph.adapters and not has_adapters):
            options: Any = {"expected_sizes": expected_sizes, "has_adapters": has_adapters}
            graph = lower(typed, training=training, fed_names=fed_names, **options)
    except LoweringError as failure:
        failure.add_to(report)
        raise CompileError(report) from failure
    report_oversized_weights(typed, graph, report)
    report.raise_errors()
    return distribute_adapters(graph)


def inference_graph(checked: CheckedSpec) -> Graph:
    """The graph of the inference model, with its weights as parameters."""
    return inference_only(forward_graph(checked), checked.network)


def costed_graph(checked: CheckedSpec) -> Graph:
    """The inference graph for `cost_table`, which counts the same in all layouts."""
    return inference_only(lowered_graph(checked, has_adapters=True), checked.network)


def inference_only(graph: Graph, network: Network) -> Graph:
    """The graph of a network, canonicalized, without what only training and evaluation use: loss terms, masks,
    auxiliary outputs, and the nodes and inputs that only those depend on."""
    inputs = {name: value for name, value in graph.inputs.items() if name in network.inference_inputs}
    outputs = {name: graph.outputs[name] for name in network.inference_outputs}
    graph = canonicalize(replace(graph, inputs=inputs, outputs=outputs, losses=(), masks={}))
    return replace(graph, randoms=graph.read_randoms) if graph.randoms else graph


def target_graph(
    typed: TypedNetwork, output: str, statistics: Mapping[str, np.ndarray], *, is_inverse: bool = False
) -> Graph:
    """The transform and normalization of the target of an output as a graph from `x` to `y`, [samples, units] each; or
    the inverse, which an output of the network has."""
    type = typed.types[output]
    units: tuple[Dim, ...] = type.shape[-1:] if type.rank > 1 else (1,)
    form = typed.network.target_forms[output]
    g = Builder()
    scaling = TargetScaling.of(g, output, type, ("training", "target"), form)
    if form.has_quantiles and not is_inverse:
        units = (1,)
    x = g.input("x", TensorType(type.dtype, (type.shape[0], *units)))
    y = scaling.denormalized(g, x) if is_inverse else scaling.normalized(g, x)
    states = {f"{target_name(output)}/{key}": array for key, array in statistics.items()}
    return canonicalize(bind_states(g.graph({"y": y}), states))


def output_scoring_graph(
    typed: TypedNetwork, objective: Objective, target_statistics: Mapping[str, Mapping[str, np.ndarray]] = {}
) -> Graph:
    """Loss and metrics as a graph whose inputs are the network's outputs and the targets.

    Where an output has a mask, the graph computes the mask from the network's inputs. `target_statistics` are what was
    learned from the targets, by output. Raises CompileError if the mask depends on weights, if statistics are missing,
    if a layer adds to the loss, or for auxiliary outputs.
    """
    auxiliary = [name for name in typed.network.auxiliary_outputs if name in objective.losses]
    outside_model = [*objective.added_losses, *auxiliary]
    if outside_model:
        message = f"the loss of {outside_model[0]!r} depends on values that a compiled model does not contain"
        raise CompileError([Diagnostic("needs-weights", message, help=NEEDS_RUN_HELP)])
    states = {
        f"{target_name(output)}/{key}": array
        for output in objective.target_forms
        for key, array in target_statistics.get(output, {}).items()
    }
    network = lower(typed) if typed.masks.inference.value_masks.keys() & typed.outputs.keys() else None
    g = Builder.extending(replace(network, outputs={}, losses=(), updates={})) if network else Builder()
    outputs: dict[str, Value] = {name: g.input(name, type) for name, type in typed.outputs.items()}
    scored = bind_states(with_loss(g.graph(outputs), objective), states)
    scored = canonicalize(
        replace(scored, outputs={name: v for name, v in scored.outputs.items() if name not in outputs})
    )
    used = {x for node in scored.nodes for x in node.inputs}
    unknown = [
        name
        for name, form in objective.target_forms.items()
        if any(scored.states.get(f"{target_name(name)}/{key}") in used for key in form.statistics)
    ]
    if unknown:
        message = f"the loss of {unknown[0]!r} compares normalized targets, whose mean the model does not contain"
        raise CompileError([Diagnostic("needs-weights", message, help=NEEDS_RUN_HELP)])
    if used & {*scored.parameters.values(), *scored.states.values()}:
        message = "the output's mask depends on weights, which a compiled model does not contain"
        raise CompileError([Diagnostic("needs-weights", message, help=NEEDS_RUN_HELP)])
    inputs = {name: x for name, x in scored.inputs.items() if x in used or x in scored.outputs.values()}
    return replace(scored, inputs=inputs, parameters={}, states={}, randoms=scored.read_randoms)
